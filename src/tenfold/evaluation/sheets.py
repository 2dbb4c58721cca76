"""Small grey images as pictures: sheets of many for files, single ones for a page."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from tenfold.evaluation.confusion import IntArray
from tenfold.evaluation.plots import Axes
from tenfold.evaluation.style import new_axes

Pixels = npt.NDArray[np.uint8]

_LARGEST_SIDE = 64


def plot_sheet(
    images: Pixels,
    image_shape: tuple[int, int],
    captions: Sequence[str],
    ax: Axes | None = None,
    *,
    columns: int = 10,
) -> Axes:
    """Draw images in rows on one sheet, each above its caption.

    Args:
        images: ``(n, height * width)``, 0 to 255, n at least 1.
        image_shape: Height and width in pixels.
        captions: n short texts.
        ax: Where to draw.
        columns: Images in a row.
    """
    height, width = image_shape
    columns = min(columns, len(images))
    lines = math.ceil(len(images) / columns)
    cell_height, cell_width = height * 1.35, width * 1.12
    if ax is None:
        ax = new_axes(0.82 * columns, 0.82 * lines * cell_height / cell_width)
    for number, (image, caption) in enumerate(zip(images, captions, strict=True)):
        line, column = divmod(number, columns)
        left, top = column * cell_width, line * cell_height
        extent = (left, left + width, top + height, top)
        ax.imshow(
            image.reshape(image_shape),
            cmap="gray",
            vmin=0,
            vmax=255,
            extent=extent,
            interpolation="nearest",
        )
        below = top + height * 1.04
        ax.text(left + width / 2, below, caption, ha="center", va="top", fontsize=7.5)
    ax.set_xlim(-0.05 * cell_width, columns * cell_width)
    ax.set_ylim(lines * cell_height, -0.05 * cell_height)
    ax.set_aspect("equal")
    ax.set_axis_off()
    return ax


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
    picture.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
