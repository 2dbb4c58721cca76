"""The intervals hold what they promise: 2,000 test sets drawn from populations of known truth."""

from statistics import NormalDist

import numpy as np
import pytest

from tenfold.evaluation import roc_auc_interval, wilson_interval
from tenfold.evaluation.confusion import average_classes, mean_f1
from tenfold.evaluation.probabilities import calibration_error_interval, log_loss_interval

DRAWS = 2000


def share_covering(truth, intervals, *, draws=DRAWS):
    found = [interval.low <= truth <= interval.high for interval in intervals]
    assert len(found) == draws
    return np.mean(found)


@pytest.mark.parametrize(("n", "truth"), [(2000, 0.93), (10_000, 0.98)])
def test_accuracy_covers(n, truth):
    hits = np.random.default_rng(0).binomial(n, truth, DRAWS)
    share = share_covering(truth, (wilson_interval(int(h), n) for h in hits))
    assert share == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize(("n", "truth"), [(360, 0.97), (2000, 0.93), (10_000, 0.98)])
def test_accuracy_covers_by_exact_summation(n, truth):
    from scipy.stats import binom

    hits = np.arange(n + 1)
    intervals = [wilson_interval(int(h), n) for h in hits]
    inside = [interval.low <= truth <= interval.high for interval in intervals]
    assert binom.pmf(hits, n, truth)[inside].sum() == pytest.approx(0.95, abs=0.01)


def test_macro_f1_covers():
    rates = np.array([[0.95, 0.03, 0.02], [0.06, 0.90, 0.04], [0.01, 0.07, 0.92]])
    population = rates * np.array([[0.5], [0.3], [0.2]])
    truth = mean_f1(population, weighted=False)
    drawn = np.random.default_rng(2).multinomial(2000, population.ravel(), DRAWS)
    intervals = (
        average_classes(counts.reshape(3, 3), draws=400, seed=seed).f1_macro
        for seed, counts in enumerate(drawn)
    )
    assert share_covering(truth, intervals) == pytest.approx(0.95, abs=0.01)


def test_macro_roc_auc_covers():
    rng = np.random.default_rng(1)
    shift, n = np.array([2.0, 1.5, 2.5]), 2000
    truth = np.mean([NormalDist().cdf(value / np.sqrt(2)) for value in shift])

    def draw():
        labels = rng.choice(3, size=n, p=[0.5, 0.3, 0.2])
        return labels, rng.normal(size=(n, 3)) + shift * np.eye(3)[labels]

    intervals = (roc_auc_interval(*draw()) for _ in range(DRAWS))
    assert share_covering(truth, intervals) == pytest.approx(0.95, abs=0.01)


def draw_logits(rng, n, spread):
    """Draw labels of a two-class task and the probabilities that are true of them."""
    logits = spread * rng.normal(size=n)
    truth = 1 / (1 + np.exp(-logits))
    labels = (rng.random(n) < truth).astype(np.int64)
    return labels, np.column_stack([1 - truth, truth])


def test_log_loss_covers():
    rng = np.random.default_rng(4)
    spread = 3.0
    logits = np.linspace(-30, 30, 20_001)
    p = 1 / (1 + np.exp(-logits))
    density = np.exp(-((logits / spread) ** 2) / 2)
    truth = np.average(-p * np.log(p) - (1 - p) * np.log1p(-p), weights=density)
    intervals = (
        log_loss_interval(*draw_logits(rng, 2000, spread), draws=400) for _ in range(DRAWS)
    )
    assert share_covering(truth, intervals) == pytest.approx(0.95, abs=0.01)


def test_calibration_error_of_an_overconfident_model_covers():
    rng = np.random.default_rng(5)
    n, gap, draws = 2000, 0.12, 300

    def draw():
        sure = rng.uniform(0.6, 1.0, n)
        labels = (rng.random(n) > sure - gap).astype(np.int64)
        return labels, np.column_stack([sure, 1 - sure])

    # Absolute gaps make this one approximate, so fewer draws and a wider margin will do.
    intervals = (calibration_error_interval(*draw(), draws=200) for _ in range(draws))
    share = share_covering(gap, intervals, draws=draws)
    assert share == pytest.approx(0.95, abs=0.035)


@pytest.mark.parametrize("positives", [1, 2, 3, 5, 10])
def test_roc_auc_of_a_few_images_covers(positives):
    rng = np.random.default_rng(6)
    truth, draws = 0.9, 400
    shift = NormalDist().inv_cdf(truth) * np.sqrt(2)
    labels = np.repeat([0, 1], [300, positives])

    def draw():
        scores = np.concatenate([rng.normal(size=300), rng.normal(shift, 1, positives)])
        return labels, np.column_stack([-scores, scores])

    intervals = (roc_auc_interval(*draw()) for _ in range(draws))
    assert share_covering(truth, intervals, draws=draws) > 0.93


@pytest.mark.parametrize(("recall", "false"), [(0.1, 0.001), (0.5, 0.01), (0.95, 0.002)])
def test_macro_scores_with_a_small_class_cover(recall, false):
    rng = np.random.default_rng(7)
    sizes, draws = np.array([[300], [10]]), 400
    rates = np.array([[1 - false, false], [1 - recall, recall]])
    truth = mean_f1(rates * sizes, weighted=False)
    intervals = [
        average_classes(
            np.stack([rng.multinomial(size, rate) for (size,), rate in rows]), draws=300
        )
        for rows in (list(zip(sizes, rates, strict=True)) for _ in range(draws))
    ]
    f1 = [interval.f1_macro for interval in intervals]
    assert share_covering(truth, f1, draws=draws) > 0.9
    recalls = [interval.recall_macro for interval in intervals]
    assert share_covering(rates.diagonal().mean(), recalls, draws=draws) > 0.9


def test_a_calibrated_model_without_a_mistake_may_be_calibrated():
    sure = np.random.default_rng(8).uniform(0.98, 0.999, 120)
    right = np.ones(120, dtype=np.int64)
    found = calibration_error_interval(right, np.column_stack([1 - sure, sure]))
    assert found.low == pytest.approx(0, abs=1e-6)
    certain = calibration_error_interval(right, np.tile([0.4, 0.6], (120, 1)))
    assert certain.low > 0.3  # of 120 rows that are right as often as they are sure, 48 are wrong
