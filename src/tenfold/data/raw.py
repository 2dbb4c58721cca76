"""What a reader hands over: images and labels as the files have them, and checks on both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.data.values import ValueRule
from tenfold.errors import ConfigError, CorruptDataError

Array = npt.NDArray[Any]
_MISSING = {"", "nan", "NaN"}


@dataclass(frozen=True, eq=False)
class RawRows:
    """Rows as a file has them.

    Args:
        where: The file or folder that errors name.
        images: ``(n, height, width)`` real numbers.
        labels: ``(n,)`` whole numbers or text.
        groups: ``(n,)`` whole numbers or text; None without groups.

    Raises:
        CorruptDataError: No rows, or numbers of rows that differ.
    """

    where: str
    images: Array
    labels: Array
    groups: Array | None = None

    def __post_init__(self) -> None:
        n = len(self.images)
        if self.images.size == 0:
            raise CorruptDataError(f"{self.where}: there are no images in it")
        for what, array in (("labels", self.labels), ("groups", self.groups)):
            if array is not None and array.shape != (n,):
                raise CorruptDataError(
                    f"{self.where}: {n} images need {n} {what} in one dimension, "
                    f"got {what} of shape {array.shape}"
                )


@dataclass(frozen=True, eq=False)
class RawData:
    """What a reader found: rows to learn from, official test rows, and what the format fixes.

    Args:
        train: Rows to learn from.
        test: Official test rows; None without.
        class_names: Names that integer labels point into; None: the labels name the classes.
        rule: The value rule, where the format fixes it; None: found from the values.
    """

    train: RawRows
    test: RawRows | None = None
    class_names: tuple[str, ...] | None = None
    rule: ValueRule | None = None


def natural_order(names: Iterable[str]) -> list[str]:
    """Sort class names, whole numbers by value and before text.

    >>> natural_order(["10", "9", "b", "a"])
    ['9', '10', 'a', 'b']
    """
    return sorted(names, key=_natural_key)


def _natural_key(name: str) -> tuple[bool, int, str]:
    digits = name.removeprefix("-")
    is_number = digits.isascii() and digits.isdigit() and len(digits) < 19
    return (not is_number, int(name) if is_number else 0, name)


def to_rows(flat: Array, image_shape: tuple[int, int] | None, *, where: str) -> Array:
    """Give flat rows their height and width.

    Args:
        flat: ``(n, pixels)``.
        image_shape: Height and width; None: the images are square.
        where: The file that errors name.

    Returns:
        ``(n, height, width)``.

    Raises:
        CorruptDataError: The number of pixels fits neither the shape given nor a square.
    """
    n, pixels = flat.shape
    side = isqrt(pixels)
    height, width = image_shape or (side, side)
    if height * width != pixels or pixels == 0:
        rule = (
            f"image_shape {height}x{width} needs {height * width}"
            if image_shape
            else "a square image needs a square number of them"
        )
        raise CorruptDataError(
            f"{where}: rows have {pixels} pixels, but {rule}; set image_shape to the height and "
            "width, and label_column and group_column to the columns that are no pixels"
        )
    return flat.reshape(n, height, width)


def check_shape(found: tuple[int, int], wanted: tuple[int, int] | None, *, where: str) -> None:
    """Refuse a wanted shape that contradicts what the files say.

    Raises:
        ConfigError: The two differ.
    """
    if wanted is not None and tuple(wanted) != tuple(found):
        problem = (
            f"image_shape is {wanted[0]}x{wanted[1]}, but the images of {where} are "
            f"{found[0]}x{found[1]}; leave image_shape out"
        )
        raise ConfigError([problem])


def encode(parts: list[Array], *, what: str, where: str) -> tuple[list[str], list[Array]]:
    """Turn labels or groups into indices of sorted names.

    Args:
        parts: Arrays of whole numbers or text, numbered together.
        what: ``"label"`` or ``"group"``, for errors.
        where: The file that errors name.

    Returns:
        The names in natural order, and per part an ``(n,)`` int64 array of indices.

    Raises:
        CorruptDataError: A value is missing, or a number that is not whole.
    """
    text = [_as_text(part, what=what, where=where) for part in parts]
    found: set[str] = set()
    uniques = []
    for part in text:
        values, inverse = np.unique(part, return_inverse=True)
        names = [str(value).strip() for value in values]
        found.update(names)
        uniques.append((names, inverse.reshape(-1)))
    if found & _MISSING:
        raise CorruptDataError(f"{where}: a {what} is empty or NaN; every image needs one")
    order = natural_order(found)
    position = {name: index for index, name in enumerate(order)}
    indices = [
        np.array([position[name] for name in names], dtype=np.int64)[inverse]
        for names, inverse in uniques
    ]
    return order, indices


def _as_text(values: Array, *, what: str, where: str) -> Array:
    """Return text as it is, and whole numbers as integers."""
    if values.dtype.kind == "U":
        return values
    if values.dtype.kind == "S":
        return np.char.decode(values, "utf-8", "replace")
    if values.dtype.kind == "f":
        whole = np.isfinite(values) & (values == np.rint(values))
        if not whole.all():
            raise CorruptDataError(
                f"{where}: a {what} is {values[~whole][0]}; {what}s must be whole numbers or text"
            )
        return values.astype(np.int64)
    if values.dtype.kind in "biu":
        return values.astype(np.int64)
    raise CorruptDataError(
        f"{where}: {what}s are of type {values.dtype}; they must be whole numbers or text"
    )
