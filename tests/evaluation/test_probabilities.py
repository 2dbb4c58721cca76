import numpy as np
import pytest
from sklearn.metrics import log_loss

from tenfold.errors import ScoreInputError
from tenfold.evaluation import list_mistakes, list_verdicts, measure_reliability
from tenfold.evaluation.probabilities import (
    SMALLEST,
    calibration_error_interval,
    check_scored,
    log_loss_interval,
    mean_log_loss,
)

from .conftest import make_probabilities


def random_case(n=300, k=4, seed=0):
    labels = np.random.default_rng(seed).integers(0, k, n)
    given = make_probabilities(labels, k, seed=seed)
    return check_scored(labels, given, n_classes=k)


def test_log_loss_agrees_with_scikit_learn():
    labels, given = random_case()
    found = log_loss_interval(labels, given)
    assert found.value == pytest.approx(log_loss(labels, given))
    assert found.value == pytest.approx(mean_log_loss(labels, given))
    assert 0 < found.low < found.value < found.high


def test_log_loss_of_an_impossible_truth_is_finite():
    found = log_loss_interval(np.array([0, 0]), np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert found.value == pytest.approx(-np.log(SMALLEST) / 2)
    assert found.low >= 0


def test_log_loss_without_spread_has_room_above():
    labels = np.zeros(100, dtype=int)
    found = log_loss_interval(labels, np.tile([1.0, 0.0], (100, 1)))
    assert found.value == found.low == 0.0
    assert 0.1 < found.high < 1


def test_calibration_error_is_the_weighted_gap_of_fifteen_bins():
    labels, given = random_case()
    sure, right = given.max(axis=1), given.argmax(axis=1) == labels
    bins = np.minimum((sure * 15).astype(int), 14)
    expected = sum(
        np.sum(bins == b) / len(labels) * abs(sure[bins == b].mean() - right[bins == b].mean())
        for b in np.unique(bins)
    )
    assert calibration_error_interval(labels, given).value == pytest.approx(expected)


def test_a_calibrated_model_gets_an_interval_that_begins_at_zero():
    rng = np.random.default_rng(5)
    sure = rng.uniform(0.5, 1, 3000)
    labels = (rng.random(3000) > sure).astype(int)
    found = calibration_error_interval(labels, np.column_stack([sure, 1 - sure]))
    assert found.low == 0 < found.value <= found.high


def test_an_overconfident_model_does_not():
    rng = np.random.default_rng(6)
    labels = (rng.random(3000) > 0.7).astype(int)
    found = calibration_error_interval(labels, np.tile([0.95, 0.05], (3000, 1)))
    assert found.low > 0.2 < found.value < 0.3


def test_no_gap_at_all_still_has_width():
    labels = np.zeros(50, dtype=int)
    found = calibration_error_interval(labels, np.tile([1.0, 0.0], (50, 1)))
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high > 0


def test_reliability_counts_every_image_once():
    labels, given = random_case()
    found = measure_reliability(labels, given)
    assert found.counts.sum() == len(labels)
    assert len(found.edges) == 16
    filled = found.counts > 0
    assert np.isnan(found.confidence[~filled]).all()
    inside = found.confidence[filled]
    assert np.all(inside >= found.edges[:-1][filled])
    assert np.all(inside <= found.edges[1:][filled])
    hits = sum(i.value * n for i, n in zip(found.accuracy, found.counts, strict=True))
    assert hits == pytest.approx(np.sum(given.argmax(axis=1) == labels))


def test_mistakes_are_listed_surest_first_and_ties_by_what_the_truth_got():
    labels = np.array([0, 0, 1, 2])
    given = np.array(
        [[0.1, 0.9, 0.0], [0.8, 0.1, 0.1], [0.05, 0.05, 0.9], [0.95, 0.05, 0.0]],
    )
    found = list_mistakes(labels, given)
    assert [m.index for m in found] == [3, 2, 0]
    assert (found[0].true, found[0].predicted, found[0].probability) == (2, 0, 0.95)
    assert len(list_mistakes(labels, given, limit=1)) == 1
    assert list_mistakes(labels[1:2], given[1:2]) == ()


def test_probabilities_are_made_to_add_up():
    _, given = check_scored([0], [[0.5, 0.51]], n_classes=2)
    assert given.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("labels", "given", "told"),
    [
        ([0.0, 1.0], [[1, 0], [0, 1]], "class indices"),
        ([], np.zeros((0, 2)), "at least 1"),
        ([[0]], [[1, 0]], "class indices"),
        ([0, 1], [[1, 0]], r"\(2, 2\)"),
        ([0], [[1]], "one column per class"),
        ([2], [[1, 0]], "within 0..1"),
        ([-1], [[1, 0]], "within 0..1"),
        ([0], [[np.nan, 1]], "finite"),
        ([0], [[2, -1]], "at least 0"),
        ([0], [[0.5, 0.1]], "1 in sum"),
    ],
)
def test_what_cannot_be_scored_is_refused_with_the_reason(labels, given, told):
    with pytest.raises(ScoreInputError, match=told):
        check_scored(labels, given, n_classes=len(np.asarray(given)[0]) if len(given) else 2)


def test_verdicts_say_what_each_image_was_taken_for_in_the_order_asked():
    probabilities = np.array([[0.9, 0.1], [0.25, 0.75], [0.5, 0.5]])
    first, second = list_verdicts(np.array([0, 0, 1]), probabilities, np.array([1, 0]))
    assert (first.index, first.true, first.predicted, first.probability) == (1, 0, 1, 0.75)
    assert not first.is_right
    assert second.is_right
    (tied,) = list_verdicts(np.array([0, 0, 1]), probabilities, np.array([2]))
    assert tied.predicted == 0
