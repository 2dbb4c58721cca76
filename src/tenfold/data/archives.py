"""NumPy archives (.npz) of images and labels, with every size checked before it is unpacked."""

from __future__ import annotations

import zipfile
from contextlib import closing
from math import prod
from pathlib import Path
from typing import IO
from zlib import error as zlib_error

import numpy as np
from numpy.lib import format as npy

from tenfold.data.compressed import MAX_CONTENT_BYTES
from tenfold.data.raw import Array, RawData, RawRows, check_shape, encode, to_rows
from tenfold.errors import ConfigError, CorruptDataError, nearest

_IMAGES = ("x", "X", "images", "data", "x_train", "X_train", "train_images")
_LABELS = ("y", "Y", "labels", "targets", "target", "y_train", "Y_train", "train_labels")
_TEST_IMAGES = ("x_test", "X_test", "test_images")
_TEST_LABELS = ("y_test", "Y_test", "test_labels")
_GROUPS = ("groups", "groups_train")
_TEST_GROUPS = ("groups_test",)
_CLASS_NAMES = "class_names"
#: Luma of red, green and blue, ITU-R BT.601.
_LUMA = np.array([0.299, 0.587, 0.114])
#: Others unpack a whole chunk at once, to however many bytes it gives.
_BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def read_npz(
    path: Path,
    *,
    label_column: str | None = None,
    group_column: str | None = None,
    image_shape: tuple[int, int] | None = None,
    max_bytes: int = MAX_CONTENT_BYTES,
) -> RawData:
    """Read an archive of arrays.

    Images are ``x``, ``X``, ``images`` or ``data``, labels ``y``, ``labels`` or ``targets``;
    Keras's ``x_train, y_train, x_test, y_test`` give an official test part; ``groups`` and
    ``class_names`` are optional. Nothing is unpickled.

    Args:
        path: The archive.
        label_column: Name of the array of labels, if it is none of the above.
        group_column: Name of the array of groups, likewise.
        image_shape: Height and width of flat rows that are not square.
        max_bytes: The most bytes of all arrays together, unpacked.

    Returns:
        The rows.

    Raises:
        CorruptDataError: Not an archive, damaged, too large, or without images and labels.
        ConfigError: A named array does not exist, or ``image_shape`` contradicts the images.
    """
    try:
        with closing(_Archive(path, max_bytes)) as archive:
            return _read(archive, label_column, group_column, image_shape)
    # A damaged archive raises any of these, from zipfile, zlib or numpy.
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib_error) as error:
        if isinstance(error, CorruptDataError | ConfigError):
            raise
        raise _damaged(path, error) from error
    except (NotImplementedError, RuntimeError, MemoryError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> CorruptDataError:
    return CorruptDataError(f"{path} cannot be read as an .npz archive ({error}); save it again")


class _Archive:
    """The arrays of an archive, each checked before it is unpacked."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self._zip = zipfile.ZipFile(path)
        self._members = {
            info.filename.removesuffix(".npy"): info
            for info in self._zip.infolist()
            if info.filename.endswith(".npy")
        }
        total = sum(info.file_size for info in self._members.values())
        if total > max_bytes:
            self._zip.close()
            raise CorruptDataError(
                f"{path} declares {total:,} bytes of arrays, allowed are {max_bytes:,}"
            )

    def close(self) -> None:
        self._zip.close()

    def find(self, named: str | None, names: tuple[str, ...]) -> str | None:
        """Return the one name that is there; one the caller named must be."""
        if named is not None:
            if named not in self._members:
                raise ConfigError(
                    [f"{self.path} has no array {named!r}. {nearest(named, self._members)}"]
                )
            return named
        found = [name for name in names if name in self._members]
        if len(found) > 1:
            raise CorruptDataError(
                f"{self.path} has {' and '.join(map(repr, found))}, which mean the same; "
                "leave one out"
            )
        return found[0] if found else None

    def read(self, name: str) -> Array:
        info = self._members[name]
        if info.compress_type not in _BOUNDED:
            raise CorruptDataError(
                f"{self.path}: array {name!r} is compressed by method {info.compress_type}; "
                "allowed are Stored (0) and Deflate (8); save it by numpy.savez_compressed"
            )
        with self._zip.open(info) as file:
            shape, dtype, start = _read_header(file)
        if dtype.hasobject:
            raise CorruptDataError(
                f"{self.path}: array {name!r} holds Python objects, which are never unpickled; "
                "save it as numbers or as text of a fixed length"
            )
        if start + prod(shape) * dtype.itemsize > info.file_size:
            raise CorruptDataError(
                f"{self.path}: array {name!r} declares {shape} of {dtype} and is truncated"
            )
        with self._zip.open(info) as file:
            array: Array = npy.read_array(file, allow_pickle=False)
        return array

    def names(self) -> str:
        return ", ".join(sorted(self._members)) or "none"


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[np.generic], int]:
    version = npy.read_magic(file)
    reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = reader(file)
    return shape, dtype, file.tell()


def _read(
    archive: _Archive,
    label_column: str | None,
    group_column: str | None,
    image_shape: tuple[int, int] | None,
) -> RawData:
    where = str(archive.path)
    x, y = archive.find(None, _IMAGES), archive.find(label_column, _LABELS)
    if x is None or y is None:
        missing, names = ("images", _IMAGES) if x is None else ("labels", _LABELS)
        raise CorruptDataError(
            f"{where} has no array of {missing}: expected one of {', '.join(names)}, "
            f"found {archive.names()}"
        )
    g = archive.find(group_column, _GROUPS)
    train = _rows(archive, (x, y, g), image_shape)
    x_test, y_test = archive.find(None, _TEST_IMAGES), archive.find(None, _TEST_LABELS)
    if (x_test is None) != (y_test is None):
        raise CorruptDataError(f"{where} has {x_test or y_test!r} alone; images need labels")
    test = None
    if x_test is not None and y_test is not None:
        g_test = archive.find(None, _TEST_GROUPS) if g else None
        test = _rows(archive, (x_test, y_test, g_test), image_shape)
    named = archive.find(None, (_CLASS_NAMES,))
    return RawData(train, test, None if named is None else _class_names(archive, named))


def _rows(
    archive: _Archive,
    names: tuple[str, str, str | None],
    image_shape: tuple[int, int] | None,
) -> RawRows:
    where = f"{archive.path} ({names[0]}, {names[1]})"
    images = _to_grey_rows(archive.read(names[0]), image_shape, where=where)
    labels = archive.read(names[1])
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    groups = None if names[2] is None else archive.read(names[2])
    return RawRows(where, images, labels, groups)


def _to_grey_rows(images: Array, image_shape: tuple[int, int] | None, *, where: str) -> Array:
    """Turn flat, grey or colour images, channels first or last, into grey rows."""
    if images.dtype.kind not in "biuf":
        raise CorruptDataError(f"{where}: images must be numbers, got {images.dtype}")
    if images.ndim == 4 and images.shape[1] in (1, 3) and images.shape[3] not in (1, 3):
        images = np.moveaxis(images, 1, 3)
    if images.ndim == 4 and images.shape[3] == 3 and images.size:
        images = _luma(images)
    elif images.ndim == 4 and images.shape[3] == 1:
        images = images[..., 0]
    if images.ndim == 2:
        return to_rows(images, image_shape, where=where)
    if images.ndim != 3:
        raise CorruptDataError(
            f"{where}: images must have shape (n, pixels), (n, height, width) or "
            f"(n, height, width, 1 or 3), got {images.shape}"
        )
    check_shape((images.shape[1], images.shape[2]), image_shape, where=where)
    return images


def _luma(images: Array) -> Array:
    """Weigh the colours, keeping whole numbers whole and the range as it is."""
    grey = np.clip(images @ _LUMA, images.min(), images.max())
    luma: Array = grey if images.dtype.kind == "f" else np.rint(grey).astype(images.dtype)
    return luma


def _class_names(archive: _Archive, name: str) -> tuple[str, ...]:
    values = archive.read(name)
    where = f"{archive.path} ({name})"
    if values.ndim != 1:
        raise CorruptDataError(f"{where}: class names must lie on one axis, got {values.shape}")
    unique, (indices,) = encode([values], what="class name", where=where)
    if len(unique) != len(values):
        raise CorruptDataError(f"{where}: a class name occurs twice")
    return tuple(unique[index] for index in indices)
