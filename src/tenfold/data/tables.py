"""CSV files of one image per row."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tenfold.data.compressed import read_content
from tenfold.data.raw import Array, RawData, RawRows, to_rows
from tenfold.errors import ConfigError, CorruptDataError, nearest

_DELIMITERS = (",", ";", "\t")
_LABEL_NAMES = ("label", "labels", "class", "target", "y")
#: Headers of the column of row numbers that pandas writes.
_INDEX_NAMES = ("", "Unnamed: 0")
#: So many names 0, 1, 2, ... in a row are a header that pandas wrote, never an image.
_MIN_NUMBERED = 4
_WHOLE_FLOAT = re.compile(r"-?\d+\.0*")


def read_csv(
    path: Path,
    *,
    label_column: str | None = None,
    group_column: str | None = None,
    image_shape: tuple[int, int] | None = None,
) -> RawData:
    """Read a table with one image per row: a label, pixels, perhaps a group.

    Separators are commas, semicolons or tabs. A first row of a label and numbers is an image and
    is kept; a first row of names is the header. Without ``label_column`` the labels are the column
    called ``label``, ``labels``, ``class``, ``target`` or ``y``, or else the first.

    Args:
        path: The file, packed by gzip or bzip2 or not.
        label_column: Name of the column of labels.
        group_column: Name of the column of groups.
        image_shape: Height and width; None: the images are square.

    Returns:
        The rows.

    Raises:
        CorruptDataError: Rows of different lengths, or a pixel that is no number.
        ConfigError: A named column does not exist.
    """
    where = str(path)
    table = _open_table(read_content(path), where)
    columns = _find_columns(table, label_column, group_column)
    labels, groups, pixels = [], [], []
    for cells, rest in table.rows(columns.aside):
        labels.append(cells[columns.label].strip())
        groups.append("" if columns.group is None else cells[columns.group].strip())
        pixels.append(rest)
    if not pixels:
        raise CorruptDataError(f"{where} has a header and no images")
    rows = RawRows(
        where,
        to_rows(_numbers(pixels, table), image_shape, where=where),
        np.array(_without_zero_decimals(labels)),
        None if columns.group is None else np.array(groups),
    )
    return RawData(rows)


@dataclass(frozen=True)
class _Table:
    """The lines of a file; ``quoted`` ones go through the slower parser."""

    where: str
    lines: list[str]
    delimiter: str
    quoted: bool
    first: list[str]
    has_header: bool

    def rows(self, aside: tuple[int, ...]) -> Iterator[tuple[dict[int, str], str]]:
        """Yield each image's cells of the columns set aside, and its other cells as one text."""
        for number, line in enumerate(self.lines, start=1):
            if self.has_header and number == 1:
                continue
            cells = self.split(line) if self.quoted else None
            count = line.count(self.delimiter) + 1 if cells is None else len(cells)
            if count != len(self.first):
                raise CorruptDataError(
                    f"{self.where}, row {number}: {count} cells, the first row has "
                    f"{len(self.first)}; every row needs the same number"
                )
            if cells is None and aside == (0,):
                head, _, rest = line.partition(self.delimiter)
                yield {0: head}, rest
                continue
            cells = line.split(self.delimiter) if cells is None else cells
            rest = self.delimiter.join(c for i, c in enumerate(cells) if i not in aside)
            yield {index: cells[index] for index in aside}, rest

    def split(self, line: str) -> list[str]:
        return next(csv.reader([line], delimiter=self.delimiter))


@dataclass(frozen=True)
class _Columns:
    """Positions of the columns that are no pixels."""

    label: int
    group: int | None
    aside: tuple[int, ...]


def _open_table(content: bytes, where: str) -> _Table:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorruptDataError(
            f"{where} is no text in UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from error
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise CorruptDataError(f"{where} is empty; replace it")
    delimiter = max(_DELIMITERS, key=lines[0].count)
    first = [cell.strip() for cell in next(csv.reader([lines[0]], delimiter=delimiter))]
    has_header = _is_header(first, where)
    return _Table(where, lines, delimiter, '"' in text, first, has_header)


def _is_header(cells: Sequence[str], where: str) -> bool:
    """Tell names from an image, so that no image is ever taken for a header."""
    numbers = [cell for cell in cells if _is_number(cell)]
    if not numbers or _is_count(numbers):
        return True
    if all(_is_number(cell) for cell in cells[1:]):
        return False
    raise CorruptDataError(
        f"{where}: the first row mixes numbers and text ({', '.join(cells[:3])}, …, {cells[-1]}), "
        "so it is neither a header nor an image; put the label first or add a header row"
    )


def _is_number(cell: str) -> bool:
    if "_" in cell:  # Python's own digit separator
        return False
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _is_count(numbers: Sequence[str]) -> bool:
    """Tell whether numbers are the names 0, 1, 2, ... or 1, 2, 3, ..."""
    return len(numbers) >= _MIN_NUMBERED and any(
        list(numbers) == [str(i) for i in range(start, start + len(numbers))] for start in (0, 1)
    )


def _find_columns(table: _Table, label_column: str | None, group_column: str | None) -> _Columns:
    header = table.first if table.has_header else []
    for option, name in (("label_column", label_column), ("group_column", group_column)):
        if name is None or name in header:
            continue
        hint = nearest(name, header[:20]) if header else "The file has no header row: add one."
        raise ConfigError([f"{option} is {name!r}, and {table.where} has no such column. {hint}"])
    lower = [name.lower() for name in header]
    default = next((lower.index(name) for name in _LABEL_NAMES if name in lower), 0)
    label = default if label_column is None else header.index(label_column)
    group = None if group_column is None else header.index(group_column)
    aside = {label} | ({group} if group is not None else set())
    aside |= {index for index, name in enumerate(header) if name in _INDEX_NAMES}
    if len(aside) == len(table.first):
        raise CorruptDataError(f"{table.where} has no columns of pixels")
    return _Columns(label, group, tuple(sorted(aside)))


def _without_zero_decimals(labels: list[str]) -> list[str]:
    """Return 5 for 5.0, if all labels are such: programs write whole numbers so."""
    if all(_WHOLE_FLOAT.fullmatch(label) for label in labels):
        return [label.partition(".")[0] for label in labels]
    return labels


def _numbers(texts: list[str], table: _Table) -> Array:
    """Parse the pixels of every row."""
    try:
        return np.loadtxt(
            texts, delimiter=table.delimiter, dtype=np.float32, comments=None, ndmin=2
        )
    except ValueError as error:
        first_row = 2 if table.has_header else 1
        for number, text in enumerate(texts, start=first_row):
            for cell in text.split(table.delimiter):
                if not _is_number(cell):
                    raise CorruptDataError(
                        f"{table.where}, row {number}: {cell!r} is no number; every column but "
                        "the label and the group must hold pixels"
                    ) from error
        raise CorruptDataError(f"{table.where}: {error}") from error
