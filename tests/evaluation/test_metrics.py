import time

import numpy as np
import pytest

from tenfold.errors import ScoreInputError
from tenfold.evaluation import score
from tenfold.evaluation.metrics import LOSSES, METRICS

from .conftest import make_probabilities


def test_every_score_lies_within_its_interval():
    labels = np.arange(200) % 4
    found = score(labels, make_probabilities(labels, 4), class_names="abcd")
    assert tuple(found.intervals()) == METRICS
    assert set(METRICS) >= LOSSES
    for name, interval in found.intervals().items():
        assert interval.low <= interval.value <= interval.high, name
        assert interval.low >= 0, name
        assert interval.low < interval.high, name
    assert found.n == 200
    assert len(found.per_class) == 4


def test_scores_do_not_change_from_call_to_call():
    labels = np.arange(200) % 3
    given = make_probabilities(labels, 3)
    one = score(labels, given, class_names="abc")
    other = score(labels, given.copy(), class_names="abc")
    assert one.intervals() == other.intervals()


def test_a_tie_goes_to_the_first_class():
    found = score([1, 1], [[0.5, 0.5], [0.5, 0.5]], class_names=["a", "b"])
    assert found.confusion.tolist() == [[0, 0], [2, 0]]
    assert found.accuracy.value == 0.0


def test_one_image_of_one_class_is_scored():
    found = score([0], [[0.9, 0.1]], class_names=["a", "b"])
    assert found.accuracy.value == 1.0
    assert not found.roc_auc.defined
    assert found.per_class[1].recall.value == 0.0


def test_a_tenth_of_a_million_cells_takes_less_than_a_second():
    labels = np.arange(10_000) % 10
    given = make_probabilities(labels, 10)
    score(labels[:100], given[:100], class_names="0123456789")
    started = time.process_time()
    score(labels, given, class_names="0123456789")
    assert time.process_time() - started < 2.0  # of all threads together


def test_scores_show_what_matters():
    text = repr(score([0, 1], [[0.9, 0.1], [0.2, 0.8]], class_names=["a", "b"]))
    assert "accuracy=Interval(value=1.0" in text
    assert "array" not in text


def test_a_wrong_number_of_columns_is_refused():
    with pytest.raises(ScoreInputError, match="one column per class"):
        score([0, 1], np.full((2, 3), 1 / 3), class_names=["a", "b"])
