"""How well a bundled model does on any data set: its test rows, scored with intervals."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.bundle import Bundle, BundleInfo
from tenfold.data import (
    Dataset,
    Split,
    count_groups,
    load_dataset,
    make_split,
    open_sealed_test,
    settings_of,
    split_for_looking,
    warn_of_groups,
)
from tenfold.errors import ModelInputError
from tenfold.evaluation import Scores, score


@dataclass(frozen=True, eq=False)
class Assessment:
    """What a model was found to do on one data set.

    Args:
        info: What its bundle says.
        dataset: The data set's name.
        fingerprint: SHA-256 of its content.
        split: One sentence on which rows were scored.
        scores: The scores, with intervals.
        left_out: Test images that were not scored, because the model has learned from the same.
        warnings: What makes the scores doubtful, one sentence each.
        outlier_share: Share of the rows that the model took for none of its classes, 0 to 1; None
            for a model that has no threshold.
    """

    info: BundleInfo = field(repr=False)
    dataset: str
    fingerprint: str
    split: str
    scores: Scores
    left_out: int
    warnings: tuple[str, ...]
    outlier_share: float | None


def evaluate(
    bundle: Bundle,
    source: str | Path,
    *,
    target: str | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
    image_shape: tuple[int, int] | None = None,
    data_dir: Path | None = None,
) -> Assessment:
    """Score a bundled model on the test rows of a data set.

    Where the data set is the one that the model was trained on, its test rows are those that were
    sealed then; else the data set is split as it is by default. Either way, images that the model
    has learned from are left out, as far as the bundle knows them: pixel by pixel the same.

    Args:
        bundle: The model, from `tenfold.load_bundle`.
        source: A data set's name or path; this and the rest as for `tenfold.load_dataset`.
        target: A class name: makes the task "this class or another".
        label_column: Column or array of the labels.
        group_column: Column or array that says which rows belong together.
        image_shape: Height and width, where the files do not say it.
        data_dir: Where named data sets lie.

    Raises:
        ModelInputError: The model takes other images, knows other classes, or has learned from
            every test image.
        UsageError: The data cannot be used as they are.
    """
    dataset = load_dataset(
        source,
        target=target,
        label_column=label_column,
        group_column=group_column,
        image_shape=image_shape,
        data_dir=data_dir,
    )
    info = bundle.info
    _check_fits(info, dataset)
    split = _split(info, dataset)
    unseen = _find_unseen(bundle, split, dataset)
    answers = bundle.predict(split.test.images[unseen])
    labels = open_sealed_test(split, choices={"model": info.name, "trial": info.trial_key})[unseen]
    groups = split.test.groups
    knows_outliers = info.thresholds.outlier is not None
    return Assessment(
        info=info,
        dataset=dataset.name,
        fingerprint=dataset.fingerprint,
        split=split.description,
        scores=score(labels, answers.probabilities, class_names=split.class_names),
        left_out=int((~unseen).sum()),
        warnings=_warnings(bundle, dataset, None if groups is None else groups[unseen]),
        outlier_share=float(answers.outliers.mean()) if knows_outliers else None,
    )


def _check_fits(info: BundleInfo, dataset: Dataset) -> None:
    if info.image_shape != dataset.image_shape:
        takes, has = (
            "x".join(map(str, shape)) for shape in (info.image_shape, dataset.image_shape)
        )
        raise ModelInputError(
            f"{info.title} takes images of {takes} pixels and {dataset.name} has {has}; "
            "evaluate it on data of its own size"
        )
    if info.class_names != dataset.class_names:
        raise ModelInputError(
            f"{info.title} knows the classes {', '.join(info.class_names)} and {dataset.name} has "
            f"{', '.join(dataset.class_names)}; both must be the same, in the same order"
        )


def _split(info: BundleInfo, dataset: Dataset) -> Split:
    if info.fingerprint == dataset.fingerprint:
        return make_split(dataset, **settings_of(info.split))
    return split_for_looking(dataset)


def _find_unseen(bundle: Bundle, split: Split, dataset: Dataset) -> np.ndarray[Any, Any]:
    """Return ``(n_test,)``, True for the test images that the model has not learned from."""
    images = split.test.images
    unseen = np.ones(len(images), dtype=np.bool_)
    if bundle.learned is not None:
        unseen = ~bundle.learned.among(images)
    if not len(images):
        raise ModelInputError(
            f"{dataset.name} has no image to spare for a test: {split.description}"
        )
    if not unseen.any():
        raise ModelInputError(
            f"{bundle.info.title} has learned from every one of the {len(images):,} test images of "
            f"{dataset.name}, and a score on them would say nothing; evaluate it on other data"
        )
    return unseen


def _warnings(
    bundle: Bundle, dataset: Dataset, groups: np.ndarray[Any, Any] | None
) -> tuple[str, ...]:
    found = []
    if bundle.learned is None and bundle.info.fingerprint != dataset.fingerprint:
        found.append(
            "the model may have learned from these images: its bundle does not say from which it "
            "has; export it again to find out."
        )
    n_groups = count_groups(groups)
    if groups is not None and n_groups is not None:
        found.append(warn_of_groups(len(groups), n_groups))
    return tuple(found)
