"""The sealed test: images that anyone may see, and labels that one function gives out."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import InitVar, dataclass
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from tenfold.errors import SealedTestError
from tenfold.records import canonical_json

Scalar = TypeVar("Scalar", bound=np.generic)

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class SealedTest:
    """Test rows whose labels are out of reach until `open_sealed_test` is called.

    The labels are no attribute of the object, so neither ``repr``, ``vars``, copying nor pickling
    takes them along.

    Args:
        images: ``(n, height * width)`` uint8.
        labels: ``(n,)`` int64 class indices.
        groups: ``(n,)`` int64, numbered like the development rows' groups; None without groups.
    """

    images: npt.NDArray[np.uint8]
    labels: InitVar[npt.NDArray[np.int64]]
    groups: npt.NDArray[np.int64] | None = None

    def __post_init__(self, labels: npt.NDArray[np.int64]) -> None:
        if len(labels) != len(self.images):
            raise ValueError(
                f"a sealed test needs one label per image, got {len(labels)} labels "
                f"for {len(self.images)} images"
            )
        object.__setattr__(self, "images", read_only(self.images))
        _LABELS[self] = read_only(labels.astype(np.int64))

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"SealedTest({len(self):,} images)"

    @property
    def digest(self) -> str:
        """SHA-256 of images, labels and groups, 64 hexadecimal digits."""
        digest = hashlib.sha256(np.ascontiguousarray(self.images).data)
        digest.update(_labels_of(self).data)
        if self.groups is not None:
            digest.update(np.ascontiguousarray(self.groups).data)
        return digest.hexdigest()


def read_only(array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """Return the same values as an array that cannot be written."""
    view = array.view()
    view.setflags(write=False)
    return view


_LABELS: WeakKeyDictionary[SealedTest, npt.NDArray[np.int64]] = WeakKeyDictionary()


class HoldsSealedTest(Protocol):
    """Anything with a sealed test, such as a `tenfold.data.Split`."""

    @property
    def test(self) -> SealedTest:
        """The sealed rows."""
        ...


def open_sealed_test(
    split: HoldsSealedTest, *, choices: Mapping[str, Any]
) -> npt.NDArray[np.int64]:
    """Return the test labels, once every choice has been made.

    This is the only way to them. What was chosen is logged, so that a log shows that the choices
    came first.

    Args:
        split: The split whose test is opened.
        choices: What was decided without the test, for example ``{"winner": "9f31…"}``; plain
            JSON values, at least one.

    Returns:
        ``(n_test,)`` int64 class indices, read-only.

    Raises:
        SealedTestError: No choice was named, or these labels did not travel with the object.
    """
    if not choices:
        raise SealedTestError(
            "the sealed test may be opened only after every choice was made, and choices is "
            f"{choices!r}; pass what was chosen, for example {{'winner': key}}"
        )
    labels = _labels_of(split.test)
    _LOGGER.info(
        "opened the sealed test of %d images; chosen before: %s",
        len(labels),
        canonical_json(dict(choices)),
    )
    return labels


def _labels_of(test: SealedTest) -> npt.NDArray[np.int64]:
    try:
        return _LABELS[test]
    except KeyError as error:
        raise SealedTestError(
            "this sealed test is a copy, and labels are never copied along; "
            "load the data set again and split it"
        ) from error
