import pickle

import numpy as np
import pytest
from PIL import Image

from tenfold.errors import ImageError
from tenfold.imaging import PictureStyle, load_images, normalize_image

SHAPE = (3, 4)
STYLE = PictureStyle()
ROWS = np.random.default_rng(0).integers(0, 256, (5, 12), np.uint8)


def saved(path, array, **options):
    np.save(path, array, **options)
    return path


@pytest.mark.parametrize("shape", [(5, 12), (5, 3, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, ">i2", np.uint32])
def test_an_array_is_taken_as_it_is(tmp_path, shape, dtype):
    path = saved(tmp_path / "x.npy", ROWS.reshape(shape).astype(dtype))
    found = load_images(path, SHAPE, style=STYLE)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, ROWS)


def test_one_image_alone_is_an_array_of_one(tmp_path):
    path = saved(tmp_path / "x.NPY.npy", ROWS[0].reshape(3, 4))
    np.testing.assert_array_equal(load_images(path, SHAPE, style=STYLE), ROWS[:1])


def test_fortran_order_changes_nothing(tmp_path):
    path = saved(tmp_path / "x.npy", np.asfortranarray(ROWS))
    np.testing.assert_array_equal(load_images(path, SHAPE, style=STYLE), ROWS)


def test_a_picture_is_normalised(tmp_path):
    picture = np.full((60, 40), 255, np.uint8)
    picture[20:50, 10:20] = 0
    Image.fromarray(picture).save(tmp_path / "x.png")
    found = load_images(tmp_path / "x.png", (28, 28), style=STYLE)
    np.testing.assert_array_equal(found[0], normalize_image(picture, (28, 28)).ravel())


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 13), np.uint8), r"shape \(2, 13\); allowed are \(3, 4\), \(n, 3, 4\)"),
        (np.zeros((0, 12), np.uint8), r"shape \(0, 12\)"),
        (np.zeros(12, np.uint8), r"shape \(12,\)"),
        (np.zeros((2, 12)), "of float64; allowed are whole numbers"),
        (np.full((2, 12), 256), "values from 256 to 256; allowed are 0 to 255"),
        (np.full((2, 12), -1), "values from -1 to -1"),
        (np.array([["a"] * 12]), "of <U1; allowed are whole numbers"),
    ],
)
def test_an_array_of_something_else_is_refused(tmp_path, array, message):
    with pytest.raises(ImageError, match=f"x.npy .*{message}"):
        load_images(saved(tmp_path / "x.npy", array), SHAPE, style=STYLE)


def test_objects_are_never_unpickled(tmp_path):
    path = saved(tmp_path / "x.npy", np.array([[{}] * 12]), allow_pickle=True)
    with pytest.raises(ImageError, match="cannot be read as an .npy array of numbers"):
        load_images(path, SHAPE, style=STYLE)
    path.write_bytes(pickle.dumps(ROWS))
    with pytest.raises(ImageError, match="cannot be read as an .npy array of numbers"):
        load_images(path, SHAPE, style=STYLE)


def test_a_header_that_promises_more_than_is_there_is_refused(tmp_path):
    path = tmp_path / "x.npy"
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (10**9, 12)}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(b"\0" * 100)
    with pytest.raises(ImageError, match="cannot be read as an .npy array"):
        load_images(path, SHAPE, style=STYLE)


def test_an_archive_by_the_wrong_name_is_refused(tmp_path):
    with (tmp_path / "x.npy").open("wb") as file:
        np.savez(file, x=ROWS)
    with pytest.raises(ImageError, match="cannot be read as an .npy array"):
        load_images(tmp_path / "x.npy", SHAPE, style=STYLE)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ImageError, match="nothing.npy cannot be read"):
        load_images(tmp_path / "nothing.npy", SHAPE, style=STYLE)
