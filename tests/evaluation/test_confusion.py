import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, fbeta_score, precision_recall_fscore_support

from tenfold.evaluation.confusion import (
    average_classes,
    count_confusion,
    list_confusions,
    mean_f1,
    score_classes,
)


def draw(n, k, *, present=None, guessed=None, seed=0):
    """Draw labels and predictions; classes outside the given ranges do not occur."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, present or k, n)
    guesses = rng.integers(0, guessed or k, n)
    agree = (rng.random(n) < 0.6) & (labels < (guessed or k))
    return labels, np.where(agree, labels, guesses)


CASES = {
    "all classes": {},
    "a class without images": {"present": 3},
    "a class never predicted": {"guessed": 3},
    "neither": {"present": 3, "guessed": 3},
}


@pytest.mark.parametrize("case", CASES)
def test_averages_agree_with_scikit_learn(case):
    labels, predicted = draw(400, 5, **CASES[case])
    confusion = count_confusion(labels, predicted, n_classes=5)
    found = average_classes(confusion, draws=50)
    options = {"labels": range(5), "zero_division": 0.0}
    assert np.array_equal(confusion, confusion_matrix(labels, predicted, labels=range(5)))
    for average in ("macro", "weighted"):
        expected = precision_recall_fscore_support(labels, predicted, average=average, **options)
        for name, value in zip(("precision", "recall", "f1"), expected, strict=False):
            assert getattr(found, f"{name}_{average}").value == pytest.approx(value)
        fbeta = fbeta_score(labels, predicted, beta=2, average=average, **options)
        assert getattr(found, f"fbeta_{average}").value == pytest.approx(fbeta)
        f1 = mean_f1(confusion, weighted=average == "weighted")
        assert f1 == pytest.approx(expected[2])


@pytest.mark.parametrize("case", CASES)
def test_class_scores_agree_with_scikit_learn(case):
    labels, predicted = draw(300, 5, **CASES[case], seed=1)
    confusion = count_confusion(labels, predicted, n_classes=5)
    found = score_classes(confusion, class_names="abcde")
    expected = precision_recall_fscore_support(
        labels, predicted, labels=range(5), zero_division=0.0
    )
    for name, values in zip(("precision", "recall", "f1"), expected[:3], strict=True):
        intervals = [getattr(score, name) for score in found]
        assert [interval.value for interval in intervals] == pytest.approx(list(values))
        assert all(0 <= i.low <= i.value <= i.high <= 1 for i in intervals)
    assert [score.support for score in found] == expected[3].tolist()
    assert [score.name for score in found] == list("abcde")


def test_weighted_recall_is_the_accuracy_with_the_same_interval():
    from tenfold.evaluation import wilson_interval

    labels, predicted = draw(300, 4)
    found = average_classes(count_confusion(labels, predicted, n_classes=4))
    assert found.recall_weighted == wilson_interval(int(np.sum(labels == predicted)), 300)


def test_a_flawless_small_class_keeps_the_macro_interval_wide():
    even = average_classes(np.diag([100, 100])).f1_macro
    uneven = average_classes(np.diag([195, 5])).f1_macro
    assert even.value == uneven.value == 1.0
    assert uneven.low < even.low < 1.0


def test_many_classes_are_drawn_in_parts_with_the_same_result(monkeypatch):
    labels, predicted = draw(500, 30)
    confusion = count_confusion(labels, predicted, n_classes=30)
    at_once = average_classes(confusion, draws=40).f1_macro
    monkeypatch.setattr("tenfold.evaluation.confusion._CELLS_AT_ONCE", 3000)
    assert average_classes(confusion, draws=40).f1_macro == at_once


def test_confusions_are_listed_most_frequent_first_without_hits():
    confusion = np.array([[8, 2, 0], [5, 5, 0], [0, 1, 9]])
    found = list_confusions(confusion, class_names=["a", "b", "c"], limit=2)
    assert [(c.true, c.predicted, c.count, c.share) for c in found] == [
        ("b", "a", 5, 0.5),
        ("a", "b", 2, 0.2),
    ]
    assert list_confusions(np.diag([3, 4]), class_names=["a", "b"]) == ()
