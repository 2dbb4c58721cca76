"""Pictures of data: one image, samples of every class, and what an audit found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from tenfold.data.audit import Audit
from tenfold.data.splits import Split
from tenfold.files import replacing

_TILE = 84
_GAP = 8
_CAPTION = 18
_HEADING = 34
_TEXT_SIZE = 13
_PAPER, _INK, _FAINT = "white", "#1c1e21", "#6b7280"
_MAX_PER_SECTION = 24
_COLUMNS = 12


@dataclass(frozen=True, eq=False)
class Tile:
    """Images side by side with a caption.

    Args:
        rows: One or more flat images.
        caption: A few words.
    """

    rows: tuple[npt.NDArray[np.uint8], ...]
    caption: str


@dataclass(frozen=True)
class Section:
    """A heading and its tiles."""

    heading: str
    tiles: tuple[Tile, ...]


def draw_image(
    row: npt.NDArray[np.uint8], image_shape: tuple[int, int], *, least_side: int = 1
) -> Image.Image:
    """Draw one flat image, each pixel enlarged to a square by a whole number.

    Args:
        row: ``(height * width,)`` uint8.
        image_shape: Height and width in pixels.
        least_side: The longer side of the picture has at least about so many pixels.

    Returns:
        A grey picture.
    """
    height, width = image_shape
    factor = max(1, least_side // max(height, width))
    picture = Image.fromarray(row.reshape(height, width))
    return picture.resize((width * factor, height * factor), Image.Resampling.NEAREST)


def draw_samples(split: Split, *, per_class: int = 10, seed: int = 0) -> Image.Image:
    """Draw some development images of every class.

    Args:
        split: Where they come from.
        per_class: How many of each, at most.
        seed: Which ones.

    Returns:
        A picture with one section per class.
    """
    rng = np.random.default_rng(seed)
    sections = []
    for index, name in enumerate(split.class_names):
        rows = np.flatnonzero(split.labels == index)
        drawn = np.sort(rng.permutation(rows)[:per_class])
        tiles = tuple(Tile((split.images[row],), f"{row}") for row in drawn)
        sections.append(Section(f"{name}   ({len(rows):,} development images)", tiles))
    return draw_sheet(sections, split.image_shape)


def draw_audit(split: Split, audit: Audit) -> Image.Image:
    """Draw the images that an audit found, by what is wrong with them.

    Args:
        split: The split that was looked at.
        audit: What was found in it.

    Returns:
        A picture with one section per kind of finding, at most 24 tiles each.
    """
    images, test, names = split.images, split.test.images, split.class_names

    def label(row: int) -> str:
        return names[int(split.labels[row])]

    found = {
        "Copies between development and test (development, test)": [
            Tile((images[row], test[t]), f"{row} = test {t}") for row, t in audit.leaked
        ],
        "Nearly the same in development and test (development, test)": [
            Tile(
                (images[p.development_row], test[p.test_row]),
                f"{p.development_row} ~ test {p.test_row}",
            )
            for p in audit.near
        ],
        "The same image with different labels": [
            Tile((images[rows[0]],), ", ".join(sorted({label(row) for row in rows})))
            for rows in audit.conflicts
        ],
        "Copies within development": [
            Tile((images[rows[0]],), f"{len(rows)}x {label(rows[0])}") for rows in audit.duplicates
        ],
        "Blank": [Tile((images[row],), f"{row}: {label(row)}") for row in audit.blank],
        "Unlike the rest of their class": [
            Tile((images[row],), f"{row}: {label(row)}") for row, _ in audit.outliers
        ],
    }
    sections = [
        Section(f"{heading}: {len(tiles):,}", tuple(tiles[:_MAX_PER_SECTION]))
        for heading, tiles in found.items()
    ]
    return draw_sheet(sections, split.image_shape)


def draw_sheet(sections: list[Section], image_shape: tuple[int, int]) -> Image.Image:
    """Draw sections of captioned tiles below one another.

    Args:
        sections: What to draw.
        image_shape: Height and width of every image in pixels.

    Returns:
        An RGB picture.
    """
    font = ImageFont.load_default(_TEXT_SIZE)
    width = _COLUMNS * (_TILE + _GAP) + _GAP
    height = sum(_section_height(section) for section in sections) + _GAP
    sheet = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    top = 0
    for section in sections:
        pen.text((_GAP, top + _GAP), section.heading, fill=_INK, font=font)
        for place, (column, line) in zip(section.tiles, _places(section), strict=True):
            left = _GAP + column * (_TILE + _GAP)
            y = top + _HEADING + line * (_TILE + _CAPTION + _GAP)
            for offset, row in enumerate(place.rows):
                sheet.paste(_fit(row, image_shape), (left + offset * (_TILE + _GAP), y))
            room = len(place.rows) * (_TILE + _GAP)
            pen.text(
                (left, y + _TILE + 2), _shorten(place.caption, font, room), fill=_FAINT, font=font
            )
        top += _section_height(section)
    return sheet


def save_png(picture: Image.Image, path: Path) -> None:
    """Write a picture as PNG; the file appears whole or not at all.

    Args:
        picture: What to write.
        path: Where to; its folder is made.

    Raises:
        StorageError: The file cannot be written.
    """
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG")


def _places(section: Section) -> list[tuple[int, int]]:
    """Return column and line of every tile; a tile is as many columns wide as it has images."""
    places = []
    column = line = 0
    for tile in section.tiles:
        if column + len(tile.rows) > _COLUMNS:
            column, line = 0, line + 1
        places.append((column, line))
        column += len(tile.rows)
    return places


def _section_height(section: Section) -> int:
    lines = max((line for _, line in _places(section)), default=-1) + 1
    return _HEADING + lines * (_TILE + _CAPTION + _GAP)


def _fit(row: npt.NDArray[np.uint8], image_shape: tuple[int, int]) -> Image.Image:
    picture = draw_image(row, image_shape, least_side=_TILE)
    if max(picture.size) > _TILE:
        picture.thumbnail((_TILE, _TILE))
    return picture


def _shorten(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: int) -> str:
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "…") > room:
        text = text[:-1]
    return text + "…"
