import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tenfold.evaluation import roc_auc_interval


@pytest.mark.parametrize("decimals", [1, 8])
def test_macro_auc_agrees_with_scikit_learn_with_and_without_ties(decimals):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 500)
    scores = rng.random((500, 4)).round(decimals) + 0.3 * np.eye(4)[labels]
    expected = [roc_auc_score(labels == c, scores[:, c]) for c in range(4)]
    assert roc_auc_interval(labels, scores).value == pytest.approx(np.mean(expected))


def test_with_two_classes_it_is_the_plain_auc_of_the_second():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 300)
    second = np.clip(0.3 * labels + rng.random(300) * 0.7, 0, 1)
    found = roc_auc_interval(labels, np.column_stack([1 - second, second]))
    assert found.value == pytest.approx(roc_auc_score(labels, second))


def test_two_class_error_is_delongs():
    rng = np.random.default_rng(2)
    labels = np.repeat([0, 1], [300, 200])
    second = rng.normal(size=500) + labels
    found = roc_auc_interval(labels, np.column_stack([-second, second]))
    inside, outside = second[labels == 1], second[labels == 0]
    wins = (inside[:, None] > outside).astype(float)
    error = np.sqrt(wins.mean(axis=1).var() / 200 + wins.mean(axis=0).var() / 300)
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.02)


def test_classes_without_images_take_no_part():
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 200)
    scores = rng.random((200, 3)) + 0.5 * np.eye(3)[labels]
    expected = np.mean([roc_auc_score(labels == c, scores[:, c]) for c in range(2)])
    assert roc_auc_interval(labels, scores).value == pytest.approx(expected)


def test_one_class_alone_has_no_auc():
    assert not roc_auc_interval(np.zeros(5, dtype=int), np.eye(5, 3)).defined


def test_a_perfect_order_is_bounded_by_the_rarer_side():
    labels = np.repeat([0, 1], [990, 10])
    second = labels.astype(float)
    found = roc_auc_interval(labels, np.column_stack([1 - second, second]))
    assert found.value == found.high == 1.0
    assert 0.6 < found.low < 0.8
