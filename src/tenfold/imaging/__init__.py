"""Pictures: bounded decoding into grey arrays, and bringing them into a model's style."""

from tenfold.imaging.arrays import load_images
from tenfold.imaging.decode import MAX_BYTES, MAX_PIXELS, decode_image
from tenfold.imaging.normalize import normalize_image
from tenfold.imaging.style import PictureStyle, measure_style

__all__ = [
    "MAX_BYTES",
    "MAX_PIXELS",
    "PictureStyle",
    "decode_image",
    "load_images",
    "measure_style",
    "normalize_image",
]
