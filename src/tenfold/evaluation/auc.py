"""The area under the ROC curve, one class against the rest, with its interval."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tenfold.evaluation.confusion import IntArray
from tenfold.evaluation.intervals import UNDEFINED, FloatArray, Interval, effective_interval


def roc_auc_interval(labels: IntArray, scores: FloatArray) -> Interval:
    """Return the ROC AUC with an interval from its influence function.

    With two classes it is the plain AUC of the second one; with more it is the macro average of
    one class against the rest, over the classes that have images (in a sample where some class
    has none, the average of the others). Ties count half. Each row's influence on each class's
    AUC is its placement among the other side's scores (DeLong, DeLong and Clarke-Pearson (1988),
    "Comparing the areas under two or more correlated receiver operating characteristic curves");
    the influences are averaged over the classes before the variance is taken, so that the
    correlation between classes is in the interval. Either side of each class counts one image more
    whose placement varies as much as a mean can let it: of a few images the spread says little.

    Args:
        labels: ``(n,)`` class indices, 0 to k - 1.
        scores: ``(n, k)``, higher for more likely; only their order within a column matters.

    Returns:
        The AUC and its interval; undefined when fewer than two classes have images.
    """
    n, k = scores.shape
    columns = [1] if k == 2 else range(k)
    areas, influences, rarer, unseen = [], [], [], 0.0
    for column in columns:
        of_class = np.asarray(labels) == column
        if 0 < np.count_nonzero(of_class) < n:
            area, influence = _area(of_class, scores[:, column])
            areas.append(area)
            influences.append(influence)
            inside = np.count_nonzero(of_class)
            rarer.append(min(inside, n - inside))
            unseen += area * (1 - area) * (1 / inside**2 + 1 / (n - inside) ** 2)
    if not areas:
        return UNDEFINED
    value = float(np.mean(areas))
    variance = np.var(np.mean(influences, axis=0)) / n + unseen / len(areas) ** 2
    # A perfect order has no spread; then the rarer side of each class bounds what is known.
    rows = len(areas) ** 2 / float(np.sum(1 / np.array(rarer)))
    return effective_interval(value, float(np.sqrt(variance)), rows)


def _area(of_class: npt.NDArray[np.bool_], scores: FloatArray) -> tuple[float, FloatArray]:
    """Return the AUC of one class and every row's influence on it."""
    inside, outside = np.sort(scores[of_class]), np.sort(scores[~of_class])
    placement = np.empty(len(scores))
    placement[of_class] = _share_below(outside, scores[of_class])
    placement[~of_class] = 1 - _share_below(inside, scores[~of_class])
    area = float(placement[of_class].mean())
    share = len(inside) / len(scores)
    influence = (placement - area) / np.where(of_class, share, 1 - share)
    return area, influence


def _share_below(ordered: FloatArray, values: FloatArray) -> FloatArray:
    """Return which share of the ordered scores each value exceeds; a tie counts half."""
    below = np.searchsorted(ordered, values, side="left")
    not_above = np.searchsorted(ordered, values, side="right")
    return (below + not_above) / (2 * len(ordered))
