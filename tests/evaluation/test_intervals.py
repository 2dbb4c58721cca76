import numpy as np
import pytest

from tenfold.evaluation.intervals import (
    UNDEFINED,
    Interval,
    bootstrap_t_interval,
    effective_interval,
    weighted_sums,
    wilson_interval,
)


def test_wilson_agrees_with_scipy():
    from scipy.stats import binomtest

    for hits, n in ((0, 10), (3, 10), (10, 10), (9912, 10_000)):
        expected = binomtest(hits, n).proportion_ci(method="wilson")
        found = wilson_interval(hits, n)
        assert found.value == hits / n
        assert found.low == pytest.approx(expected.low, abs=1e-9)
        assert found.high == pytest.approx(expected.high, abs=1e-9)


def test_wilson_of_nothing_says_nothing():
    assert wilson_interval(0, 0) == Interval(0.0, 0.0, 1.0)


@pytest.mark.parametrize("n", [1, 7, 360, 10_000, 10_001])
def test_wilson_stays_within_bounds_and_around_the_value(n):
    for hits in {0, 1, n // 3, n}:
        found = wilson_interval(hits, n)
        assert 0 <= found.low <= found.value <= found.high <= 1


def test_an_interval_without_a_value_is_not_defined():
    assert not UNDEFINED.defined
    assert wilson_interval(1, 2).defined


def test_effective_interval_of_a_binomial_error_is_wilsons():
    expected = wilson_interval(90, 100)
    found = effective_interval(0.9, np.sqrt(0.9 * 0.1 / 100), 1000)
    assert found.low == pytest.approx(expected.low)
    assert found.high == pytest.approx(expected.high)


def test_effective_interval_without_spread_still_has_width():
    found = effective_interval(1.0, 0.0, 100)
    assert found.high == 1.0
    assert found.low == pytest.approx(wilson_interval(100, 100).low)


def test_weighted_sums_are_the_same_for_the_same_seed_and_poisson_in_size():
    columns = np.random.default_rng(0).normal(size=(500, 2))
    sums, totals = weighted_sums(columns, draws=250, seed=3)
    again, _ = weighted_sums(columns, draws=250, seed=3)
    other, _ = weighted_sums(columns, draws=250, seed=4)
    assert sums.shape == (250, 2)
    assert np.array_equal(sums, again)
    assert not np.array_equal(sums, other)
    assert totals.mean() == pytest.approx(500, rel=0.02)
    assert totals.std() == pytest.approx(np.sqrt(500), rel=0.2)


def test_weights_too_many_to_keep_are_drawn_again_and_equal(monkeypatch):
    columns = np.random.default_rng(0).normal(size=(300, 1))
    kept, _ = weighted_sums(columns, draws=150, seed=5)
    monkeypatch.setattr("tenfold.evaluation.intervals._CACHED_WEIGHTS", 0)
    drawn, _ = weighted_sums(columns, draws=150, seed=5)
    assert np.array_equal(kept, drawn)


def test_bootstrap_t_leans_to_the_long_tail():
    losses = np.random.default_rng(1).exponential(size=400) ** 3
    found = bootstrap_t_interval(losses)
    assert found.value == pytest.approx(losses.mean())
    assert found.high - found.value > found.value - found.low > 0


def test_bootstrap_t_of_equal_values_is_the_value():
    assert bootstrap_t_interval(np.full(10, 0.25)) == Interval(0.25, 0.25, 0.25)


def test_bootstrap_t_stays_sane_with_one_large_value():
    losses = np.zeros(400)
    losses[0] = 10.0
    found = bootstrap_t_interval(losses)
    assert found.value < found.high < 0.3
