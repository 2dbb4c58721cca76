"""Pictures of what networks learned: first-layer filters, and where attention goes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from tenfold._optional import require
from tenfold.evaluation.intervals import FloatArray
from tenfold.evaluation.plots import Axes, shorten
from tenfold.evaluation.sheets import LARGEST_SIDE, Pixels
from tenfold.evaluation.style import BLUE, ORANGE, SURFACE, VERMILLION, new_axes

Colours = npt.NDArray[np.uint8]
"""Red, green and blue in the last axis, 0 to 255."""

_DIM = 0.6
_COVER = 0.85
_FLAT = 0.01
_TILE_IN = 0.5
_LETTER_IN = 0.077
_LINE_IN = 0.16
_GAP = 0.12


def plot_filters(filters: FloatArray, ax: Axes | None = None) -> Axes:
    """Draw filters side by side on one scale: blue below zero, white at zero, orange above.

    Args:
        filters: ``(f, height, width)`` weights, f at least 1.
        ax: Where to draw.
    """
    count, height, width = filters.shape
    columns = min(count, max(8, math.ceil(math.sqrt(2 * count))))
    lines = math.ceil(count / columns)
    side = min(_TILE_IN, 4.0 / columns)
    if ax is None:
        ax = new_axes(0.8 + side * columns, max(1.1, 0.2 + side * lines * height / width))
    colours = require("matplotlib.colors").LinearSegmentedColormap.from_list(
        "weights", (BLUE, SURFACE, VERMILLION)
    )
    largest = float(np.abs(filters).max()) or 1.0
    scale = {"cmap": colours, "vmin": -largest, "vmax": largest, "interpolation": "none"}
    for number, weights in enumerate(filters.astype(np.float64)):
        line, column = divmod(number, columns)
        drawn = _draw_tile(ax, weights, line, column, **scale)
    _frame(ax, lines, columns, height / width)
    bar = ax.figure.colorbar(drawn, ax=ax, fraction=0.04, aspect=16, pad=0.03, label="Weight")
    bar.outline.set_visible(False)
    return ax


def cover_images(
    images: Pixels, image_shape: tuple[int, int], maps: FloatArray, patch_size: int
) -> Colours:
    """Return images, each plain and covered with colour where attention goes.

    Args:
        images: ``(n, height * width)``, 0 to 255.
        image_shape: Height and width in pixels.
        maps: ``(n, m, down, across)`` attention to each patch, at least 0. What gets least of a
            map stays plain, what gets most is covered most; a flat map covers nothing.
        patch_size: Side of a patch in pixels. What the patches reach over the image, they reach
            on all sides alike.

    Returns:
        ``(n, 1 + m, height, width, 3)``, shrunk to 64 pixels where the images are larger.
    """
    return np.stack(
        [
            np.stack([_cover(image.reshape(image_shape), over, patch_size) for over in overs])
            for image, overs in zip(images, _with_none(maps), strict=True)
        ]
    )


def plot_attention(
    covered: Colours, class_names: Sequence[str], map_names: Sequence[str], ax: Axes | None = None
) -> Axes:
    """Draw one column for each image: the image, and below it the image under each map.

    Args:
        covered: What `cover_images` returned for n images and m maps.
        class_names: n names.
        map_names: m names.
        ax: Where to draw.
    """
    n, lines, height, width = covered.shape[:4]
    # All areas alike, but no column thinner and no row lower than its name has room for.
    side = max(min(_TILE_IN * math.sqrt(width / height), 1.0), _LINE_IN * max(1.0, width / height))
    names = [shorten(name, 12) for name in class_names]
    longest = max(map(len, names))
    turned = longest > side / _LETTER_IN
    if ax is None:
        above = _LETTER_IN * longest if turned else _LINE_IN
        ax = new_axes(1.0 + side * n, 0.2 + above + side * lines * height / width)
    for column, pictures in enumerate(covered):
        for line, picture in enumerate(pictures):
            _draw_tile(ax, picture, line, column, interpolation="none")
    _frame(ax, lines, n, height / width)
    style = {"fontsize": 8.5, "va": "bottom", "ha": "center", "rotation": 90 if turned else 0}
    for column, name in enumerate(names):
        ax.text(column + 0.5, 0, name, **style)
    for line, name in enumerate(("Image", *map_names)):
        ax.text(0, (line + 0.5) * height / width, name, fontsize=8.5, va="center", ha="right")
    return ax


def _cover(image: Pixels, over: FloatArray | None, patch_size: int) -> Colours:
    """Return one image in red, green and blue, covered by one map, at most 64 pixels a side."""
    coloured: Any = np.repeat(image[..., None], 3, axis=2)
    if over is not None:
        height, width = image.shape
        shares = _COVER * _between(over.astype(np.float64))
        shares = shares.repeat(patch_size, axis=0).repeat(patch_size, axis=1)
        top, left = (shares.shape[0] - height) // 2, (shares.shape[1] - width) // 2
        shares = shares[top : top + height, left : left + width, None]
        colour = 255 * np.array(require("matplotlib.colors").to_rgb(ORANGE))
        coloured = np.rint(_DIM * coloured * (1 - shares) + colour * shares).astype(np.uint8)
    picture = Image.fromarray(coloured)
    picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    return np.asarray(picture)


def _between(over: FloatArray) -> FloatArray:
    """Return a map as shares of the way from its lowest to its highest; 0 where it is flat."""
    low, high = float(over.min()), float(over.max())
    return (over - low) / (high - low) if high - low > _FLAT * high else np.zeros_like(over)


def _with_none(maps: FloatArray) -> list[list[FloatArray | None]]:
    return [[None, *overs] for overs in maps]


def _draw_tile(ax: Axes, tile: Any, line: int, column: int, **options: Any) -> Any:
    """Draw one picture of a sheet whose columns are 1 wide; what is between them stays free."""
    height = tile.shape[0] / tile.shape[1]
    top, gap = line * height, _GAP / 2
    extent = (column + gap, column + 1 - gap, top + (1 - gap) * height, top + gap * height)
    return ax.imshow(tile, extent=extent, **options)


def _frame(ax: Axes, lines: int, columns: int, height: float) -> None:
    """Show a whole sheet, and nothing but it."""
    ax.set_xlim(0, columns)
    ax.set_ylim(lines * height, 0)
    ax.set_aspect("equal")
    ax.set_axis_off()
