"""What is measured on probabilities themselves: log loss, calibration error, worst mistakes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tenfold.errors import ScoreInputError
from tenfold.evaluation.confusion import IntArray
from tenfold.evaluation.intervals import (
    FloatArray,
    Interval,
    bootstrap_t_interval,
    weighted_sums,
    wilson_interval,
)

SMALLEST = 2.0**-24
"""Probabilities below this count as this in the log loss: predictions are stored in half
precision, which has no smaller positive number."""

N_BINS = 15
"""Bins of confidence, equally wide, as in Guo et al. (2017)."""

_SUM_TOLERANCE = 0.02
_HALVINGS = 12


@dataclass(frozen=True, eq=False)
class Reliability:
    """How confident the predictions were and how often they were right, per bin of confidence.

    Args:
        edges: ``(bins + 1,)`` edges of the bins, 0 to 1.
        counts: ``(bins,)`` images in each bin.
        confidence: ``(bins,)`` mean highest probability; NaN in an empty bin.
        accuracy: One interval per bin; the value is 0.0 in an empty bin.
    """

    edges: FloatArray
    counts: IntArray
    confidence: FloatArray
    accuracy: tuple[Interval, ...]


@dataclass(frozen=True)
class Verdict:
    """One image and what it was taken for.

    Args:
        index: Its row.
        true: Its class index.
        predicted: The class index given.
        probability: The probability given to that class, 0 to 1.
    """

    index: int
    true: int
    predicted: int
    probability: float

    @property
    def is_right(self) -> bool:
        """Whether the class given is the true one."""
        return self.true == self.predicted


def check_scored(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, *, n_classes: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return labels and probabilities in the form that scoring needs.

    Args:
        labels: ``(n,)`` class indices, n at least 1.
        probabilities: ``(n, n_classes)``, finite, at least 0, each row about 1 in sum.
        n_classes: Number of classes, at least 2.

    Returns:
        The labels, and the probabilities in double precision with rows of sum 1.

    Raises:
        ScoreInputError: They break one of these rules.
    """
    found = np.asarray(labels)
    given = np.asarray(probabilities, dtype=np.float64)
    if found.ndim != 1 or not len(found) or not np.issubdtype(found.dtype, np.integer):
        raise ScoreInputError(
            f"labels must be class indices of shape (n,) with n at least 1, got "
            f"{found.dtype} of shape {found.shape}; pass the indices, not the names"
        )
    if given.shape != (len(found), n_classes) or n_classes < 2:
        raise ScoreInputError(
            f"probabilities must have one row per label and one column per class, "
            f"{(len(found), max(n_classes, 2))}, got {given.shape}"
        )
    if found.min() < 0 or found.max() >= n_classes:
        raise ScoreInputError(
            f"labels must lie within 0..{n_classes - 1} for {n_classes} classes, got "
            f"{found.min()}..{found.max()}"
        )
    sums = given.sum(axis=1)
    if not np.isfinite(given).all() or given.min() < 0 or np.abs(sums - 1).max() > _SUM_TOLERANCE:
        raise ScoreInputError(
            "probabilities must be finite, at least 0, and 1 in sum per row, got values "
            f"{given.min()!r}..{given.max()!r} and sums {sums.min()!r}..{sums.max()!r}; "
            "calibrate the scores before they are passed"
        )
    return found.astype(np.int64, copy=False), given / sums[:, None]


def log_loss_interval(
    labels: IntArray, probabilities: FloatArray, *, draws: int = 1000, seed: int = 0
) -> Interval:
    """Return the mean negative log probability of the true class.

    Args:
        labels: ``(n,)`` class indices.
        probabilities: ``(n, k)``; below `SMALLEST` they count as that.
        draws: Bootstrap draws.
        seed: Seed of the draws.

    Returns:
        The loss in nats with a studentized bootstrap interval, not below 0. Where every image
        has the same loss, the upper end is that of Wilson's interval for an image of the
        highest possible loss.
    """
    losses = _losses(labels, probabilities)
    found = bootstrap_t_interval(losses, draws=draws, seed=seed)
    high = found.high
    if found.low == found.high:
        highest = -float(np.log(SMALLEST))
        high += (highest - found.value) * wilson_interval(0, len(losses)).high
    return Interval(found.value, max(0.0, found.low), high)


def mean_log_loss(labels: IntArray, probabilities: FloatArray) -> float:
    """Return the mean negative log probability of the true class, without an interval.

    Args:
        labels: ``(n,)`` class indices.
        probabilities: ``(n, k)``; below `SMALLEST` they count as that.
    """
    return float(_losses(labels, probabilities).mean())


