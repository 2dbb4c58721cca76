"""Small grey images as pictures: sheets of many for files, single ones for a page."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from tenfold.evaluation.confusion import IntArray
from tenfold.evaluation.plots import Axes
from tenfold.evaluation.style import INK, RUST, VERMILLION, WITHIN_ITS_AXES, new_axes

Pixels = npt.NDArray[np.uint8]

LARGEST_SIDE = 64
"""Larger images are shrunk to this for a page, in pixels."""

_SHEET_IN = 8.5
_IMAGE_IN = 0.7
_LONGEST_IN = 1.5
_GAP_IN = 0.12
_LINE_IN = 0.125
_LETTER_IN = 0.068
_MOST_SHOWN = 200


def plot_sheet(
    images: Pixels,
    image_shape: tuple[int, int],
    captions: Sequence[str],
    ax: Axes | None = None,
    *,
    marked: Collection[int] = (),
    columns: int = 10,
) -> Axes:
    """Draw images in rows on one sheet, each above its caption.

    Args:
        images: ``(n, height * width)``, 0 to 255, n at least 1.
        image_shape: Height and width in pixels.
        captions: n short texts, of several lines perhaps.
        ax: Where to draw.
        marked: Which of them are framed, their captions in a darker shade of the frame's colour.
        columns: The most images in a row; long captions leave room for fewer.
    """
    pixels = _thinned(images.reshape(len(images), *image_shape))
    _, down, across = pixels.shape
    width, height = _size_in(image_shape)
    texts = [caption.splitlines() or [""] for caption in captions]
    longest = max(len(line) for text in texts for line in text)
    # All images are one picture, much faster to draw: a cell is a whole number of their pixels.
    tall, wide = height / down, width / across
    cell_across = math.ceil((max(width, _LETTER_IN * longest) + _GAP_IN) / wide)
    cell_down = math.ceil((height + _LINE_IN * max(map(len, texts)) + _GAP_IN) / tall)
    columns = max(1, min(columns, len(images), int(_SHEET_IN / (cell_across * wide))))
    lines = math.ceil(len(images) / columns)
    size = columns * cell_across * wide, lines * cell_down * tall
    ax = new_axes(*size, bare=True) if ax is None else ax
    sheet = np.zeros((lines * cell_down, columns * cell_across, 4), dtype=np.uint8)
    left, top = (cell_across - across) // 2, round(_GAP_IN / 3 / tall)
    for number, (image, caption) in enumerate(zip(pixels, captions, strict=True)):
        line, column = divmod(number, columns)
        x, y = column * cell_across + left, line * cell_down + top
        sheet[y : y + down, x : x + across, :3] = image[..., None]
        sheet[y : y + down, x : x + across, 3] = 255
        colour = RUST if number in marked else INK
        if number in marked:
            _draw_frame(ax, x * wide, y * tall, width, height)
        middle, below = (x + across / 2) * wide, (y + down) * tall + _GAP_IN / 3
        style = {"ha": "center", "va": "top", "fontsize": 7.5, "color": colour, **WITHIN_ITS_AXES}
        ax.text(middle, below, caption, linespacing=1.15, **style)
    extent = (0, size[0], size[1], 0)
    ax.imshow(sheet, extent=extent, interpolation="nearest", **WITHIN_ITS_AXES)
    ax.set_xlim(0, size[0])
    ax.set_ylim(size[1], 0)
    ax.set_aspect("equal")
    ax.set_axis_off()
    return ax


def _thinned(images: Pixels) -> Pixels:
    """Return images of so few pixels, of one shape, as a sheet can show."""
    down, across = (math.ceil(side / _MOST_SHOWN) for side in images.shape[1:])
    return images[:, ::down, ::across]


def _size_in(image_shape: tuple[int, int]) -> tuple[float, float]:
    """Return the width and height of an image on a sheet in inches: all areas alike."""
    root = math.sqrt(image_shape[1] / image_shape[0])
    width, height = _IMAGE_IN * root, _IMAGE_IN / root
    fit = min(1.0, _LONGEST_IN / max(width, height))
    return width * fit, height * fit


def _draw_frame(ax: Axes, left: float, top: float, width: float, height: float) -> None:
    from matplotlib.patches import Rectangle

    frame = Rectangle((left, top), width, height, fill=False, edgecolor=VERMILLION, linewidth=2)
    ax.add_patch(frame)


def pick_samples(
    labels: IntArray, *, n_classes: int, per_class: int = 8, limit: int = 80
) -> npt.NDArray[np.int64]:
    """Return rows that show every class alike: the first ones of each, class by class.

    Args:
        labels: ``(n,)`` class indices.
        n_classes: Number of classes.
        per_class: The most rows of one class.
        limit: The most rows in all; where it is short, every class gets fewer, at least one.
    """
    each = max(1, min(per_class, limit // n_classes))
    found = [np.flatnonzero(labels == index)[:each] for index in range(n_classes)]
    return np.concatenate(found)[: max(limit, 1)]


def to_data_uri(image: Pixels, image_shape: tuple[int, int]) -> str:
    """Return one image as a PNG that stands in the page itself.

    Args:
        image: ``(height * width,)``, 0 to 255; shrunk to 64 pixels where it is larger.
        image_shape: Height and width in pixels.
    """
    picture: Any = Image.fromarray(np.ascontiguousarray(image.reshape(image_shape)))
    picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
