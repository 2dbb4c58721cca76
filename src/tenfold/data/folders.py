"""Folders with one folder of pictures per class."""

from __future__ import annotations

import logging
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tenfold.data.compressed import MAX_CONTENT_BYTES
from tenfold.data.raw import RawData, RawRows, natural_order
from tenfold.data.values import AS_THEY_ARE
from tenfold.errors import ConfigError, CorruptDataError, ImageError

_LOGGER = logging.getLogger(__name__)

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"})
PREFIX_GROUPS = "prefix"

_THREADS = 4
_PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
}


def read_class_folders(
    folder: Path,
    *,
    group_column: str | None = None,
    image_shape: tuple[int, int] | None = None,
) -> RawData:
    """Read pictures sorted into one folder per class, perhaps below ``train`` and ``test``.

    The folders' names are the class names. Hidden files and folders are skipped.

    Args:
        folder: Holds the class folders, or ``train`` and, optionally, ``test`` with class folders
            (also called ``training`` and ``testing``).
        group_column: ``"prefix"`` groups files of the same name up to the first ``_`` or ``-``.
        image_shape: Height and width to resize to; None: all pictures must have one size.

    Returns:
        The rows.

    Raises:
        CorruptDataError: A picture is damaged, a class folder empty, sizes differ, or there are
            parts that tenfold does not take, such as ``val``.
        ConfigError: ``group_column`` is something else, or resizing to ``image_shape`` would take
            more than 4 GiB.
    """
    if group_column not in (None, PREFIX_GROUPS):
        problem = (
            f"group_column is {group_column!r}, but {folder} has pictures and no columns; "
            f"allowed is {PREFIX_GROUPS!r}: the part of a file's name before the first _ or -"
        )
        raise ConfigError([problem])
    parts = _find_parts(folder)
    grouped = group_column is not None
    train = _read_part(parts.get("train", folder), image_shape, grouped=grouped)
    test = None
    if "test" in parts:
        test = _read_part(parts["test"], image_shape, grouped=grouped)
    return RawData(train, test, rule=AS_THEY_ARE)


def _find_parts(folder: Path) -> dict[str, Path]:
    """Return the folders of ``train`` and perhaps ``test``; none where the folders are classes."""
    found: dict[str, list[Path]] = {}
    others = []
    for path in sorted(_folders(folder)):
        part = _PARTS.get(path.name.lower())
        if part is None:
            others.append(path)
        else:
            found.setdefault(part, []).append(path)
    named = [path for paths in found.values() for path in paths]
    if "train" not in found or (others and (len(found) < 2 or any(map(_has_pictures, named)))):
        return {}
    if others:
        raise CorruptDataError(
            f"{folder}: {found['train'][0].name}/ holds folders as a part of the data does, and "
            f"{others[0].name}/ lies beside it; move it elsewhere, or into the parts if it is a "
            "class"
        )
    if "validation" in found:
        raise CorruptDataError(
            f"{folder}: move the pictures of {found['validation'][0].name}/ into the class folders "
            f"of {found['train'][0].name}/: tenfold makes its own validation rows"
        )
    for paths in found.values():
        if len(paths) > 1:
            names = " and ".join(f"{path.name}/" for path in paths)
            raise CorruptDataError(f"{folder}: {names} mean the same part; put them together")
    return {part: path for part, (path,) in found.items()}


def _has_pictures(folder: Path) -> bool:
    return any(path.suffix.lower() in SUFFIXES for path in folder.iterdir())


def _folders(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if p.is_dir() and not p.name.startswith((".", "__"))]


def _read_part(folder: Path, image_shape: tuple[int, int] | None, *, grouped: bool) -> RawRows:
    files: list[Path] = []
    labels: list[str] = []
    for name in natural_order(path.name for path in _folders(folder)):
        found = _pictures(folder / name)
        if not found:
            raise CorruptDataError(
                f"{folder / name} holds no pictures ({', '.join(sorted(SUFFIXES))}); "
                "fill it or remove it"
            )
        files += found
        labels += [name] * len(found)
    if not files:
        raise CorruptDataError(
            f"{folder} holds no class folders; make one folder per class, named like the class, "
            "with its pictures in it"
        )
    _check_room(len(files), image_shape, where=folder)
    with ThreadPoolExecutor(_THREADS) as pool:
        images = list(pool.map(lambda path: _picture(path, image_shape), files))
    groups = np.array([re.split("[_-]", path.stem)[0] for path in files]) if grouped else None
    return RawRows(str(folder), _stack(images, folder), np.array(labels), groups)


def _check_room(n: int, image_shape: tuple[int, int] | None, *, where: Path) -> None:
    """Refuse a shape that would turn small pictures into more than memory should hold."""
    height, width = image_shape or (0, 0)
    if n * height * width > MAX_CONTENT_BYTES:
        problem = (
            f"image_shape is {height}x{width}, which takes {n * height * width:,} bytes for the "
            f"{n:,} pictures of {where}; allowed are {MAX_CONTENT_BYTES:,}, give a smaller one"
        )
        raise ConfigError([problem])


def _pictures(folder: Path) -> list[Path]:
    """Return a class's pictures at any depth, in the order of their names."""
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    pictures = [path for path in files if path.suffix.lower() in SUFFIXES]
    if len(pictures) < len(files):
        _LOGGER.warning(
            "%s: skipped %d files that are no pictures", folder, len(files) - len(pictures)
        )
    return pictures


def _picture(path: Path, image_shape: tuple[int, int] | None) -> npt.NDArray[np.uint8]:
    # Here, because data without pictures are read where there is no Pillow.
    from PIL import Image

    from tenfold.imaging import decode_image

    try:
        grey = decode_image(path)
    except ImageError as error:
        raise CorruptDataError(f"{path}: {error}") from error
    if image_shape is None or grey.shape == tuple(image_shape):
        return grey
    height, width = image_shape
    # Pillow's bilinear filter widens with the reduction, so that no pixel is skipped.
    resized = Image.fromarray(grey).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized)


def _stack(images: list[npt.NDArray[np.uint8]], folder: Path) -> npt.NDArray[np.uint8]:
    sizes = Counter(image.shape for image in images)
    if len(sizes) > 1:
        common = ", ".join(f"{h}x{w} ({n})" for (h, w), n in sizes.most_common(3))
        raise CorruptDataError(
            f"{folder}: the pictures have {len(sizes)} sizes, heightxwidth: {common}"
            f"{', …' if len(sizes) > 3 else ''}; set image_shape to resize them all"
        )
    return np.stack(images)
