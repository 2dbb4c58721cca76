"""Checks of arrays of images."""

import numpy as np
import pytest

from tenfold.errors import ModelInputError
from tenfold.pixels import check_images


def test_uint8_images_are_taken_as_they_are():
    images = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert check_images(images) is images


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int16, np.float16, bool])
def test_any_numeric_type_gives_the_same_pixels(dtype):
    images = check_images(np.array([[0, 1], [1, 0]], dtype=dtype))
    assert images.dtype == np.uint8
    assert images.tolist() == [[0, 1], [1, 0]]


def test_lists_are_taken():
    assert check_images([[0, 255]]).tolist() == [[0, 255]]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros(4), r"two-dimensional .* got shape \(4,\)"),
        (np.zeros((1, 2, 2)), r"got shape \(1, 2, 2\)"),
        (np.zeros((0, 4)), "at least one image"),
        (np.zeros((4, 0)), "at least one pixel"),
        (np.array([[0.0, np.nan]]), "not NaN"),
        (np.array([[0.0, np.inf]]), "got 0.0 to inf"),
        (np.array([[-1, 3]]), "got -1 to 3"),
        (np.array([[0, 256]]), "got 0 to 256"),
        (np.array([[0.5, 1.0]]), r"whole numbers 0 to 255; got 0\.5.*rint"),
        (np.array([["a", "b"]]), "numeric"),
        (np.array([[1j, 0]]), "numeric"),
        ([[1, 2], [3]], "rectangular"),
    ],
)
def test_images_that_break_a_rule_are_refused(images, message):
    with pytest.raises(ModelInputError, match=message):
        check_images(images)
