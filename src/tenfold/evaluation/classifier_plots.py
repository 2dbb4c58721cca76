"""Charts of one classifier's predictions; as in `plots`, results go in and axes come out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tenfold.evaluation.confusion import IntArray
from tenfold.evaluation.curves import OperatingPoint, PrecisionRecallCurve, RocCurve
from tenfold.evaluation.plots import MOST_NAMES, Axes, shorten
from tenfold.evaluation.probabilities import Reliability
from tenfold.evaluation.style import (
    BLUE,
    GRID,
    INK,
    MUTED,
    VERMILLION,
    WITHIN_ITS_AXES,
    new_axes,
)

_LIGHTEST, _DARKEST = 0.1, 0.55
"""Shades of a confusion matrix: the counts on them can be read in a page's both schemes."""


def plot_confusion(confusion: IntArray, class_names: Sequence[str], ax: Axes | None = None) -> Axes:
    """Draw a confusion matrix: hits in blue, mistakes in red, both shaded within their row.

    Args:
        confusion: ``(k, k)`` counts, true classes in rows.
        class_names: k names.
        ax: Where to draw.
    """
    k = len(confusion)
    side = min(max(3.4, 0.4 * k + 1.0), 7.5)
    ax = new_axes(side + 0.2, side) if ax is None else ax
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    wrong = np.where(np.eye(k, dtype=bool), 0.0, shares)
    # Mistakes are rare: they are shaded against the most frequent one, by its root.
    strengths = np.where(
        np.eye(k, dtype=bool), shares, np.sqrt(wrong / max(float(wrong.max()), 0.01))
    )
    shades = _LIGHTEST + (_DARKEST - _LIGHTEST) * strengths
    if k <= MOST_NAMES:
        _draw_cells(ax, confusion, shades)
    else:
        colours = np.zeros((k, k, 4))
        red_green_blue = _to_rgb((VERMILLION, BLUE))
        colours[..., :3] = red_green_blue[np.eye(k, dtype=int)]
        colours[..., 3] = np.where(confusion > 0, shades, 0)
        ax.imshow(colours, interpolation="nearest")
    size = 8.5 if k <= MOST_NAMES else max(3.5, 8.5 * MOST_NAMES / k)
    names = [shorten(name, 14) for name in class_names]
    upright = k <= MOST_NAMES and max(map(len, names)) <= 2
    ax.set_xticks(range(k), names, rotation=0 if upright else 90, fontsize=size)
    ax.set_yticks(range(k), names, fontsize=size)
    ax.tick_params(length=0)
    ax.set_xlim(-0.5, k - 0.5)
    ax.set_ylim(k - 0.5, -0.5)
    ax.set_aspect("equal")
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(True)
    ax.set_xlabel("Predicted class")
    ax.set_ylabel("True class")
    return ax


def plot_reliability(reliability: Reliability, ax: Axes | None = None) -> Axes:
    """Draw accuracy over confidence per bin, with intervals and the share of images in each.

    Args:
        reliability: What `measure_reliability` returned.
        ax: Where to draw.
    """
    ax = new_axes(4.8, 4.0) if ax is None else ax
    share = reliability.counts / max(int(reliability.counts.sum()), 1)
    edges = reliability.edges
    ax.bar(edges[:-1], share, np.diff(edges), align="edge", color=GRID, label="Share of images")
    ax.plot([0, 1], [0, 1], "--", color=MUTED, linewidth=1, label="Perfectly calibrated")
    filled = np.flatnonzero(reliability.counts)
    middle = reliability.confidence[filled]
    found = [reliability.accuracy[index] for index in filled]
    values = [interval.value for interval in found]
    errors = [
        [interval.value - interval.low for interval in found],
        [interval.high - interval.value for interval in found],
    ]
    ax.errorbar(middle, values, yerr=errors, fmt="o", color=BLUE, elinewidth=1.2, markersize=5)
    ax.set_xlabel("Confidence: the highest probability")
    ax.set_ylabel("Accuracy")
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1.02)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    return ax


def plot_precision_recall(
    curve: PrecisionRecallCurve, ax: Axes | None = None, *, points: Sequence[OperatingPoint] = ()
) -> Axes:
    """Draw precision over recall; rings are thresholds chosen on validation data.

    Args:
        curve: What `precision_recall_curve` returned.
        ax: Where to draw.
        points: What the chosen thresholds do on the same images.
    """
    ax = new_axes(4.8, 4.0) if ax is None else ax
    label = f"Average precision {curve.average_precision:.4f}"
    ax.plot(curve.recall, curve.precision, color=BLUE, drawstyle="steps-pre", label=label)
    ax.axhline(curve.base_rate, linestyle="--", color=MUTED, linewidth=1, label="Guessing")
    _draw_points(ax, [(point.recall.value, point.precision.value) for point in points])
    ax.set_xlabel("Recall")
    ax.set_ylabel("Precision")
    _unit_square(ax)
    ax.legend(loc="lower left")
    return ax


def plot_roc(
    curve: RocCurve, ax: Axes | None = None, *, points: Sequence[OperatingPoint] = ()
) -> Axes:
    """Draw the true over the false positive rate; rings are thresholds chosen on validation data.

    Args:
        curve: What `roc_curve` returned.
        ax: Where to draw.
        points: What the chosen thresholds do on the same images.
    """
    ax = new_axes(4.8, 4.0) if ax is None else ax
    area = curve.area
    label = f"Area {area.value:.4f} ({area.low:.4f} to {area.high:.4f})"
    ax.plot(curve.false_positive_rate, curve.true_positive_rate, color=BLUE, label=label)
    ax.plot([0, 1], [0, 1], "--", color=MUTED, linewidth=1, label="Guessing")
    rates = [
        (p.false_positives / max(p.false_positives + p.true_negatives, 1), p.recall.value)
        for p in points
    ]
    _draw_points(ax, rates)
    ax.set_xlabel("False positive rate")
    ax.set_ylabel("True positive rate (recall)")
    _unit_square(ax)
    ax.legend(loc="lower right")
    return ax


def _draw_cells(ax: Axes, confusion: IntArray, shades: Any) -> None:
    from matplotlib.patches import Rectangle

    size = min(8.5, 11.5 - 0.3 * len(confusion))
    for (true, predicted), count in np.ndenumerate(confusion):
        if not count:
            continue
        colour = BLUE if true == predicted else VERMILLION
        shade = float(shades[true, predicted])
        corner = predicted - 0.48, true - 0.48
        ax.add_patch(
            Rectangle(corner, 0.96, 0.96, color=colour, alpha=shade, linewidth=0, **WITHIN_ITS_AXES)
        )
        ax.text(
            predicted,
            true,
            f"{count:d}",
            ha="center",
            va="center",
            fontsize=size if count < 10_000 else size - 2,
            color=INK,
            **WITHIN_ITS_AXES,
        )


def _to_rgb(names: Sequence[str]) -> Any:
    """Return red, green and blue of each colour, ``(n, 3)``, 0 to 1."""
    from matplotlib.colors import to_rgb

    return np.array([to_rgb(name) for name in names])


def _draw_points(ax: Axes, points: Sequence[tuple[float, float]]) -> None:
    for x, y in points:
        ax.plot(x, y, "o", markersize=7, markerfacecolor="none", markeredgecolor=VERMILLION)


def _unit_square(ax: Axes) -> None:
    ax.set_xlim(-0.01, 1.01)
    ax.set_ylim(-0.01, 1.02)
