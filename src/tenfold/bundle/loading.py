"""Opening a bundle: everything is checked before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from tenfold.bundle.content import INFO, LEARNED, MODEL, read_bundle
from tenfold.bundle.graph import check_graph
from tenfold.bundle.info import BundleInfo
from tenfold.bundle.learned import LearnedImages
from tenfold.errors import BundleError, ModelInputError
from tenfold.inference import Answers, OnnxClassifier


@dataclass(frozen=True, eq=False, repr=False)
class NamedAnswers(Answers):
    """What a model says of images, with names.

    Args:
        class_names: The name of each label.
        outliers: ``(n,)`` True where the outlier score is above the model's threshold.
    """

    class_names: tuple[str, ...]
    outliers: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Bundle:
    """A model that was loaded from its bundle.

    Args:
        path: Where it lies.
        info: What it says of itself.
        classifier: Its graph, ready to answer.
        learned: Which images it has learned from; None: the bundle does not say.
    """

    path: Path
    info: BundleInfo
    classifier: OnnxClassifier = field(repr=False)
    learned: LearnedImages | None = field(repr=False)

    def predict(self, images: npt.NDArray[np.uint8]) -> NamedAnswers:
        """Say what images show.

        Args:
            images: ``(n, height * width)`` or ``(n, height, width)`` uint8, in the style of the
                training data.

        Raises:
            ModelInputError: The images are of another shape or type.
            BundleError: The graph gives a class that is none of its own.
        """
        answers = self.classifier.answer(self._rows(images))
        strange = np.setdiff1d(answers.labels, np.arange(len(self.info.class_names)))
        if strange.size:
            raise BundleError(f"{self.path} gives class {strange[0]}, which it does not have")
        threshold = self.info.thresholds.outlier
        return NamedAnswers(
            **vars(answers),
            class_names=tuple(self.info.class_names[label] for label in answers.labels),
            outliers=answers.outlier_scores > (np.inf if threshold is None else threshold),
        )

    def _rows(self, images: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        height, width = self.info.image_shape
        fits = images.shape[1:] in ((height * width,), (height, width))
        if not fits or images.dtype != np.uint8:
            raise ModelInputError(
                f"{self.info.title} takes uint8 images of {height}x{width} pixels, "
                f"got {images.dtype} of shape {images.shape}"
            )
        return np.ascontiguousarray(images.reshape(len(images), height * width))


def load_bundle(path: Path | str, *, threads: int | None = None) -> Bundle:
    """Load a model from its bundle.

    The sums are verified, and the graph must be one that `tenfold.bundle.graph` allows. Nothing in
    a bundle is executed as a program. How much memory its answers take is not bounded: where
    bundles come from strangers, bound the process.

    Args:
        path: The folder, or the ``.zip``.
        threads: Threads of a call; default: what `OnnxClassifier` chooses.

    Raises:
        BundleError: It is not there, or refused; one line says why.
    """
    path = Path(path)
    if not (path.is_dir() or path.is_file()):
        raise BundleError(f"there is no bundle {path}; give its folder or its .zip file")
    try:
        files = read_bundle(path)
        info = _read_info(files[INFO])
        height, width = info.image_shape
        try:
            opset = check_graph(
                files[MODEL], n_pixels=height * width, n_classes=len(info.class_names)
            )
        except BundleError as error:
            raise BundleError(f"{MODEL}: {error}") from error
        _check_same(opset, info.versions.opset)
        learned = _read_learned(files.get(LEARNED))
        classifier = _open(files[MODEL], threads)
    except BundleError as error:
        raise BundleError(f"{path} is refused: {error}; copy or export it again") from error
    return Bundle(path, info, classifier, learned)


def _check_same(opset: int, told: int) -> None:
    if opset != told:
        raise BundleError(f"{INFO} gives the opset {told}, {MODEL} has {opset}")


def _read_info(content: bytes) -> BundleInfo:
    try:
        return BundleInfo.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "top level"
        raise BundleError(f"{INFO}: {where}: {first['msg'].splitlines()[0]}") from error


def _read_learned(content: bytes | None) -> LearnedImages | None:
    try:
        return None if content is None else LearnedImages.from_bytes(content)
    except BundleError as error:
        raise BundleError(f"{LEARNED}: {error}") from error


def _open(model: bytes, threads: int | None) -> OnnxClassifier:
    try:
        return OnnxClassifier(model, threads=threads)
    # A graph from elsewhere may be wrong in ways that its own writer never meets.
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise BundleError(f"{MODEL} cannot be opened: {reason}") from error
