"""Whether two classifiers differ on the same images: McNemar's test, and Holm's correction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def mcnemar_p_value(correct_a: npt.NDArray[np.bool_], correct_b: npt.NDArray[np.bool_]) -> float:
    """Return the two-sided mid-p value of McNemar's exact test.

    Only images that exactly one of the two gets right tell them apart; under equality each is a
    coin flip. The mid-p value counts half of the observed outcome's probability, which holds the
    nominal level better than the exact test and without its caution (Fagerland, Lydersen and
    Laake (2013), "The McNemar test for binary matched-pairs data").

    Args:
        correct_a: ``(n,)``, whether the first classifier is right about each image.
        correct_b: ``(n,)``, likewise for the second.

    Returns:
        0 to 1; 1.0 when they are never right apart.

    >>> round(mcnemar_p_value(np.array([True] * 6), np.array([False] * 6)), 6)
    0.015625
    """
    only_a = int(np.count_nonzero(correct_a & ~correct_b))
    only_b = int(np.count_nonzero(correct_b & ~correct_a))
    n, fewer = only_a + only_b, min(only_a, only_b)
    if n == 0:
        return 1.0
    # log of the binomial coefficients of n by cumulated logarithms: exact enough for any n
    steps = np.arange(1, fewer + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log(n - steps + 1) - np.log(steps))])
    masses = np.exp(logs - n * np.log(2))
    return float(min(1.0, 2 * masses.sum() - masses[-1]))


def holm_adjust(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p values adjusted for the number of tests by Holm's step-down method.

    Holm (1979), "A simple sequentially rejective multiple test procedure".

    Args:
        p_values: One per test, 0 to 1.

    Returns:
        Adjusted values in the same order; below 0.05 means significant over all tests at 5 %.

    >>> holm_adjust([0.01, 0.04, 0.03])
    (0.03, 0.06, 0.06)
    """
    count = len(p_values)
    adjusted = [0.0] * count
    highest = 0.0
    for rank, index in enumerate(sorted(range(count), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (count - rank) * p_values[index]))
        adjusted[index] = highest
    return tuple(adjusted)
