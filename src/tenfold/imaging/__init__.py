"""Pictures: bounded decoding into grey arrays."""

from tenfold.imaging.decode import MAX_BYTES, MAX_PIXELS, decode_image

__all__ = ["MAX_BYTES", "MAX_PIXELS", "decode_image"]
