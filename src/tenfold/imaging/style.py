"""The style of pictures: which way round their ink is, and whether it fills the frame."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from tenfold.schema import FrozenModel

Grey = npt.NDArray[np.uint8]
Levels = npt.NDArray[np.floating[Any]]

_FULL = 0.9  # MNIST's ink fills 20 of 28 pixels, .71; USPS's and Fashion-MNIST's all of them
_FAINT = 0.1
_MOST_MEASURED = 1000


class PictureStyle(FrozenModel):
    """How the pictures look that a model was trained on."""

    ink: Literal["light", "dark", "mixed"] = Field(
        default="light",
        description="Light on dark, as in MNIST, dark on light, or mixed: both, in pictures whose "
        "ink reaches the frame. Pictures for a model of mixed ink are taken as they are.",
    )
    fills_frame: bool = Field(
        default=False,
        description="Whether the ink reaches the frame, as in Fashion-MNIST; else it lies in a box "
        "of 20/28 of the frame, its centre of mass in the middle, as in MNIST.",
    )


def measure_style(images: Grey, image_shape: tuple[int, int]) -> PictureStyle:
    """Find the style of images by what 1,000 of them show, taken at equal steps.

    Most of them decide; but where the ink reaches the frame, the paper is hardly told from it, and
    the ink is mixed unless all agree.

    Args:
        images: ``(n, height * width)`` uint8, n at least 1.
        image_shape: Height and width in pixels.
    """
    rows = np.linspace(0, len(images) - 1, min(len(images), _MOST_MEASURED)).astype(np.int64)
    pictures = images[rows].reshape(-1, *image_shape)
    dark = np.array([ink_is_dark(picture) for picture in pictures])
    shares = []
    for picture in pictures:
        box = ink_box(ink_levels(picture))
        if box is not None:
            sides = zip(box, image_shape, strict=True)
            shares.append(max((part.stop - part.start) / side for part, side in sides))
    fills = bool(shares) and float(np.median(shares)) >= _FULL
    if fills and dark.any() and not dark.all():
        return PictureStyle(ink="mixed", fills_frame=True)
    return PictureStyle(ink="dark" if np.median(dark) > 0.5 else "light", fills_frame=fills)


def ink_is_dark(picture: Grey) -> bool:
    """Say whether the paper, the median of the border, is lighter than the middle of the range."""
    return paper_level(picture) > (float(picture.min()) + float(picture.max())) / 2


def paper_level(picture: Grey) -> float:
    """Return the median of a picture's outermost pixels, 0 to 255."""
    border = (picture[0], picture[-1], picture[1:-1, 0], picture[1:-1, -1])
    return float(np.median(np.concatenate(border)))


def ink_levels(picture: Grey) -> Levels:
    """Return how far each pixel is from the paper towards the ink, 0 to 1 at the strongest.

    Args:
        picture: ``(height, width)`` uint8.

    Returns:
        ``(height, width)`` float64; all zero for a picture of one level.
    """
    sign = -1.0 if ink_is_dark(picture) else 1.0
    levels = np.maximum(sign * (picture.astype(np.float64) - paper_level(picture)), 0.0)
    strongest = float(levels.max())
    return levels / strongest if strongest > 0 else levels


def ink_box(levels: Levels) -> tuple[slice, slice] | None:
    """Return the rows and columns that hold ink of at least a tenth of the strongest, or None."""
    rows = np.flatnonzero((levels >= _FAINT).any(axis=1))
    columns = np.flatnonzero((levels >= _FAINT).any(axis=0))
    if not rows.size:
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
