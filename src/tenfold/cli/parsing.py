"""What the text of an option must be to be a path, a picture's path or a shape."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from tenfold.config import MAX_SIDE


def parse_path(text: str | Path) -> Path:
    """Return a path; an empty text would be the current folder and is none.

    Raises:
        typer.BadParameter: It is empty.
    """
    if not str(text):
        raise typer.BadParameter("'' is no path; give one, or leave the option out")
    return Path(text)


def parse_png(text: str | Path) -> Path:
    """Return the path of a picture to write.

    Raises:
        typer.BadParameter: It does not end in ``.png``.
    """
    path = Path(text)
    if path.suffix.lower() != ".png":
        raise typer.BadParameter(f"{str(text)!r} is no PNG; give a name that ends in .png")
    return path


def parse_shape(text: str) -> tuple[int, int]:
    """Return height and width.

    Raises:
        typer.BadParameter: They are not two numbers of pixels, or out of bounds.
    """
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip().lower())
    sides = (int(match[1]), int(match[2])) if match else (0, 0)
    if not all(1 <= side <= MAX_SIDE for side in sides):
        raise typer.BadParameter(
            f"{text!r} is no HEIGHTxWIDTH in pixels, such as 28x28; "
            f"allowed are 1 to {MAX_SIDE} each"
        )
    return sides
