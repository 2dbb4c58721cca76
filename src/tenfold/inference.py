"""A model's graph as a classifier, by numpy and onnxruntime alone."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from tenfold.errors import BundleError, ModelInputError
from tenfold.pixels import Images, check_images

_OUTPUTS = ("label", "probabilities", "outlier_score")
_MOST_THREADS = 4
# Values that stay in a processor's cache are the fastest; products of matrices want some rows.
_BLOCK_BYTES = 4 * 2**20
_FEW_BLOCK_ROWS = 32
_LARGEST_BLOCK_BYTES = 64 * 2**20
_MOST_BLOCK_ROWS = 1024
_UNKNOWN_ROW_BYTES = 2**20  # of a graph that does not say
_SHARED_BYTES = 2 * 2**20  # what a thread works on for 2 to 4 ms; less is not worth its start


@dataclass(frozen=True, eq=False)
class Answers:
    """What a graph says of some images.

    Args:
        labels: ``(n,)`` int64 class indices, 0 to k - 1.
        probabilities: ``(n, k)`` float32, each row sums to 1.
        outlier_scores: ``(n,)`` float32, 0 and above, larger for images less like those trained on.
    """

    labels: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]
    outlier_scores: npt.NDArray[np.float32]

    def __repr__(self) -> str:
        return f"Answers({len(self.labels)} images, {self.probabilities.shape[1]} classes)"


class OnnxClassifier:
    """A classifier from the graph that `tenfold.export.export_onnx` made.

    Rows are answered in blocks, and blocks by several threads, each with one thread inside: so an
    answer does not depend on the number of threads, and a single image waits for nobody.

    Args:
        model: The graph, or its file. It must come from where you trust it: `tenfold.load_bundle`
            checks one from elsewhere.
        threads: Threads that answer blocks; by default one for each processor, at most 4.
        batch_size: Rows of a block; by default so many that a thread works on 4 to 64 MB.

    Attributes:
        n_classes: Columns of the probabilities.
        n_features: Pixels of an image.

    Raises:
        BundleError: The graph cannot be loaded, or has other inputs and outputs.
        ModelInputError: ``threads`` or ``batch_size`` is below 1.
    """

    def __init__(
        self, model: bytes | Path, *, threads: int | None = None, batch_size: int | None = None
    ) -> None:
        self._session = _open(model)
        self.n_features, self.n_classes = _sizes(self._session)
        self.threads = _at_least_one("threads", threads, min(_processors(), _MOST_THREADS))
        self._row_bytes = _row_bytes(self._session)
        self.batch_size = _at_least_one("batch_size", batch_size, _block_rows(self._row_bytes))

    def __repr__(self) -> str:
        return f"OnnxClassifier({self.n_features} pixels, {self.n_classes} classes)"

    def answer(self, images: npt.ArrayLike) -> Answers:
        """Return labels, probabilities and outlier scores at once.

        Args:
            images: ``(n, height * width)`` pixels, whole numbers 0 to 255 of any numeric type.

        Raises:
            ModelInputError: The images break a rule.
            BundleError: The graph cannot answer them.
        """
        checked = check_images(images)
        if checked.shape[1] != self.n_features:
            raise ModelInputError(
                f"Images must have the {self.n_features} pixels (height * width) that the model "
                f"was trained on; got {checked.shape[1]}. Resize the images first."
            )
        blocks = self._blocks(checked)
        if len(blocks) == 1:
            return Answers(*self._run(checked))
        with ThreadPoolExecutor(min(self.threads, len(blocks))) as pool:
            parts = list(pool.map(self._run, blocks))
        return Answers(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def predict(self, images: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return ``(n,)`` class indices; see `answer`."""
        return self.answer(images).labels

    def predict_proba(self, images: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Return ``(n, n_classes)`` probabilities; see `answer`."""
        return self.answer(images).probabilities

    def outlier_score(self, images: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Return ``(n,)`` outlier scores; see `answer`."""
        return self.answer(images).outlier_scores

    def _blocks(self, images: Images) -> list[Images]:
        """Return parts of the images, of equal size but for one row, in their order."""
        shared = min(self.threads, len(images), len(images) * self._row_bytes // _SHARED_BYTES)
        n_blocks = max(-(-len(images) // self.batch_size), shared, 1)
        return np.array_split(images, n_blocks)

    def _run(self, images: Images) -> list[npt.NDArray[Any]]:
        try:
            answers: list[npt.NDArray[Any]] = self._session.run(_OUTPUTS, {"images": images})
        # As in `_open`.
        except Exception as error:
            raise BundleError(
                f"The model's graph cannot answer {len(images):,} images: {_reason(error)}. "
                "Export the model again."
            ) from error
        return answers


def _open(model: bytes | Path) -> Any:
    """Return a session that computes with one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors come as exceptions
    try:
        content = model if isinstance(model, bytes) else model.read_bytes()
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    # onnxruntime has a class for each of its error codes and no common base for them.
    except Exception as error:
        name = model.name if isinstance(model, Path) else "The model"
        raise BundleError(
            f"{name} cannot be loaded as an ONNX graph: {_reason(error)}. Export the model again."
        ) from error


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _sizes(session: Any) -> tuple[int, int]:
    """Return pixels and classes, from the shapes of the graph's inputs and outputs."""
    inputs = {item.name: (item.type, item.shape) for item in session.get_inputs()}
    outputs = {item.name: (item.type, item.shape) for item in session.get_outputs()}
    kind, shape = inputs.get("images", ("", []))
    shown = outputs.get("probabilities", ("", []))[1]
    fits = (
        len(inputs) == 1
        and set(_OUTPUTS) <= set(outputs)
        and kind == "tensor(uint8)"
        and len(shape) == len(shown) == 2
        and isinstance(shape[1], int)
        and isinstance(shown[1], int)
    )
    if not fits:
        raise BundleError(
            "A model must take images, uint8 [n, pixels], and give label, probabilities [n, k] and "
            f"outlier_score; this one takes {inputs} and gives {outputs}. Export it by tenfold."
        )
    return shape[1], shown[1]


def _row_bytes(session: Any) -> int:
    """Return how much memory an image needs at once, by what the graph says of itself."""
    try:
        return max(1, int(json.loads(session.get_modelmeta().graph_description)["row_bytes"]))
    except (ValueError, TypeError, KeyError, OverflowError):
        return _UNKNOWN_ROW_BYTES


def _block_rows(row_bytes: int) -> int:
    """Return how many rows at once are fast and keep the memory bounded."""
    few = min(_FEW_BLOCK_ROWS, _LARGEST_BLOCK_BYTES // row_bytes)
    return max(1, few, min(_BLOCK_BYTES // row_bytes, _MOST_BLOCK_ROWS))


def _at_least_one(name: str, value: int | None, default: int) -> int:
    if value is not None and value < 1:
        raise ModelInputError(f"{name} must be at least 1; got {value!r}.")
    return value or default


def _processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
