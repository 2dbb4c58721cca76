"""Images of one file, ready for a model: a picture, or a NumPy array of many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from tenfold.errors import ImageError
from tenfold.imaging.decode import decode_image
from tenfold.imaging.normalize import normalize_image
from tenfold.imaging.style import Grey, PictureStyle

MAX_ARRAY_BYTES = 2**30


def load_images(path: Path, image_shape: tuple[int, int], *, style: PictureStyle) -> Grey:
    """Read the images of one file.

    Args:
        path: A picture, which is normalised; or an ``.npy`` file of whole numbers 0 to 255, taken
            as they are, of shape ``(height, width)``, ``(n, height, width)`` or
            ``(n, height * width)``.
        image_shape: Height and width that the model takes, in pixels.
        style: What the model was trained on.

    Returns:
        ``(n, height * width)`` uint8, n at least 1.

    Raises:
        ImageError: The file cannot be read, or holds something else.
    """
    if path.suffix.lower() == ".npy":
        return _read_array(path, image_shape)
    return normalize_image(decode_image(path), image_shape, style=style).reshape(1, -1)


def _read_array(path: Path, image_shape: tuple[int, int]) -> Grey:
    height, width = image_shape
    array: npt.NDArray[Any]
    try:
        # Mapped, so that a header that promises more than the file has costs nothing; objects,
        # which would be unpickled, cannot be mapped.
        array = npy.open_memmap(path, mode="r")
    # A damaged header raises almost anything.
    except Exception as error:
        raise ImageError(
            f"{path.name} cannot be read as an .npy array of numbers: {error}"
        ) from error
    if array.shape == image_shape:
        array = array[None]
    if array.shape[1:] not in ((height, width), (height * width,)) or not array.size:
        raise ImageError(
            f"{path.name} has shape {array.shape}; allowed are ({height}, {width}), "
            f"(n, {height}, {width}) and (n, {height * width})"
        )
    if array.dtype.kind not in "iub" or array.nbytes > MAX_ARRAY_BYTES:
        raise ImageError(
            f"{path.name} has {array.nbytes:,} bytes of {array.dtype}; "
            f"allowed are whole numbers 0 to 255, at most {MAX_ARRAY_BYTES:,} bytes of them"
        )
    if array.min() < 0 or array.max() > 255:
        raise ImageError(
            f"{path.name} has values from {array.min()} to {array.max()}; allowed are 0 to 255"
        )
    return np.array(array, dtype=np.uint8).reshape(len(array), -1)
