"""The IDX format of the MNIST files: one array per file, big-endian, and folders of such files.

Format: http://yann.lecun.com/exdb/mnist (section "file formats").
"""

from __future__ import annotations

import re
from math import prod
from pathlib import Path

import numpy as np

from tenfold.data.compressed import read_content
from tenfold.data.raw import Array, RawData, RawRows, check_shape
from tenfold.errors import CorruptDataError

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_IMAGES = re.compile(r"images?[-._]?idx", re.IGNORECASE)
_TEST = re.compile(r"(^|[-._])(t10k|test)([-._]|$)", re.IGNORECASE)


def parse_idx(content: bytes, *, where: str) -> Array:
    """Read the array in the unpacked bytes of an IDX file.

    Args:
        content: Two zero bytes, a type, the number of axes, their lengths, the values.
        where: The file that errors name.

    Returns:
        A read-only array of the declared type and shape.

    Raises:
        CorruptDataError: Wrong magic number, or fewer or more bytes than declared.
    """
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _TYPES:
        raise CorruptDataError(
            f"{where} is no IDX file: it starts with {content[:4].hex(' ')!r}, expected is "
            "'00 00', a type and the number of axes"
        )
    dtype, axes = np.dtype(_TYPES[content[2]]), content[3]
    start = 4 + 4 * axes
    if axes == 0 or len(content) < start:
        raise CorruptDataError(f"{where} is truncated within its header")
    shape = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4))
    declared, found = prod(shape) * dtype.itemsize, len(content) - start
    if declared != found:
        raise CorruptDataError(
            f"{where} declares {'x'.join(map(str, shape))} values, {declared:,} bytes, and holds "
            f"{found:,}; it is {'truncated' if found < declared else 'too long'}: replace it"
        )
    return np.frombuffer(content, dtype=dtype, offset=start).reshape(shape)


def read_idx(path: Path) -> Array:
    """Read one IDX file, packed or not.

    Raises:
        DatasetNotFoundError: There is no such file.
        CorruptDataError: It is damaged.
    """
    return parse_idx(read_content(path), where=str(path))


def holds_idx(folder: Path) -> bool:
    """Tell whether a folder holds IDX files of images."""
    return any(_IMAGES.search(path.name) for path in folder.iterdir())


def read_idx_folder(folder: Path, *, image_shape: tuple[int, int] | None = None) -> RawData:
    """Read a folder laid out like MNIST's.

    One pair ``…images-idx3-ubyte[.gz]`` and ``…labels-idx1-ubyte[.gz]`` is learned from; a second
    pair with ``t10k`` or ``test`` in its names is the official test part.

    Args:
        folder: Where the files lie.
        image_shape: Must agree with the files, if given.

    Returns:
        The rows.

    Raises:
        CorruptDataError: A file is damaged, has no partner, or two files play the same part.
        ConfigError: ``image_shape`` contradicts the files.
    """
    parts: dict[bool, dict[str, Path]] = {False: {}, True: {}}
    for path in sorted(folder.iterdir()):
        if _IMAGES.search(path.name):
            stem = path.name.removesuffix(".gz")
            parts[bool(_TEST.search(stem))].setdefault(stem, path)
    if len(parts[False]) != 1 or len(parts[True]) > 1:
        names = sorted([*parts[False], *parts[True]])
        raise CorruptDataError(
            f"{folder} must hold one file of images to learn from and at most one with 't10k' or "
            f"'test' in its name, found {', '.join(names)}"
        )
    rows = [_read_pair(path, image_shape) for part in parts.values() for path in part.values()]
    return RawData(rows[0], rows[1] if len(rows) == 2 else None)


def _read_pair(path: Path, image_shape: tuple[int, int] | None) -> RawRows:
    images = read_idx(path)
    if images.ndim != 3:
        raise CorruptDataError(f"{path} must hold images on three axes, it has {images.ndim}")
    check_shape((images.shape[1], images.shape[2]), image_shape, where=str(path))
    return RawRows(str(path), images, read_idx(_partner(path)))


def _partner(path: Path) -> Path:
    """Return the labels file that belongs to a file of images."""
    name = path.name.removesuffix(".gz").replace("idx3", "idx1").replace("image", "label")
    for candidate in (name, f"{name}.gz"):
        if (found := path.with_name(candidate)).is_file():
            return found
    raise CorruptDataError(f"{path} has no labels beside it: expected {name} or {name}.gz")
