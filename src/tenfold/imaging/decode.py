"""Decoding of one picture, from a file or from bytes, within bounds, into a grey array."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.ExifTags import Base as ExifTag
from PIL.TiffImagePlugin import TILELENGTH, TILEWIDTH, TiffImageFile

from tenfold.errors import ImageError

MAX_BYTES = 10 * 2**20
MAX_PIXELS = 24_000_000
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")

_DEEP_MODES = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
_MOST_SCANS = 100
_SCAN = b"\xff\xda"  # begins one; in the data of a scan, nothing but 0 and restarts follow 0xff
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_NEXT_STEP = "save it again as an 8-bit PNG or JPEG"


def decode_image(
    source: bytes | Path, *, max_bytes: int = MAX_BYTES, max_pixels: float = MAX_PIXELS
) -> npt.NDArray[np.uint8]:
    """Decode one picture into grey levels.

    The first frame is taken, the EXIF orientation applied, transparency laid on white, colour
    turned to luma (ITU-R BT.601) and 16-bit grey divided by 257.

    Args:
        source: The encoded bytes, or the path of a file that holds them.
        max_bytes: The largest encoded size that is read, in bytes.
        max_pixels: The largest width x height that is decoded, in pixels.

    Returns:
        ``(height, width)`` uint8, 0 is black and 255 white.

    Raises:
        ImageError: The bytes are not a picture of an allowed format, are damaged, or pass a bound.
    """
    name = source.name if isinstance(source, Path) else "the picture"
    encoded = _read(source, max_bytes) if isinstance(source, Path) else source
    if not encoded:
        raise ImageError(f"{name} is empty; {_NEXT_STEP}")
    if len(encoded) > max_bytes:
        raise ImageError(
            f"{name} has {len(encoded):,} bytes, allowed are {max_bytes:,}; make it smaller"
        )
    try:
        return _decode(encoded, name, max_pixels)
    except ImageError:
        raise
    # Decoders of damaged files raise almost anything: OSError, SyntaxError, struct.error, ...
    except Exception as error:
        raise ImageError(
            f"{name} cannot be decoded ({error or type(error).__name__}); "
            f"allowed are intact {', '.join(FORMATS)} files; {_NEXT_STEP}"
        ) from error


def _read(path: Path, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(max_bytes + 1)
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}") from error


def _decode(encoded: bytes, name: str, max_pixels: float) -> npt.NDArray[np.uint8]:
    with Image.open(BytesIO(encoded), formats=FORMATS) as opened:
        _check_pixels(opened.size, name, max_pixels)
        if isinstance(opened, TiffImageFile):
            _check_tiles(opened, name, max_pixels)
        if opened.format == "JPEG":
            _check_scans(encoded, name)
        opened.load()
        turn = _UPRIGHT.get(_orientation(opened) or 1)
        upright = opened if turn is None else opened.transpose(turn)
    if upright.mode in _DEEP_MODES:
        return _deep_to_grey(np.asarray(upright), name)
    return np.array(_on_white(upright), dtype=np.uint8)


def _check_pixels(size: tuple[int, int], name: str, max_pixels: float) -> None:
    width, height = size
    if width * height > max_pixels:
        raise ImageError(
            f"{name} is {width}x{height} pixels, allowed are {max_pixels:,.0f} in all; "
            "make it smaller"
        )


def _check_tiles(opened: TiffImageFile, name: str, max_pixels: float) -> None:
    """See that a tile is not too large: it is unpacked whole, however small the picture is."""
    width, height = (opened.tag_v2.get(tag, 1) for tag in (TILEWIDTH, TILELENGTH))
    if not (isinstance(width, int) and isinstance(height, int)):
        raise TypeError("the size of its tiles is no whole number")
    _check_pixels((width, height), f"a tile of {name}", max_pixels)


def _check_scans(encoded: bytes, name: str) -> None:
    """See that the picture is not refined without end: each scan goes over all of its pixels."""
    scans = encoded.count(_SCAN)
    if scans > _MOST_SCANS:
        raise ImageError(f"{name} has {scans:,} scans, allowed are {_MOST_SCANS}; {_NEXT_STEP}")


def _orientation(opened: Image.Image) -> int | None:
    """Return what EXIF says; other tags, damaged ones too, are of no interest."""
    try:
        found = opened.getexif().get(ExifTag.Orientation)
    # It raises almost anything where there is no EXIF in what should be one.
    except Exception:
        return None
    return found if isinstance(found, int) else None


def _on_white(image: Image.Image) -> Image.Image:
    """Return the picture in mode L, what is transparent in it white."""
    if image.mode == "L" and "transparency" not in image.info:
        return image
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        layers = image.convert("RGBA")
        paper = Image.new("RGBA", layers.size, "white")
        return Image.alpha_composite(paper, layers).convert("L")
    if image.mode in {"1", "RGB"}:
        return image.convert("L")
    return image.convert("RGB").convert("L")


def _deep_to_grey(levels: npt.NDArray[np.generic], name: str) -> npt.NDArray[np.uint8]:
    """Map integers of 0..65535 or floats of 0..1 or 0..255 to 0..255."""
    low, high = float(levels.min()), float(levels.max())
    if levels.dtype.kind == "f":
        scale = 255.0 if high <= 1 else 1.0
        allowed = 255.0
    else:
        scale = 255 / 65535
        allowed = 65535.0
    if not (low >= 0 and high <= allowed):
        raise ImageError(
            f"{name} has grey levels from {low:g} to {high:g}, allowed are 0 to {allowed:g}; "
            f"{_NEXT_STEP}"
        )
    return np.rint(levels.astype(np.float64) * scale).astype(np.uint8)
