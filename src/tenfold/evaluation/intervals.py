"""95 % intervals, and the row weights that bootstraps draw.

Every interval covers the sampling of the rows that were scored. It does not cover what training
again with another seed would change.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]
"""Floating-point values of any width; half precision is what predictions are stored in."""

Z_95 = 1.959963984540054
"""The normal distribution's 97.5 % point."""

_TAIL = 0.025
_NO_SPREAD = 1e-12
_LARGEST_T = 6.0
_CACHED_WEIGHTS = 20_000_000
_CHUNK = 100


@dataclass(frozen=True)
class Interval:
    """A score with its 95 % interval.

    Args:
        value: The score on the rows at hand; NaN where it is not defined.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    @property
    def defined(self) -> bool:
        """Whether the score exists, for example False for an ROC AUC of one class alone."""
        return not math.isnan(self.value)


UNDEFINED = Interval(math.nan, math.nan, math.nan)
"""The interval of a score that does not exist for the data at hand."""


def wilson_interval(successes: float, n: float) -> Interval:
    """Return a proportion with Wilson's score interval.

    Wilson (1927), "Probable inference, the law of succession, and statistical inference".

    Args:
        successes: Rows that count, 0 to ``n``.
        n: Rows in all, at least 0; may be an effective, fractional number.

    Returns:
        The proportion and its interval within 0..1; 0.0 with 0..1 when ``n`` is 0.

    >>> found = wilson_interval(9_800, 10_000)
    >>> round(found.low, 4), round(found.high, 4)
    (0.9771, 0.9826)
    """
    if n <= 0:
        return Interval(0.0, 0.0, 1.0)
    share = min(max(successes / n, 0.0), 1.0)
    z2 = Z_95 * Z_95 / n
    centre = (share + z2 / 2) / (1 + z2)
    half = Z_95 / (1 + z2) * math.sqrt(share * (1 - share) / n + z2 / (4 * n))
    # Rounding must not push an end past the score itself at 0 and at 1.
    return Interval(share, max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share)))


def effective_interval(value: float, standard_error: float, n: float) -> Interval:
    """Return a score within 0..1 with Wilson's interval at its effective number of rows.

    A proportion with this value and this standard error would come from
    ``value (1 - value) / standard_error**2`` rows; Wilson's interval for that many rows stays
    within 0..1, leans the right way near 1 and holds its coverage where few errors were seen
    (Dean and Pagano (2015), "Evaluating confidence interval methods for binomial proportions in
    clustered surveys").

    Args:
        value: The score, 0 to 1.
        standard_error: Its standard error, at least 0.
        n: The effective number of rows when nothing varied, as in a flawless sample.
    """
    spread = value * (1 - value)
    certain = standard_error < _NO_SPREAD or spread < _NO_SPREAD
    rows = n if certain else spread / standard_error**2
    found = wilson_interval(value * rows, rows)
    return Interval(value, min(found.low, value), max(found.high, value))


def bootstrap_t_interval(values: FloatArray, *, draws: int = 1000, seed: int = 0) -> Interval:
    """Return the mean of row values with a studentized bootstrap interval.

    Losses are skewed: most are near zero and a few are large. Studentizing keeps the coverage
    where the percentiles of the plain bootstrap lose it (Efron and Tibshirani (1993), "An
    Introduction to the Bootstrap", chapter 12).

    Args:
        values: ``(n,)``, finite, n at least 1.
        draws: Bootstrap draws.
        seed: Seed of the draws.

    Returns:
        The mean and its interval; the interval is the value itself when all values are equal.
    """
    mean = float(np.mean(values, dtype=np.float64))
    centred = np.asarray(values, dtype=np.float64) - mean
    error = float(np.sqrt(np.mean(centred**2) / len(centred)))
    if error <= 0:
        return Interval(mean, mean, mean)
    sums, totals = weighted_sums(np.column_stack([centred, centred**2]), draws=draws, seed=seed)
    shift = sums[:, 0] / totals
    variance = np.maximum(sums[:, 1] / totals - shift**2, np.finfo(np.float64).tiny)
    # A draw that misses the few large values has next to no spread, and its t no bound.
    t = np.clip(shift / np.sqrt(variance / totals), -_LARGEST_T, _LARGEST_T)
    lower, upper = np.quantile(t, [_TAIL, 1 - _TAIL])
    return Interval(mean, mean - float(upper) * error, mean - float(lower) * error)


def weighted_sums(
    columns: FloatArray, *, draws: int = 1000, seed: int = 0
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the sums of every column under each draw of Poisson(1) row weights.

    Args:
        columns: ``(n, c)``.
        draws: Bootstrap draws.
        seed: Seed of the draws; equal seeds give equal weights for every model.

    Returns:
        The sums, ``(draws, c)``, and the total weight of each draw, ``(draws,)``.
    """
    with_ones = np.column_stack([columns, np.ones(len(columns))])
    sums = np.concatenate(
        # In double precision, so that the digits of a table do not hang on the order of a sum.
        [weights.astype(np.float64) @ with_ones for weights in _weights(len(columns), draws, seed)]
    )
    # A draw of all zeros happens with a handful of rows only.
    return sums[:, :-1], np.maximum(sums[:, -1], 1.0)


def _weights(n: int, draws: int, seed: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield Poisson(1) weights, ``(up to 100, n)`` at a time."""
    if n * draws <= _CACHED_WEIGHTS:
        yield from _cached_weights(n, draws, seed)
    else:
        yield from _draw_weights(n, draws, seed)


@lru_cache(maxsize=2)
def _cached_weights(n: int, draws: int, seed: int) -> tuple[npt.NDArray[np.uint8], ...]:
    return tuple(_draw_weights(n, draws, seed))


def _draw_weights(n: int, draws: int, seed: int) -> Iterator[npt.NDArray[np.uint8]]:
    rng = np.random.default_rng(seed)
    for start in range(0, draws, _CHUNK):
        yield rng.poisson(1.0, (min(_CHUNK, draws - start), n)).astype(np.uint8)
