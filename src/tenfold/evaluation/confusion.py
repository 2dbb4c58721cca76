"""What follows from counting labels against predictions: rates, averages and their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.evaluation.intervals import (
    FloatArray,
    Interval,
    effective_interval,
    wilson_interval,
)

IntArray = npt.NDArray[np.integer[Any]]
BETA = 2.0
"""The β of the F-beta score: recall counts twice as much as precision."""

_CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class ClassScore:
    """How well one class is told from the others.

    Args:
        name: The class.
        precision: Share of the images predicted as this class that are of it.
        recall: Share of the images of this class that were predicted as it.
        f1: Harmonic mean of the two.
        support: Images of this class.
        predicted: Images predicted as this class.
    """

    name: str
    precision: Interval
    recall: Interval
    f1: Interval
    support: int
    predicted: int


@dataclass(frozen=True)
class Confusion:
    """One kind of mistake and how often it happened.

    Args:
        true: Name of the true class.
        predicted: Name of the class predicted instead.
        count: Images.
        share: Part of the true class's images, 0 to 1.
    """

    true: str
    predicted: str
    count: int
    share: float


@dataclass(frozen=True)
class Averages:
    """Precision, recall, F1 and F-beta over all classes.

    ``macro`` counts every class alike, ``weighted`` by its number of images. What is divided by
    zero is 0.0: the precision of a class never predicted, the recall of a class without images.
    Such a class takes part in the macro averages. The weighted recall is the accuracy.
    """

    precision_macro: Interval
    precision_weighted: Interval
    recall_macro: Interval
    recall_weighted: Interval
    f1_macro: Interval
    f1_weighted: Interval
    fbeta_macro: Interval
    fbeta_weighted: Interval


def count_confusion(
    labels: IntArray, predicted: IntArray, *, n_classes: int
) -> npt.NDArray[np.int64]:
    """Count the images of each true class by the class predicted.

    Args:
        labels: ``(n,)`` class indices, 0 to ``n_classes - 1``.
        predicted: ``(n,)`` class indices.
        n_classes: Number of classes.

    Returns:
        ``(n_classes, n_classes)``: true classes are rows, predicted classes are columns.

    >>> count_confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), n_classes=2).tolist()
    [[1, 1], [0, 1]]
    """
    cells = np.asarray(labels, dtype=np.int64) * n_classes + np.asarray(predicted, dtype=np.int64)
    return np.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes)


def score_classes(confusion: IntArray, *, class_names: Sequence[str]) -> tuple[ClassScore, ...]:
    """Return each class's precision, recall and F1 with intervals.

    Precision and recall are proportions, so their intervals are Wilson's. F1 is
    ``2 J / (1 + J)`` of the Jaccard index J, which is a proportion too: of the images that are of
    the class or predicted as it.

    Args:
        confusion: ``(k, k)`` counts, true classes in rows.
        class_names: k names.
    """
    hits = np.diagonal(confusion)
    support, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    return tuple(
        ClassScore(
            name=name,
            precision=wilson_interval(hit, chosen),
            recall=wilson_interval(hit, true),
            f1=_f1_interval(hit, true + chosen - hit),
            support=true,
            predicted=chosen,
        )
        for name, hit, true, chosen in zip(
            class_names, hits.tolist(), support.tolist(), predicted.tolist(), strict=True
        )
    )


def average_classes(confusion: IntArray, *, draws: int = 1000, seed: int = 0) -> Averages:
    """Return the macro and weighted averages over the classes with intervals.

    The standard errors come from multinomial draws of the confusion counts, the shape of the
    intervals from `effective_interval`. A class that was never or always hit is drawn with half an
    image of the other kind (Jeffreys' prior): without it a few images would seem to say all.

    Args:
        confusion: ``(k, k)`` counts with a sum of at least 1, true classes in rows.
        draws: Bootstrap draws.
        seed: Seed of the draws.
    """
    values = _averages(np.diagonal(confusion), confusion.sum(axis=1), confusion.sum(axis=0))
    errors = np.std(_draw_averages(confusion, draws, seed), axis=0, ddof=1)
    n = int(confusion.sum())
    support = confusion.sum(axis=1)
    present = support[support > 0]
    # Without a single error nothing varies; then the small classes bound what is known.
    balanced = len(present) ** 2 / float(np.sum(1 / present))
    intervals = [
        effective_interval(float(value), float(error), rows)
        for value, error, rows in zip(values, errors, [balanced, n] * 4, strict=True)
    ]
    intervals[3] = wilson_interval(int(np.trace(confusion)), n)
    return Averages(*intervals)


def mean_f1(confusion: IntArray, *, weighted: bool) -> float:
    """Return the F1 averaged over the classes, without an interval.

    Args:
        confusion: ``(k, k)`` counts, true classes in rows.
        weighted: By each class's images instead of alike.
    """
    values = _averages(np.diagonal(confusion), confusion.sum(axis=1), confusion.sum(axis=0))
    return float(values[5 if weighted else 4])


def list_confusions(
    confusion: IntArray, *, class_names: Sequence[str], limit: int = 10
) -> tuple[Confusion, ...]:
    """Return the most frequent mistakes, most frequent first.

    Args:
        confusion: ``(k, k)`` counts, true classes in rows.
        class_names: k names.
        limit: The most to list.
    """
    mistakes = np.array(confusion)
    np.fill_diagonal(mistakes, 0)
    order = np.argsort(-mistakes, axis=None, kind="stable")[:limit]
    support = confusion.sum(axis=1)
    found = []
    for cell in order.tolist():
        true, predicted = divmod(cell, len(mistakes))
        count = int(mistakes[true, predicted])
        if count:
            share = count / int(support[true])
            found.append(Confusion(class_names[true], class_names[predicted], count, share))
    return tuple(found)


def _f1_interval(hits: int, union: int) -> Interval:
    jaccard = wilson_interval(hits, union)
    value, low, high = (2 * j / (1 + j) for j in (jaccard.value, jaccard.low, jaccard.high))
    return Interval(value, low, high)


def _averages(hits: FloatArray, support: FloatArray, predicted: FloatArray) -> FloatArray:
    """Return the eight averages, ``(..., 8)``, in the order of `Averages`."""
    precision = _ratio(hits, predicted)
    recall = _ratio(hits, support)
    f1 = _ratio(2 * hits, support + predicted)
    square = BETA**2
    fbeta = _ratio((1 + square) * hits, square * support + predicted)
    weights = _ratio(support, support.sum(axis=-1, keepdims=True))
    both = [
        average
        for rate in (precision, recall, f1, fbeta)
        for average in (rate.mean(axis=-1), (rate * weights).sum(axis=-1))
    ]
    return np.stack(both, axis=-1)


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    zero = np.zeros(np.broadcast_shapes(part.shape, whole.shape))
    return np.divide(part, whole, out=zero, where=whole > 0)


def _draw_averages(confusion: IntArray, draws: int, seed: int) -> FloatArray:
    """Return the averages of multinomial draws, ``(draws, 8)``; only cells that occur are drawn."""
    rng = np.random.default_rng(seed)
    k, n = len(confusion), int(confusion.sum())
    smoothed = _smooth(confusion)
    true, predicted = np.nonzero(smoothed)
    counts = smoothed[true, predicted]
    diagonal = np.flatnonzero(true == predicted)
    by_column = np.argsort(predicted, kind="stable")
    at_once = max(1, _CELLS_AT_ONCE // len(counts))
    found = []
    for start in range(0, draws, at_once):
        drawn = rng.multinomial(n, counts / counts.sum(), size=min(at_once, draws - start))
        hits = np.zeros((len(drawn), k))
        hits[:, true[diagonal]] = drawn[:, diagonal]
        support = _sum_groups(drawn, true, k)
        chosen = _sum_groups(drawn[:, by_column], predicted[by_column], k)
        found.append(_averages(hits, support, chosen))
    return np.concatenate(found)


def _smooth(confusion: IntArray) -> FloatArray:
    """Return the counts, and half a hit or miss of each class that has images, but none of those.

    The miss is of the class predicted most.
    """
    smoothed = confusion.astype(np.float64)
    hits, support = np.diagonal(confusion), confusion.sum(axis=1)
    never = np.flatnonzero((hits == 0) & (support > 0))
    always = np.flatnonzero((hits == support) & (support > 0))
    smoothed[never, never] += 0.5
    often = np.argsort(-confusion.sum(axis=0), kind="stable")[:2]
    if len(often) > 1:
        smoothed[always, np.where(always == often[0], often[1], often[0])] += 0.5
    return smoothed


def _sum_groups(drawn: IntArray, groups: IntArray, k: int) -> FloatArray:
    """Sum the columns of each group; ``groups`` is sorted."""
    present, starts = np.unique(groups, return_index=True)
    sums = np.zeros((len(drawn), k))
    sums[:, present] = np.add.reduceat(drawn, starts, axis=1)
    return sums
