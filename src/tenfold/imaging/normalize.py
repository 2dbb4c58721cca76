"""Bringing one picture into the style that a model was trained on."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from PIL import Image

from tenfold.errors import ImageError
from tenfold.imaging.style import (
    Grey,
    Levels,
    PictureStyle,
    ink_box,
    ink_is_dark,
    ink_levels,
)

#: The part of the frame that MNIST scales ink into: 20 of 28 pixels.
BOX = Fraction(20, 28)

_LEAST_CONTRAST = 16


def normalize_image(
    grey: Grey, image_shape: tuple[int, int], *, style: PictureStyle | None = None
) -> Grey:
    """Return a picture as one image of a model's training data.

    The paper is what the border shows; ink is turned the way round of the style. Where the style
    leaves a margin, the ink is cut out, scaled into a box of 20/28 of the frame with its aspect
    kept, made to reach the full range, and laid so that its centre of mass is in the middle
    (LeCun, Bottou, Bengio and Haffner (1998), "Gradient-based learning applied to document
    recognition", section III.A). Where the style fills the frame, the picture is only resized; and
    turned as the ink of the style is, unless that is mixed.

    Args:
        grey: ``(height, width)`` uint8, 0 is black.
        image_shape: Height and width of the result in pixels.
        style: The style of the training data; default: MNIST's.

    Returns:
        ``image_shape`` uint8.

    Raises:
        ImageError: The picture has no pixels, or nothing in it stands out from its paper.
    """
    style = style or PictureStyle()
    if grey.ndim != 2 or grey.dtype != np.uint8 or not grey.size:
        raise ImageError(
            "a picture must be uint8 of shape (height, width) with at least one pixel, "
            f"got {grey.dtype} of shape {grey.shape}"
        )
    if style.fills_frame:
        turns = style.ink != "mixed" and ink_is_dark(grey) != (style.ink == "dark")
        turned = 255 - grey if turns else grey
        return np.rint(_resized(turned.astype(np.float64), image_shape)).astype(np.uint8)
    contrast = int(grey.max()) - int(grey.min())
    levels = ink_levels(grey)
    box = ink_box(levels)
    if contrast < _LEAST_CONTRAST or box is None:
        raise ImageError(
            f"the picture shows nothing: its grey levels differ by {contrast}, and ink must differ "
            f"from its paper by at least {_LEAST_CONTRAST}; use a picture with more contrast"
        )
    ink = _centred(_fitted(levels[box], image_shape), image_shape)
    inked = np.rint(255 * ink).astype(np.uint8)
    return 255 - inked if style.ink == "dark" else inked


def _fitted(levels: Levels, image_shape: tuple[int, int]) -> Levels:
    """Scale ink into the box, its aspect kept, its strongest level 1."""
    scale = min(BOX * side / length for side, length in zip(image_shape, levels.shape, strict=True))
    height, width = (max(1, round(scale * length)) for length in levels.shape)
    scaled = np.clip(_resized(levels, (height, width)), 0.0, 1.0)
    strongest = float(scaled.max())  # thin strokes pale when they are shrunk
    return scaled / strongest if strongest > 0 else scaled


def _centred(ink: Levels, image_shape: tuple[int, int]) -> Levels:
    """Lay ink on an empty frame, its centre of mass as near to the middle as its size allows."""
    frame = np.zeros(image_shape)
    corner = []
    for axis, side in enumerate(image_shape):
        mass = ink.sum(axis=1 - axis)
        centre = float(mass @ np.arange(len(mass)) / mass.sum())
        corner.append(min(max(int(side / 2 - centre + 0.5), 0), side - len(mass)))
    top, left = corner
    frame[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return frame


def _resized(levels: Levels, shape: tuple[int, int]) -> Levels:
    """Shrink by averaging what falls together, enlarge smoothly; the same size changes nothing."""
    if levels.shape == shape:
        return levels
    image = Image.fromarray(levels.astype(np.float32))
    height, width = shape
    shrinks = height <= levels.shape[0] and width <= levels.shape[1]
    method = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    return np.asarray(image.resize((width, height), method), dtype=np.float64)
