"""Charts of the leaderboard, of learning and of the data: results in, matplotlib axes out.

Every function draws what was computed elsewhere, into ``ax`` or into a new figure of its own;
nothing touches pyplot's state. Draw inside `chart_style`.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tenfold._optional import require
from tenfold.evaluation.leaderboard import Leaderboard, Row
from tenfold.evaluation.style import BLUE, INK, MUTED, SERIES, VERMILLION, new_axes

Axes = Any
"""A matplotlib ``Axes``; matplotlib ships no types and loads only when something is drawn."""

_MOST_ROWS = 40
_MOST_LINES = 6
_HALF_LEGEND = 26
_HIGH = 0.9
_ACCURACY_TICKS = (0, 0.2, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)
_LEAST_ERROR = 0.001
_WIDE = 10
_MANY_DECADES = 300
MOST_NAMES = 20
"""With more classes than this, names and counts no longer fit at full size."""
LINE = 56
"""Characters of a line below a chart."""


def plot_accuracy(leaderboard: Leaderboard, ax: Axes | None = None) -> Axes:
    """Draw test accuracy with its interval, best row on top; a ring is validation accuracy.

    Args:
        leaderboard: What `choose_rows` returns of it is drawn.
        ax: Where to draw.
    """
    rows, said = choose_rows(leaderboard)
    ax = new_axes(4.8, 1.0 + 0.23 * max(len(rows), 4)) if ax is None else ax
    for place, row in enumerate(rows):
        assert row.scores is not None
        found = row.scores.accuracy
        colour = VERMILLION if row.key == leaderboard.winner_key else BLUE
        ax.plot([found.low, found.high], [place, place], color=colour, linewidth=2.4, alpha=0.45)
        ax.plot(found.value, place, "o", color=colour, markersize=5.5)
        if row.validation is not None:
            ax.plot(
                row.validation.value,
                place,
                "o",
                markerfacecolor="none",
                markeredgecolor=MUTED,
                markersize=4.5,
                markeredgewidth=1,
            )
    ax.set_yticks(range(len(rows)), [shorten(row.name) for row in rows])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(f"Accuracy of {said}")
    _as_percent(ax.xaxis)
    return ax


def choose_rows(leaderboard: Leaderboard) -> tuple[list[Row], str]:
    """Return the rows that `plot_accuracy` draws, and in words which they are.

    Args:
        leaderboard: Of its finished rows the 40 best are drawn, and the winner in any case.
    """
    finished = [row for row in leaderboard.ranked if row.scores is not None]
    rows = [
        row
        for place, row in enumerate(finished)
        if place < _MOST_ROWS or row.key == leaderboard.winner_key
    ]
    if len(finished) <= _MOST_ROWS:
        return rows, f"{len(finished)} model{'' if len(finished) == 1 else 's'}"
    winner = " and the winner" if len(rows) > _MOST_ROWS else ""
    return rows, f"the best {_MOST_ROWS} of {len(finished)} models{winner}"


def plot_accuracy_against_time(leaderboard: Leaderboard, ax: Axes | None = None) -> Axes:
    """Draw test accuracy over the seconds that the fit took, one colour and mark per model.

    Args:
        leaderboard: Its finished rows are drawn.
        ax: Where to draw.
    """
    ax = new_axes(4.8, 4.0) if ax is None else ax
    by_title: dict[str, list[Row]] = {}
    for row in leaderboard.rows:
        if row.scores is not None:
            by_title.setdefault(row.title, []).append(row)
    for number, (title, rows) in enumerate(by_title.items()):
        seconds = [max(row.fit_s, 1e-3) for row in rows]
        values = [row.scores.accuracy.value for row in rows if row.scores is not None]
        errors = [
            [value - end.low for value, end in zip(values, _accuracies(rows), strict=True)],
            [end.high - value for value, end in zip(values, _accuracies(rows), strict=True)],
        ]
        ax.errorbar(
            seconds,
            values,
            yerr=errors,
            fmt="osD^vPX*"[number % 8],
            color=SERIES[number % len(SERIES)],
            markersize=6,
            elinewidth=1,
            alpha=0.9,
            label=shorten(title, 24),
        )
    winner = leaderboard.winner
    if winner is not None and winner.scores is not None:
        at = max(winner.fit_s, 1e-3), winner.scores.accuracy.value
        ax.plot(*at, "o", markersize=13, markerfacecolor="none", markeredgecolor=INK)
    if by_title:
        ax.set_xscale("log")
        times = [max(row.fit_s, 1e-3) for rows in by_title.values() for row in rows]
        _space_ticks(ax.xaxis, max(times) / min(times))
        handles, labels = ax.get_legend_handles_labels()
        ax.figure.legend(handles, labels, loc="outside lower center", ncols=3)
    ax.set_xlabel("Seconds to fit (circle: the winner)")
    ax.set_ylabel("Test accuracy")
    _as_percent(ax.yaxis)
    return ax


def plot_learning_curves(
    histories: Sequence[tuple[str, Sequence[Mapping[str, float]]]],
    quantity: str,
    ax: Axes | None = None,
) -> Axes:
    """Draw what fits reported per step: validation as lines, training as dashes.

    Args:
        histories: Names of models with their steps; the first 6 are drawn.
        quantity: ``"loss"`` or ``"accuracy"``: every reported name that ends so is drawn.
        ax: Where to draw.
    """
    shown = histories[:_MOST_LINES]
    names = _name_lines([name for name, _ in shown])
    columns = 2 if max(map(len, names), default=0) < _HALF_LEGEND else 1
    lines = sum(name.count("\n") + 1 for name in names)
    ax = new_axes(4.8, 3.1 + 0.2 * math.ceil(lines / columns)) if ax is None else ax
    for number, (name, (_, steps)) in enumerate(zip(names, shown, strict=True)):
        keys = sorted({key for step in steps for key in step if key.endswith(quantity)})
        for key in keys:
            points = [
                (step.get("step", at), step[key]) for at, step in enumerate(steps, 1) if key in step
            ]
            trained = key.startswith("train")
            ax.plot(
                *zip(*points, strict=True),
                color=SERIES[number % len(SERIES)],
                linestyle=":" if trained else "-",
                linewidth=1.4 if trained else 1.9,
                marker="." if len(points) < 30 else None,
                label=None if trained and len(keys) > 1 else name,
            )
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_xlabel("Epoch, or tree (solid: validation, dotted: training)")
    ax.set_ylabel(quantity.capitalize())
    values = _values(ax.get_lines())
    if quantity == "accuracy" and values and max(values) > _HIGH:
        _stretch_top(ax)
    elif quantity == "accuracy":
        _as_percent(ax.yaxis)
    elif values and 0 < _WIDE * min(values) < max(values) < math.inf:
        ax.set_yscale("log")
        _space_ticks(ax.yaxis, max(values) / min(values))
    if histories:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=columns)
    return ax


def plot_class_balance(
    counts: Sequence[int], class_names: Sequence[str], ax: Axes | None = None
) -> Axes:
    """Draw how many images each class has.

    Args:
        counts: k counts.
        class_names: k names.
        ax: Where to draw.
    """
    ax = new_axes(4.8, 2.6) if ax is None else ax
    k = len(counts)
    ax.bar(range(k), counts, color=BLUE, width=0.72)
    names = [shorten(name, 14) for name in class_names]
    upright = k <= MOST_NAMES and max(map(len, names)) * k <= 60
    size = 8.5 if k <= MOST_NAMES else max(3.5, 8.5 * 30 / k)
    ax.set_xticks(range(k), names, rotation=0 if upright else 90, fontsize=size)
    ax.tick_params(axis="x", length=0)
    ax.grid(visible=False, axis="x")
    ax.set_ylabel("Images")
    return ax


def _name_lines(names: Sequence[str]) -> list[str]:
    """Return short names for a legend; those that would read alike are written out instead."""
    short = [shorten(name) for name in names]
    return [
        "\n".join(textwrap.wrap(name, LINE)) if short.count(cut) > 1 else cut
        for name, cut in zip(names, short, strict=True)
    ]


def _accuracies(rows: Sequence[Row]) -> list[Any]:
    return [row.scores.accuracy for row in rows if row.scores is not None]


def _as_percent(axis: Any) -> None:
    """Label an axis of shares in percent."""
    axis.get_major_locator().set_params(steps=[1, 2, 5, 10])
    axis.set_major_formatter(_write_percent)


def _write_percent(value: float, _: object = None) -> str:
    return f"{round(100 * value, 6):g} %"


def _space_ticks(axis: Any, ratio: float) -> None:
    """Label a logarithmic axis at as many numbers as there is room for.

    Args:
        axis: Of matplotlib.
        ratio: Largest value over smallest.
    """
    subs = (1, 2, 5) if ratio < _MANY_DECADES else (1,)
    axis.set_major_locator(require("matplotlib.ticker").LogLocator(subs=subs))
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter("")  # their labels would overlap within one decade


def _stretch_top(ax: Axes) -> None:
    """Give high accuracies room: from 90 % to 99 % is about as far as from 0 % to 90 %.

    Args:
        ax: Its lines are accuracies, 0 to 1; how far it is stretched is for the solid ones, where
            there are any, for training may end without a mistake.
    """
    lines = [line for line in ax.get_lines() if line.get_linestyle() == "-"] or ax.get_lines()
    best, lowest = max(_values(lines)), min(_values(ax.get_lines()))
    least = max(1 - best, _LEAST_ERROR) / 2
    ax.set_yscale(
        "function",
        functions=(
            lambda value: -np.log10(np.maximum(1 + least - value, least / 1000)),
            lambda place: 1 + least - 10.0**-place,
        ),
    )
    ax.set_yticks([tick for tick in _ACCURACY_TICKS if lowest <= tick <= 1 - 2 * least] + [1])
    ax.yaxis.set_major_formatter(_write_percent)


def _values(lines: Sequence[Any]) -> list[float]:
    """Return the heights of all points of some lines."""
    return [value for line in lines for value in line.get_ydata()]


def shorten(text: str, most: int = 34) -> str:
    """Return a text of at most so many letters.

    >>> shorten("hidden_layers", 8)
    'hidden_…'
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"
