"""How well a bundled model does on any data set: its test rows, scored with intervals."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tenfold.bundle import Bundle, BundleInfo
from tenfold.data import Dataset, Split, load_dataset, make_split, open_sealed_test, settings_of
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
        outlier_share: Share of the rows that the model took for none of its classes, 0 to 1; None
            for a model that has no threshold.
    """

    info: BundleInfo = field(repr=False)
    dataset: str
    fingerprint: str
    split: str
    scores: Scores
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
    sealed then; else the data set is split as it is by default.

    Args:
        bundle: The model, from `tenfold.load_bundle`.
        source: A data set's name or path; this and the rest as for `tenfold.load_dataset`.
        target: A class name: makes the task "this class or another".
        label_column: Column or array of the labels.
        group_column: Column or array that says which rows belong together.
        image_shape: Height and width, where the files do not say it.
        data_dir: Where named data sets lie.

    Raises:
        ModelInputError: The model takes other images, or knows other classes.
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
    answers = bundle.predict(split.test.images)
    labels = open_sealed_test(split, choices={"model": info.name, "trial": info.trial_key})
    knows_outliers = info.thresholds.outlier is not None
    return Assessment(
        info=info,
        dataset=dataset.name,
        fingerprint=dataset.fingerprint,
        split=split.description,
        scores=score(labels, answers.probabilities, class_names=split.class_names),
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
    same = info.fingerprint == dataset.fingerprint
    return make_split(dataset, **(settings_of(info.split) if same else {}))
