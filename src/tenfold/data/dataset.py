"""The data set that everything else works on: grey images, class indices, a sealed test."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.data.sealed import SealedTest, read_only
from tenfold.errors import CorruptDataError
from tenfold.records import canonical_json

Images = npt.NDArray[np.uint8]
Array = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images with labels, and the official test rows where the data has some.

    The arrays are read-only: the fingerprint vouches for them.

    Args:
        name: Short name, for example ``"mnist"``, or the stem of a path.
        images: ``(n, height * width)`` uint8: every row that may be learned from.
        labels: ``(n,)`` int64 class indices, 0 to the number of classes - 1.
        class_names: At least two, in the order of the indices.
        image_shape: Height and width in pixels.
        groups: ``(n,)`` int64, rows that must stay together (one writer); None without groups.
        test: The official test rows; None when the split must carve some out.
        value_rule: How the values that were read became 0..255.
        source: Where the rows came from, for reports.

    Raises:
        CorruptDataError: The parts do not fit together.
    """

    name: str
    images: Images
    labels: Indices
    class_names: tuple[str, ...]
    image_shape: tuple[int, int]
    groups: Indices | None
    test: SealedTest | None
    value_rule: str
    source: str

    def __post_init__(self) -> None:
        _check(self)
        for name in ("images", "labels", "groups"):
            if (array := getattr(self, name)) is not None:
                object.__setattr__(self, name, read_only(array))

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        height, width = self.image_shape
        test = "no official test" if self.test is None else f"{len(self.test):,} sealed"
        return (
            f"Dataset({self.name!r}, {len(self):,} images of {height}x{width}, "
            f"{len(self.class_names)} classes, {test})"
        )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the content, 64 hexadecimal digits.

        It covers shape, class names, images, labels, groups and the test rows, and so the target;
        it does not depend on the name, the path or the compression of the files.
        """
        header = {
            "class_names": self.class_names,
            "image_shape": self.image_shape,
            "rows": len(self),
            "grouped": self.groups is not None,
            "test": None if self.test is None else self.test.digest,
        }
        digest = hashlib.sha256(canonical_json(header).encode())
        arrays: tuple[Array | None, ...] = (self.images, self.labels, self.groups)
        for array in arrays:
            if array is not None:
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def _check(dataset: Dataset) -> None:
    name, n = dataset.name, len(dataset.images)
    height, width = dataset.image_shape
    if dataset.images.dtype != np.uint8 or dataset.images.shape != (n, height * width):
        raise CorruptDataError(
            f"{name}: images must be uint8 of shape (n, {height * width}), "
            f"got {dataset.images.dtype} of shape {dataset.images.shape}"
        )
    for what, array in (("labels", dataset.labels), ("groups", dataset.groups)):
        if array is not None and (array.dtype != np.int64 or array.shape != (n,)):
            raise CorruptDataError(
                f"{name}: {what} must be int64 of shape ({n},), "
                f"got {array.dtype} of shape {array.shape}"
            )
    k = len(dataset.class_names)
    if k < 2 or n == 0:
        raise CorruptDataError(
            f"{name}: at least two classes and one image are needed, got {k} and {n}"
        )
    if dataset.labels.min() < 0 or dataset.labels.max() >= k:
        raise CorruptDataError(f"{name}: labels must be indices of the {k} class names")
