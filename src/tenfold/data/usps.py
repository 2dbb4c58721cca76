"""The two text forms in which the USPS digits are published."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tenfold.data.raw import RawRows
from tenfold.errors import CorruptDataError

Table = npt.NDArray[np.float32]

_PIXELS = 256
_SHAPE = (16, 16)


def parse_usps(content: bytes, *, where: str | Path) -> RawRows:
    """Read USPS digits in either form.

    The form of "The Elements of Statistical Learning" has the digit and 256 values of -1..1 in a
    row; LIBSVM's has the digit plus one and ``position:value`` pairs, positions from 1. Both hold
    the same digits.

    Args:
        content: The unpacked file.
        where: The file that errors name.

    Returns:
        The rows, ``(n, 16, 16)`` float32 of -1..1.

    Raises:
        CorruptDataError: A row cannot be read.
    """
    lines = [line for line in content.decode("ascii", "replace").splitlines() if line.strip()]
    if not lines:
        raise CorruptDataError(f"{where}: there are no images in it; replace the file")
    is_libsvm = ":" in lines[0]
    table = None if is_libsvm else _parse_table(lines)
    if table is None:
        table = _parse_rows(lines, _parse_pairs if is_libsvm else _parse_values, where)
    labels = table[:, 0].astype(np.int64) - is_libsvm
    return RawRows(str(where), table[:, 1:].reshape(-1, *_SHAPE), labels)


def _parse_table(lines: list[str]) -> Table | None:
    """Read all rows at once; None if one of them is damaged."""
    try:
        table = np.loadtxt(lines, dtype=np.float32, comments=None, ndmin=2)
    except ValueError:
        return None
    return table if table.shape[1] == _PIXELS + 1 else None


def _parse_rows(lines: list[str], parse: Callable[[list[str]], Table], where: str | Path) -> Table:
    """Read row by row, to name the one that is damaged."""
    table = np.zeros((len(lines), _PIXELS + 1), dtype=np.float32)
    for row, line in enumerate(lines):
        digit, *cells = line.split()
        try:
            table[row, 0] = float(digit)
            table[row, 1:] = parse(cells)
        except ValueError as error:
            raise CorruptDataError(
                f"{where}, row {row + 1}: not a digit with {_PIXELS} values ({error}); "
                "replace the file"
            ) from error
    return table


def _parse_values(cells: list[str]) -> Table:
    if len(cells) != _PIXELS:
        raise ValueError(f"{len(cells)} values")
    return np.array(cells, dtype=np.float32)


def _parse_pairs(cells: list[str]) -> Table:
    """Read ``position:value`` pairs; what is left out is 0."""
    values = np.zeros(_PIXELS + 1, dtype=np.float32)
    for cell in cells:
        place, _, value = cell.partition(":")
        if not 1 <= int(place) <= _PIXELS:
            raise ValueError(f"position {place}")
        values[int(place)] = float(value)
    return values[1:]
