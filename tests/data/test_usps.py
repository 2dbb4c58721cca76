import numpy as np
import pytest

from tenfold.data.usps import parse_usps
from tenfold.errors import CorruptDataError

VALUES = np.round(np.linspace(-1, 1, 256), 3)


def plain(digit):
    return f"{digit}.0000 " + " ".join(f"{value:.4f}" for value in VALUES) + " \n"


def pairs(digit, skip=()):
    cells = [f"{i}:{v:g}" for i, v in enumerate(VALUES, 1) if i not in skip]
    return f"{digit + 1} {' '.join(cells)} \n"


def test_both_forms_hold_the_same_digits():
    one = parse_usps((plain(6) + plain(0)).encode(), where="a")
    two = parse_usps((pairs(6) + pairs(0)).encode(), where="b")
    assert one.labels.tolist() == two.labels.tolist() == [6, 0]
    np.testing.assert_allclose(one.images, two.images, atol=1e-6)
    assert one.images.shape == (2, 16, 16)


def test_pairs_that_are_left_out_are_zero():
    rows = parse_usps(pairs(3, skip=(1, 256)).encode(), where="a")
    assert rows.images[0, 0, 0] == rows.images[0, 15, 15] == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no images"),
        (b"\n", "no images"),
        (plain(1).encode()[:-9], "row 1: not a digit with 256 values"),
        ((plain(1) + "x" + plain(1)).encode(), "row 2: not a digit"),
        (b"1 0:1 2:3", "position 0"),
        (b"1 257:1", "position 257"),
        (b"\xff\xfe", "row 1: not a digit"),
    ],
)
def test_damage_is_named(content, message):
    with pytest.raises(CorruptDataError, match=message) as caught:
        parse_usps(content, where="zip.train.gz")
    assert "zip.train.gz" in str(caught.value)
