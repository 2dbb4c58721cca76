import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from tenfold.errors import ImageError
from tenfold.imaging import decode_image


def encoded(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def gradient(height=20, width=30):
    return np.linspace(0, 255, height * width).astype(np.uint8).reshape(height, width)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF"])
def test_exact_formats_come_back_as_they_were(kind):
    grey = decode_image(encoded(Image.fromarray(gradient()), kind))
    assert grey.dtype == np.uint8
    np.testing.assert_array_equal(grey, gradient())


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_formats_come_back_nearly(kind):
    grey = decode_image(encoded(Image.fromarray(gradient()), kind, quality=95))
    assert np.abs(grey.astype(int) - gradient()).max() < 12


def test_a_file_is_read_like_its_bytes(tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(encoded(Image.fromarray(gradient())))
    np.testing.assert_array_equal(decode_image(path), gradient())


def test_colour_becomes_luma():
    grey = decode_image(encoded(Image.new("RGB", (2, 2), (255, 0, 0))))
    assert np.unique(grey).tolist() == [76]


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("1", "PNG"), ("P", "GIF"), ("RGB", "BMP"), ("CMYK", "TIFF"), ("YCbCr", "JPEG")],
)
def test_white_is_white_in_every_mode(mode, kind):
    white = Image.new("RGB", (4, 4), "white").convert(mode)
    assert decode_image(encoded(white, kind)).min() >= 254


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_white(mode):
    image = Image.new("RGBA", (3, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 0, 255))
    image.putpixel((2, 0), (0, 0, 0, 128))
    assert decode_image(encoded(image.convert(mode))).tolist() == [[255, 0, 127]]


def test_a_transparent_colour_is_laid_on_white():
    palette = Image.new("P", (2, 1))
    palette.putpalette([0, 0, 0, 90, 90, 90])
    palette.putpixel((1, 0), 1)
    assert decode_image(encoded(palette, transparency=0)).tolist() == [[255, 90]]
    grey = Image.fromarray(np.array([[0, 90]], np.uint8))
    assert decode_image(encoded(grey, transparency=0)).tolist() == [[255, 90]]


def test_sixteen_bits_are_divided_by_257():
    levels = np.array([[0, 257, 32896, 65535]], np.uint16)
    assert decode_image(encoded(Image.fromarray(levels))).tolist() == [[0, 1, 128, 255]]
    assert decode_image(encoded(Image.fromarray(levels), "TIFF")).tolist() == [[0, 1, 128, 255]]


@pytest.mark.parametrize(
    ("levels", "grey"),
    [([[0.0, 0.5, 1.0]], [[0, 128, 255]]), ([[0.0, 30.4, 255.0]], [[0, 30, 255]])],
)
def test_floats_are_scaled(levels, grey):
    image = Image.fromarray(np.array(levels, np.float32))
    assert decode_image(encoded(image, "TIFF")).tolist() == grey


@pytest.mark.parametrize("levels", [[[-1.0, 3.0]], [[0.0, 256.0]], [[np.nan, 0.0]]])
def test_floats_out_of_range_are_refused(levels):
    image = Image.fromarray(np.array(levels, np.float32))
    with pytest.raises(ImageError, match="has grey levels from .* allowed are 0 to 255"):
        decode_image(encoded(image, "TIFF"))


def test_integers_out_of_range_are_refused():
    image = Image.fromarray(np.array([[0, 70_000]], np.int32))
    with pytest.raises(ImageError, match="from 0 to 70000, allowed are 0 to 65535"):
        decode_image(encoded(image, "TIFF"))


def test_the_orientation_of_a_camera_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees, clockwise
    content = encoded(Image.fromarray(gradient()), "PNG", exif=exif)
    np.testing.assert_array_equal(decode_image(content), np.rot90(gradient(), -1))


def test_the_first_frame_is_taken():
    frames = [Image.new("L", (3, 3), level) for level in (40, 200)]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.unique(decode_image(content)).tolist() == [40]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"no picture", "cannot be decoded"),
        (b"\x89PNG\r\n\x1a\n", "cannot be decoded"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "allowed are intact PNG, JPEG, BMP, GIF, TIFF, WEBP files"),
    ],
)
def test_what_is_no_picture_is_refused(content, message):
    with pytest.raises(ImageError, match=message):
        decode_image(content)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"])
