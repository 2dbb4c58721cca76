import numpy as np
import pytest
from sklearn import metrics

from tenfold.errors import ScoreInputError
from tenfold.evaluation import at_threshold, precision_recall_curve, roc_curve, threshold_for


@pytest.fixture(params=[1, 6], ids=["ties", "no ties"])
def case(request):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200)
    scores = np.clip(0.4 * labels + 0.6 * rng.random(200), 0, 1).round(request.param)
    return labels, scores


def test_precision_recall_agrees_with_scikit_learn(case):
    found = precision_recall_curve(*case)
    precision, recall, thresholds = metrics.precision_recall_curve(*case)
    assert found.thresholds[::-1] == pytest.approx(thresholds)
    assert found.precision[::-1] == pytest.approx(precision[:-1])
    assert found.recall[::-1] == pytest.approx(recall[:-1])
    assert found.average_precision == pytest.approx(metrics.average_precision_score(*case))
    assert found.base_rate == case[0].mean()


def test_roc_agrees_with_scikit_learn(case):
    found = roc_curve(*case)
    false, true, thresholds = metrics.roc_curve(*case, drop_intermediate=False)
    assert found.thresholds == pytest.approx(thresholds)
    assert found.false_positive_rate == pytest.approx(false)
    assert found.true_positive_rate == pytest.approx(true)
    assert found.area.value == pytest.approx(metrics.roc_auc_score(*case))


def test_both_columns_do_as_well_as_the_second_alone(case):
    labels, scores = case
    both = np.column_stack([1 - scores, scores])
    assert threshold_for(labels, both, recall=0.8) == threshold_for(labels, scores, recall=0.8)
    assert roc_curve(labels, both).area == roc_curve(labels, scores).area


def test_a_wanted_precision_is_reached_with_the_highest_recall(case):
    labels, scores = case
    threshold = threshold_for(labels, scores, precision=0.9)
    point = at_threshold(labels, scores, threshold)
    assert point.precision.value >= 0.9
    for other in np.unique(scores):
        rival = at_threshold(labels, scores, float(other))
        assert rival.precision.value < 0.9 or rival.recall.value <= point.recall.value


def test_a_wanted_recall_is_reached_with_the_highest_precision(case):
    labels, scores = case
    point = at_threshold(labels, scores, threshold_for(labels, scores, recall=0.9))
    assert point.recall.value >= 0.9
    for other in np.unique(scores):
        rival = at_threshold(labels, scores, float(other))
        assert rival.recall.value < 0.9 or rival.precision.value <= point.precision.value


def test_at_threshold_counts_every_image():
    labels, scores = np.array([1, 1, 0, 0]), np.array([0.9, 0.5, 0.5, 0.1])
    found = at_threshold(labels, scores, 0.5)
    counts = (found.true_positives, found.false_positives, found.false_negatives)
    assert (*counts, found.true_negatives) == (2, 1, 0, 1)
    assert found.accuracy.value == 0.75
    assert found.f1 == pytest.approx(metrics.f1_score(labels, scores >= 0.5))
    again = at_threshold(np.tile(labels, 3), np.tile(scores, 3), 0.5, repeats=3)
    assert (again.precision, again.recall) == (found.precision, found.recall)
    assert again.accuracy == found.accuracy
    nothing = at_threshold(labels, scores, 1.1)
    assert (nothing.precision.value, nothing.recall.value, nothing.f1) == (0, 0, 0)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "one target is needed"),
        ({"precision": 0.5, "recall": 0.5}, "one target is needed"),
        ({"precision": 0.99}, "no threshold reaches a precision of 0.99"),
        ({"recall": 1.5}, "no threshold reaches a recall of 1.5"),
        ({"recall": -0.5}, "no threshold reaches"),
    ],
)
def test_an_impossible_target_is_refused_with_what_is_possible(given, told):
    labels, scores = np.array([0, 1, 0, 1]), np.array([0.9, 0.8, 0.2, 0.1])
    with pytest.raises(ScoreInputError, match=told):
        threshold_for(labels, scores, **given)


def test_curves_need_both_classes_and_two_columns():
    with pytest.raises(ScoreInputError, match="images of both classes"):
        roc_curve(np.zeros(3, dtype=int), np.ones(3))
    with pytest.raises(ScoreInputError, match="two classes"):
        precision_recall_curve(np.array([0, 1]), np.ones((2, 3)))