def measure_reliability(
    labels: IntArray, probabilities: FloatArray, *, bins: int = N_BINS
) -> Reliability:
    """Compare confidence, the highest probability of each row, with accuracy per bin.

    Args:
        labels: ``(n,)`` class indices.
        probabilities: ``(n, k)``, rows of sum 1.
        bins: Number of equally wide bins of confidence.
    """
    confidence, correct, members = _bin_confidence(labels, probabilities, bins)
    counts = np.bincount(members, minlength=bins)
    sums = np.bincount(members, confidence, minlength=bins)
    hits = np.bincount(members, correct, minlength=bins)
    means = np.divide(sums, counts, out=np.full(bins, np.nan), where=counts > 0)
    accuracy = tuple(
        wilson_interval(hit, n) for hit, n in zip(hits.tolist(), counts.tolist(), strict=True)
    )
    return Reliability(np.linspace(0, 1, bins + 1), counts, means, accuracy)


def calibration_error_interval(
    labels: IntArray,
    probabilities: FloatArray,
    *,
    bins: int = N_BINS,
    draws: int = 1000,
    seed: int = 0,
) -> Interval:
    """Return the expected calibration error: the mean gap between confidence and accuracy.

    Guo et al. (2017), "On calibration of modern neural networks", with equally wide bins. The
    estimate adds up absolute gaps, so chance alone makes it positive and percentiles of a
    bootstrap miss the truth. The interval therefore inverts a test: the observed gaps are scaled
    by factors from 0 up, the bootstrap's noise is added to them, and a factor belongs to the
    interval when the observed error is not in a 2.5 % tail of what it would give. A calibrated
    model thus gets an interval that begins at 0. A bin without a mistake, or with nothing else, has
    no noise to draw from; it gets that of as many rows that are right as often as they are sure.

    Args:
        labels: ``(n,)`` class indices.
        probabilities: ``(n, k)``, rows of sum 1.
        bins: Number of bins of confidence.
        draws: Bootstrap draws.
        seed: Seed of the draws.

    Returns:
        The error, 0 to 1, with its interval.
    """
    confidence, correct, members = _bin_confidence(labels, probabilities, bins)
    present, members = np.unique(members, return_inverse=True)
    columns = np.zeros((len(members), len(present)))
    columns[np.arange(len(members)), members] = confidence - correct
    gaps = columns.mean(axis=0)
    error = float(np.abs(gaps).sum())
    if error == 0.0:
        return Interval(0.0, 0.0, wilson_interval(0, len(members)).high)
    sums, totals = weighted_sums(columns, draws=draws, seed=seed)
    noise = sums / totals[:, None] - gaps
    counts, hits = np.bincount(members), np.bincount(members, correct)
    sure = np.minimum(np.bincount(members, confidence) / counts, 1.0)
    rng = np.random.default_rng(seed)
    for place in np.flatnonzero((hits == 0) | (hits == counts)):
        noise[:, place] = rng.binomial(counts[place], sure[place], draws) / len(members)
    noise -= noise.mean(axis=0)
    low = _cross(error, gaps, noise, tail=0.975) * error
    high = _cross(error, gaps, noise, tail=0.025) * error
    return Interval(error, min(low, error), max(high, error))


def _cross(error: float, gaps: FloatArray, noise: FloatArray, *, tail: float) -> float:
    """Return the factor of the gaps whose draws have the error seen at this tail; 0 to 2."""
    lower, upper = 0.0, 2.0
    # The tail grows with the factor, so halving finds where it crosses.
    for _ in range(_HALVINGS):
        middle = (lower + upper) / 2
        drawn = np.abs(middle * gaps + noise).sum(axis=1)
        if np.quantile(drawn, tail) < error:
            lower = middle
        else:
            upper = middle
    return lower


def list_mistakes(
    labels: IntArray, probabilities: FloatArray, *, limit: int = 25
) -> tuple[Verdict, ...]:
    """Return the wrong predictions that were made with the highest probability, worst first.

    Args:
        labels: ``(n,)`` class indices.
        probabilities: ``(n, k)``.
        limit: The most to list.
    """
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    confidence = probabilities[wrong, predicted[wrong]]
    of_true = probabilities[wrong, np.asarray(labels)[wrong]]
    # Half precision ties many at 1.0: then the one that gave the truth least is worse.
    order = np.lexsort((wrong, of_true, -confidence))[:limit]
    return list_verdicts(labels, probabilities, wrong[order])


def list_verdicts(
    labels: IntArray, probabilities: FloatArray, rows: IntArray
) -> tuple[Verdict, ...]:
    """Return what some images were taken for, in the order of the rows.

    Args:
        labels: ``(n,)`` class indices.
        probabilities: ``(n, k)``; the first class wins a tie.
        rows: Which images.
    """
    predicted = probabilities[rows].argmax(axis=1)
    return tuple(
        Verdict(int(row), int(labels[row]), int(said), float(probabilities[row, said]))
        for row, said in zip(rows, predicted, strict=True)
    )


def _losses(labels: IntArray, probabilities: FloatArray) -> npt.NDArray[np.float64]:
    of_true = probabilities[np.arange(len(labels)), labels]
    return -np.log(np.clip(of_true, SMALLEST, 1.0).astype(np.float64))


def _bin_confidence(
    labels: IntArray, probabilities: FloatArray, bins: int
) -> tuple[FloatArray, FloatArray, IntArray]:
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    return confidence, correct, np.minimum((confidence * bins).astype(np.int64), bins - 1)
