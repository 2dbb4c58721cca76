import math

import pytest

from tenfold.evaluation import formats


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (formats.percent(0.98765), "98.77 %"),
        (formats.percent(0.5, 0), "50 %"),
        (formats.percent(None), "\u2013"),
        (formats.percent(math.nan), "\u2013"),
        (formats.decimal(0.5), "0.5000"),
        (formats.decimal(math.nan), "\u2013"),
        (formats.decimal(None), "\u2013"),
        (formats.seconds(0.0123), "12 ms"),
        (formats.seconds(4.56), "4.6 s"),
        (formats.seconds(59.99), "1 min 0 s"),
        (formats.seconds(75), "1 min 15 s"),
        (formats.seconds(3599.9), "1 h 0 min"),
        (formats.seconds(5400), "1 h 30 min"),
        (formats.size(512), "512 B"),
        (formats.size(47_104), "47 kB"),
        (formats.size(999_999), "1.0 MB"),
        (formats.size(12_345_678), "12.3 MB"),
        (formats.p_value(None), "\u2013"),
        (formats.p_value(0.00001), "< 0.001"),
        (formats.p_value(0.0123), "0.012"),
        (formats.p_value(0.2345), "0.23"),
        (formats.fact(60_000), "60,000"),
        (formats.fact(True), "yes"),
        (formats.fact(False), "no"),
        (formats.fact(""), "\u2013"),
        (formats.fact(("a", 1000)), "a, 1,000"),
        (formats.fact({"train": 5000}), "train 5,000"),
        (formats.fact(0.25), "0.25"),
    ],
)
def test_numbers_are_written_for_people(text, expected):
    assert text == expected
