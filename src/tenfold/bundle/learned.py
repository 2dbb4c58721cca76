"""Which images a model has learned from, as digests: so that no score is taken on them unawares."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.errors import BundleError

#: Bytes of a digest. Among 60,000 digests the chance that an image which was not learned from is
#: taken for one is 3e-15.
_BYTES = 8
_STORED = np.dtype(f">u{_BYTES}")


@dataclass(frozen=True, eq=False)
class LearnedImages:
    """The images that a model and its choices come from: all but the sealed test.

    Only the very same pixels are found again: an image that was moved, scaled or compressed since
    is another one.

    Args:
        digests: ``(n,)`` uint64, rising: one of each different image.
    """

    digests: npt.NDArray[np.uint64] = field(repr=False)

    @classmethod
    def of(cls, images: npt.NDArray[np.uint8]) -> LearnedImages:
        """Return the digests of ``(n, height * width)`` images."""
        return cls(np.unique(_digests(images)))

    @classmethod
    def from_bytes(cls, content: bytes) -> LearnedImages:
        """Read what `to_bytes` returned.

        Raises:
            BundleError: It is something else.
        """
        if len(content) % _BYTES:
            raise BundleError(f"it has {len(content):,} bytes, which are no digests of {_BYTES}")
        digests = np.frombuffer(content, _STORED).astype(np.uint64)
        if (digests[1:] <= digests[:-1]).any():
            raise BundleError("its digests are not in rising order")
        return cls(digests)

    def to_bytes(self) -> bytes:
        """Return the digests one after another, most significant byte first."""
        return self.digests.astype(_STORED).tobytes()

    def among(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
        """Return ``(n,)``, True for each of ``(n, height * width)`` images that is one of them."""
        found: npt.NDArray[np.bool_] = np.isin(_digests(images), self.digests)
        return found


def _digests(images: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    rows = (
        hashlib.blake2b(row, digest_size=_BYTES).digest() for row in np.ascontiguousarray(images)
    )
    return np.frombuffer(b"".join(rows), _STORED).astype(np.uint64)