def test_a_cut_picture_is_refused(kind):
    rng = np.random.default_rng(0)
    content = encoded(Image.fromarray(rng.integers(0, 256, (40, 40), np.uint8)), kind)
    with pytest.raises(ImageError, match="cannot be decoded"):
        decode_image(content[: len(content) // 2])


def test_other_formats_are_refused():
    with pytest.raises(ImageError, match="cannot be decoded"):
        decode_image(encoded(Image.new("L", (4, 4)), "PPM"))


def test_too_many_bytes_are_refused_and_not_read(tmp_path):
    content = encoded(Image.fromarray(gradient()))
    with pytest.raises(ImageError, match="the picture has .* bytes, allowed are 100"):
        decode_image(content, max_bytes=100)
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"x\.png has 101 bytes, allowed are 100"):
        decode_image(path, max_bytes=100)


def test_too_many_pixels_are_refused_before_they_are_unpacked():
    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    for side, message in (
        (5_000, "is 5000x5000 pixels, allowed are 24,000,000"),
        (60_000, "cannot be decoded"),
    ):
        header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
        bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"")
        with pytest.raises(ImageError, match=message):
            decode_image(bomb)


def tiled(width, length, *, kind=4):
    """Return a deflated TIFF of 16x16 pixels in one tile, whose sides have a TIFF type."""
    body = zlib.compress(bytes(256))
    entries = [(256, 4, 16), (257, 4, 16), (258, 3, 8), (259, 3, 8), (262, 3, 1), (277, 3, 1)]
    entries += [(322, kind, width), (323, kind, length), (324, 4, 134), (325, 4, len(body))]
    table = b"".join(struct.pack("<HHLL", tag, of, 1, value) for tag, of, value in entries)
    return b"II*\0" + struct.pack("<LH", 8, len(entries)) + table + bytes(4) + body


def test_a_tiff_whose_tiles_are_larger_than_any_picture_is_refused_before_they_are_unpacked():
    assert not decode_image(tiled(16, 16)).any()
    with pytest.raises(ImageError, match="a tile of the picture is 20000x20000 pixels, allowed"):
        decode_image(tiled(20_000, 20_000))
    with pytest.raises(ImageError, match="a tile of the picture is 16x80 pixels, allowed are 500"):
        decode_image(tiled(16, 80), max_pixels=500)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_tiff_whose_tiles_have_no_size_is_refused():
    with pytest.raises(ImageError, match="cannot be decoded"):
        decode_image(tiled(0x636261, 20_000, kind=2))


def test_a_missing_file_is_an_image_error(tmp_path):
    with pytest.raises(ImageError, match="nothing.png cannot be read"):
        decode_image(tmp_path / "nothing.png")


# Pillow warns of damaged TIFF tags and of large sizes.
@pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::RuntimeWarning:PIL")
@given(st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"]), st.data())
def test_damage_anywhere_never_raises_anything_else(kind, data):
    content = bytearray(encoded(Image.fromarray(gradient(6, 7)), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        grey = decode_image(bytes(content), max_pixels=10_000)
    except ImageError:
        return
    assert grey.dtype == np.uint8
    assert grey.ndim == 2


def exif(**tags):
    """Return EXIF of some tags, each (type, count, bytes); shorts are packed in four bytes."""
    entries = [
        (number, *value) for number, value in sorted((int(k[1:]), v) for k, v in tags.items())
    ]
    body = b"".join(struct.pack("<HHI4s", *entry) for entry in entries)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + body + b"\0" * 4


@pytest.mark.parametrize(
    "damaged",
    [
        {"t282": (2, 4, b"72x\0")},  # XResolution as text
        {"t256": (9, 1, struct.pack("<i", -5))},  # ImageWidth below 0
        {"t256": (2, 3, b"ab\0")},
    ],
)
def test_only_the_orientation_of_exif_matters(damaged):
    picture = Image.fromarray(gradient())
    turned = {"t274": (3, 1, struct.pack("<HH", 6, 0))}
    given = encoded(picture, "JPEG", quality=95, exif=exif(**turned, **damaged))
    plain = encoded(picture, "JPEG", quality=95)
    np.testing.assert_array_equal(decode_image(given), np.rot90(decode_image(plain), -1))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_put_upright_as_pillow_does(orientation):
    picture = Image.fromarray(gradient())
    tags = Image.Exif()
    tags[274] = orientation
    given = encoded(picture, exif=tags)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(given)))
    np.testing.assert_array_equal(decode_image(given), np.asarray(upright))


def test_what_should_be_exif_and_is_not_costs_no_picture():
    given = encoded(Image.fromarray(gradient()), exif=b"no such thing")
    np.testing.assert_array_equal(decode_image(given), gradient())


def test_a_jpeg_of_endless_scans_is_refused():
    given = encoded(Image.fromarray(gradient(64, 64)), "JPEG", progressive=True)
    last = given.rindex(b"\xff\xda")
    again = given[:-2] + given[last:-2] * 100 + given[-2:]
    with pytest.raises(ImageError, match=r"has 10\d scans, allowed are 100; save it again"):
        decode_image(again)
    assert decode_image(given).shape == (64, 64)
