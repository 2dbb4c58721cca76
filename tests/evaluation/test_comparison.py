import numpy as np
import pytest
from scipy.stats import binom

from tenfold.evaluation import holm_adjust, mcnemar_p_value


def right(only_a, only_b, both=5, neither=5):
    a = [True] * only_a + [False] * only_b + [True] * both + [False] * neither
    b = [False] * only_a + [True] * only_b + [True] * both + [False] * neither
    return np.array(a), np.array(b)


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 1), (3, 9), (40, 60), (700, 800), (6, 0)])
def test_mcnemar_is_the_mid_p_of_the_exact_test(only_a, only_b):
    n, fewer = only_a + only_b, min(only_a, only_b)
    expected = 2 * binom.cdf(fewer, n, 0.5) - binom.pmf(fewer, n, 0.5)
    assert mcnemar_p_value(*right(only_a, only_b)) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_is_symmetric():
    a, b = right(3, 9)
    assert mcnemar_p_value(a, b) == mcnemar_p_value(b, a)


@pytest.mark.parametrize("apart", [0, 1, 7, 4000])
def test_equally_good_models_do_not_differ(apart):
    assert mcnemar_p_value(*right(apart, apart)) == pytest.approx(1.0)


def test_mcnemar_of_very_different_models_does_not_fail():
    assert mcnemar_p_value(*right(9000, 10)) == pytest.approx(0.0, abs=1e-12)


def test_holm_multiplies_by_the_tests_that_are_left_and_never_falls():
    assert holm_adjust([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm_adjust([0.5, 0.9]) == (1.0, 1.0)
    assert holm_adjust([]) == ()
