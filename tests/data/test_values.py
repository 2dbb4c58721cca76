import numpy as np
import pytest

from tenfold.data.values import find_rule
from tenfold.errors import CorruptDataError


@pytest.mark.parametrize(
    ("values", "rule", "grey"),
    [
        (np.array([0, 7, 255], np.uint8), "0..255 as they are", [0, 7, 255]),
        (np.array([0, 7, 255], np.int64), "0..255 as they are", [0, 7, 255]),
        (np.array([0.0, 7.0, 255.0]), "0..255 as they are", [0, 7, 255]),
        (np.array([0.2, 7.6, 255.0]), "0..255: round(v)", [0, 8, 255]),
        (np.array([0, 8, 16]), "0..16: round(v*255/16)", [0, 128, 255]),
        (np.array([0.0, 0.5, 1.0]), "0..1: round(v*255)", [0, 128, 255]),
        (np.array([0, 1, 1]), "0..1: round(v*255)", [0, 255, 255]),
        (np.array([False, True]), "0..1: round(v*255)", [0, 255]),
        (np.array([-1.0, 0.0, 1.0]), "-1..1: round((v+1)*255/2)", [0, 128, 255]),
    ],
)
def test_each_range_has_its_recorded_rule(values, rule, grey):
    found = find_rule([values], where="x")
    assert found.text == rule
    assert found.apply(values).tolist() == grey
    assert found.apply(values).dtype == np.uint8


def test_the_rule_is_decided_on_all_arrays_together():
    dark, bright = np.array([0, 1]), np.array([0, 255])
    assert find_rule([dark, bright], where="x").apply(dark).tolist() == [0, 1]


@pytest.mark.parametrize("values", [[-0.4, 2.8], [0, 65535], [-2, 0], [-1, 200]])
def test_a_range_that_fits_no_rule_is_named(values):
    with pytest.raises(CorruptDataError, match=r"x\.npz: pixel values run from -?[\d.e+]+ to"):
        find_rule([np.array(values)], where="x.npz")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 1])
def test_a_pixel_that_is_no_number_is_refused_wherever_it_is(value, place):
    arrays = [np.zeros(4), np.zeros(4)]
    arrays[place][2] = value
    with pytest.raises(CorruptDataError, match="NaN or infinite"):
        find_rule(arrays, where="x")


def test_text_is_no_pixel():
    with pytest.raises(CorruptDataError, match="must be numbers"):
        find_rule([np.array(["a"])], where="x")


def test_large_arrays_are_mapped_in_chunks_without_a_seam():
    values = np.linspace(0, 1, (1 << 22) + 5, dtype=np.float32)
    grey = find_rule([values], where="x").apply(values)
    assert grey[0] == 0
    assert grey[-1] == 255
    assert (np.diff(grey.astype(int)) >= 0).all()
