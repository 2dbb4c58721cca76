"""Precision/recall and ROC curves of a two-class task, and thresholds chosen on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tenfold.errors import ScoreInputError
from tenfold.evaluation.auc import roc_auc_interval
from tenfold.evaluation.confusion import IntArray
from tenfold.evaluation.intervals import FloatArray, Interval, wilson_interval


@dataclass(frozen=True, eq=False)
class PrecisionRecallCurve:
    """Precision and recall of the second class at every threshold, from the highest down.

    Args:
        thresholds: ``(t,)`` falling; a probability of at least the threshold counts as positive.
        precision: ``(t,)``, 0 to 1.
        recall: ``(t,)`` rising, 0 to 1.
        average_precision: Mean precision weighted by the steps in recall, 0 to 1.
        base_rate: Share of positives, the precision of guessing.
    """

    thresholds: FloatArray
    precision: FloatArray
    recall: FloatArray
    average_precision: float
    base_rate: float


@dataclass(frozen=True, eq=False)
class RocCurve:
    """True and false positive rates of the second class at every threshold.

    Args:
        thresholds: ``(t,)`` falling, the first one infinite.
        true_positive_rate: ``(t,)`` rising from 0 to 1.
        false_positive_rate: ``(t,)`` rising from 0 to 1.
        area: The area under the curve with its interval.
    """

    thresholds: FloatArray
    true_positive_rate: FloatArray
    false_positive_rate: FloatArray
    area: Interval


@dataclass(frozen=True)
class OperatingPoint:
    """What a threshold does on one set of labelled images.

    Args:
        threshold: A probability of at least this counts as the second class.
        precision: Share of the images called positive that are; 0.0 when none is called so.
        recall: Share of the positives found.
        f1: Harmonic mean of the two, 0 to 1.
        accuracy: Share of images classified rightly.
        true_positives: Positives called positive.
        false_positives: Negatives called positive.
        false_negatives: Positives called negative.
        true_negatives: Negatives called negative.
    """

    threshold: float
    precision: Interval
    recall: Interval
    f1: float
    accuracy: Interval
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int


def precision_recall_curve(labels: IntArray, probabilities: FloatArray) -> PrecisionRecallCurve:
    """Return precision and recall at every threshold that occurs.

    Args:
        labels: ``(n,)`` of 0 and 1, with both.
        probabilities: ``(n,)`` of the second class, or ``(n, 2)``.

    Raises:
        ScoreInputError: There are more than two classes, or one has no images.
    """
    thresholds, hits, called, positives, n = _sweep(labels, probabilities)
    precision, recall = hits / called, hits / positives
    steps = np.diff(recall, prepend=0.0)
    return PrecisionRecallCurve(
        thresholds, precision, recall, float((steps * precision).sum()), positives / n
    )


def roc_curve(labels: IntArray, probabilities: FloatArray) -> RocCurve:
    """Return true and false positive rates at every threshold that occurs.

    Args:
        labels: ``(n,)`` of 0 and 1, with both.
        probabilities: ``(n,)`` of the second class, or ``(n, 2)``.

    Raises:
        ScoreInputError: There are more than two classes, or one has no images.
    """
    thresholds, hits, called, positives, n = _sweep(labels, probabilities)
    scores = _of_second(probabilities)
    return RocCurve(
        np.concatenate([[np.inf], thresholds]),
        np.concatenate([[0.0], hits / positives]),
        np.concatenate([[0.0], (called - hits) / (n - positives)]),
        roc_auc_interval(labels, np.column_stack([-scores, scores])),
    )


def threshold_for(
    labels: IntArray,
    probabilities: FloatArray,
    *,
    precision: float | None = None,
    recall: float | None = None,
) -> float:
    """Choose the threshold that reaches a wanted precision or recall at the least cost.

    Pass validation labels; `at_threshold` then reports what it does on the test labels.

    Args:
        labels: ``(n,)`` of 0 and 1, with both.
        probabilities: ``(n,)`` of the second class, or ``(n, 2)``.
        precision: Wanted precision, 0 to 1; of the thresholds that reach it, the one with the
            highest recall is chosen.
        recall: Wanted recall, 0 to 1; of the thresholds that reach it, the one with the highest
            precision is chosen. Exactly one of the two is given.

    Raises:
        ScoreInputError: The target is not one of the two, or no threshold reaches it.
    """
    if (precision is None) == (recall is None):
        raise ScoreInputError(
            f"one target is needed, precision or recall, got precision={precision!r} and "
            f"recall={recall!r}"
        )
    curve = precision_recall_curve(labels, probabilities)
    if precision is not None:
        name, target, reached, other = "precision", precision, curve.precision, curve.recall
    else:
        assert recall is not None
        name, target, reached, other = "recall", recall, curve.recall, curve.precision
    good = np.flatnonzero(reached >= target)
    if not 0 <= target <= 1 or not len(good):
        raise ScoreInputError(
            f"no threshold reaches a {name} of {target!r} on these {len(labels)} images; the "
            f"highest is {float(reached.max()):.4f}: ask for no more than that"
        )
    best = good[np.lexsort((-reached[good], -other[good]))[0]]
    return float(curve.thresholds[best])


def at_threshold(
    labels: IntArray, probabilities: FloatArray, threshold: float, *, repeats: int = 1
) -> OperatingPoint:
    """Report what a threshold does.

    Args:
        labels: ``(n,)`` of 0 and 1.
        probabilities: ``(n,)`` of the second class, or ``(n, 2)``.
        threshold: A probability of at least this counts as the second class.
        repeats: How often each image is among the rows; in the intervals it counts once.
    """
    called = _of_second(probabilities) >= threshold
    positive = np.asarray(labels) == 1
    tp, fp = int(np.sum(called & positive)), int(np.sum(called & ~positive))
    fn, tn = int(np.sum(~called & positive)), int(np.sum(~called & ~positive))
    return OperatingPoint(
        threshold=threshold,
        precision=wilson_interval(tp / repeats, (tp + fp) / repeats),
        recall=wilson_interval(tp / repeats, (tp + fn) / repeats),
        f1=2 * tp / max(2 * tp + fp + fn, 1),
        accuracy=wilson_interval((tp + tn) / repeats, (tp + fp + fn + tn) / repeats),
        true_positives=tp,
        false_positives=fp,
        false_negatives=fn,
        true_negatives=tn,
    )


def _of_second(probabilities: FloatArray) -> npt.NDArray[np.float64]:
    given = np.asarray(probabilities, dtype=np.float64)
    if given.ndim == 2 and given.shape[1] == 2:
        return given[:, 1]
    if given.ndim == 1:
        return given
    raise ScoreInputError(
        f"curves and thresholds are for two classes: probabilities of shape (n,) or (n, 2), got "
        f"{given.shape}; make the task binary with a target class"
    )


def _sweep(
    labels: IntArray, probabilities: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, int, int]:
    """Return thresholds, hits and calls at each, the number of positives and of all."""
    scores = _of_second(probabilities)
    positive = np.asarray(labels) == 1
    positives, n = int(positive.sum()), len(positive)
    if not 0 < positives < n:
        raise ScoreInputError(
            f"a curve needs images of both classes, got {positives} positives among {n} images"
        )
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last_of_tie = np.flatnonzero(np.append(np.diff(ordered) != 0, True))
    hits = np.cumsum(positive[order])[last_of_tie].astype(np.float64)
    return ordered[last_of_tie], hits, (last_of_tie + 1).astype(np.float64), positives, n
