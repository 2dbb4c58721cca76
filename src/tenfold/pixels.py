"""What an array of grey images must be, the same for every door that it comes in by."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.errors import ModelInputError

Images = npt.NDArray[np.uint8]


def check_images(X: npt.ArrayLike) -> Images:
    """Return images as uint8, whatever numeric type they came in.

    Args:
        X: ``(n, height * width)``, whole numbers 0 to 255. Never modified.

    Returns:
        The same values; the same array where it is uint8 already.

    Raises:
        ModelInputError: Not two-dimensional, empty, not numeric, NaN, out of 0..255, or not whole.
    """
    try:
        array = np.asarray(X)
    except ValueError as error:
        raise ModelInputError(f"X must be a rectangular array: {error}.") from error
    if array.ndim != 2:
        raise ModelInputError(
            f"X must be two-dimensional (n, height * width); got shape {array.shape}. "
            "Reshape with X.reshape(len(X), -1)."
        )
    if not array.size:
        raise ModelInputError(
            f"X must hold at least one image of at least one pixel; got shape {array.shape}."
        )
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "iufb":
        raise ModelInputError(f"X must be numeric, pixels of 0 to 255; got dtype {array.dtype}.")
    return _whole_pixels(array)


def _whole_pixels(array: npt.NDArray[Any]) -> Images:
    """Cast to uint8 where that loses nothing."""
    low, high = array.min(), array.max()
    if not (low >= 0 and high <= 255):  # false for NaN as well
        raise ModelInputError(
            f"Pixels must be 0 to 255 and not NaN; got {low!s} to {high!s}. "
            "Map the values to 0..255 first."
        )
    pixels = array.astype(np.uint8)
    if array.dtype.kind == "f" and not np.array_equal(pixels, array):
        fraction = array[pixels != array][0]
        raise ModelInputError(
            f"Pixels must be whole numbers 0 to 255; got {fraction!s}. "
            "Scaling to 0..1 happens inside the model: pass np.rint(255 * X) instead."
        )
    return pixels
