"""The rules that map the values found in files to grey levels of 0..255."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.errors import CorruptDataError

Values = npt.NDArray[Any]

_CHUNK = 1 << 22


@dataclass(frozen=True)
class ValueRule:
    """A straight line from values to grey levels: ``round(value * scale + offset)``.

    Args:
        text: The rule in words, recorded with the data set.
        scale: Grey levels per unit.
        offset: Grey level of zero.
    """

    text: str
    scale: float
    offset: float = 0.0

    def apply(self, values: Values) -> npt.NDArray[np.uint8]:
        """Map values to grey levels.

        Args:
            values: Any shape; every value within the rule's range.

        Returns:
            uint8 of the same shape.
        """
        if values.dtype == np.uint8 and self.scale == 1:
            return values
        grey = np.empty(values.shape, dtype=np.uint8)
        source, target = values.reshape(-1), grey.reshape(-1)
        for start in range(0, source.size, _CHUNK):  # bounds the float64 copies
            part = source[start : start + _CHUNK].astype(np.float64) * self.scale + self.offset
            target[start : start + _CHUNK] = np.clip(np.rint(part), 0, 255)
        return grey


AS_THEY_ARE = ValueRule("0..255 as they are", 1)
_ROUNDED = ValueRule("0..255: round(v)", 1)
_SIXTEEN = ValueRule("0..16: round(v*255/16)", 255 / 16)
_UNIT = ValueRule("0..1: round(v*255)", 255)
_SIGNED = ValueRule("-1..1: round((v+1)*255/2)", 127.5, 127.5)


def find_rule(arrays: Sequence[Values], *, where: str) -> ValueRule:
    """Find the rule for a data set from the range of all its values.

    Values of 0..1 are scaled whatever their type, so 0/1 integers count as black and white.

    Args:
        arrays: Every array of the data set, at least one value in all.
        where: The file that errors name.

    Returns:
        The rule.

    Raises:
        CorruptDataError: Not numbers, not finite, or a range that fits no rule.

    >>> import numpy as np
    >>> find_rule([np.array([[0, 16], [3, 4]])], where="x.npz").text
    '0..16: round(v*255/16)'
    """
    for array in arrays:
        if array.dtype.kind not in "biuf":
            raise CorruptDataError(f"{where}: pixels must be numbers, got {array.dtype}")
    extremes = np.array([[np.min(array), np.max(array)] for array in arrays], dtype=np.float64)
    if not np.isfinite(extremes).all():
        raise CorruptDataError(f"{where}: a pixel is NaN or infinite; every pixel must be a number")
    low, high = float(extremes.min()), float(extremes.max())
    whole = all(array.dtype.kind in "biu" or _is_whole(array) for array in arrays)
    rule = _rule_of(low, high, whole=whole)
    if rule is None:
        raise CorruptDataError(
            f"{where}: pixel values run from {low:g} to {high:g}; allowed ranges are 0..255, "
            "0..16, 0..1 and -1..1; rescale them to one of these"
        )
    return rule


def _is_whole(array: Values) -> bool:
    return bool(np.equal(array, np.rint(array)).all())


def _rule_of(low: float, high: float, *, whole: bool) -> ValueRule | None:
    if low < 0:
        return _SIGNED if low >= -1 and high <= 1 else None
    if high <= 1:
        return _UNIT
    if high <= 16:
        return _SIXTEEN
    if high <= 255:
        return AS_THEY_ARE if whole else _ROUNDED
    return None
