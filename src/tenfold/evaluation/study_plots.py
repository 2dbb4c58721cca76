"""Charts of a study: how it went, what mattered, and what was given up. Draw in `chart_style`."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tenfold.evaluation.plots import LINE, Axes, shorten
from tenfold.evaluation.style import BLUE, GRID, MUTED, ORANGE, VERMILLION, new_axes
from tenfold.histories import HIGHER_IS_BETTER, StudyHistory, StudyTrial

OBJECTIVE_TITLES: Mapping[str, str] = {
    "accuracy": "Accuracy, select rows",
    "log_loss": "Log loss, select rows",
    "latency": "Prediction, µs an image",
}

_GAP = 0.3
"""Between words and the numbers they stand beside, as a share of the length of the numbers."""
_HEIGHTS = -0.08, 1.08
"""What parallel coordinates show of their columns, which reach from 0 to 1."""


def plot_history(history: StudyHistory, ax: Axes | None = None) -> Axes:
    """Draw each trial's value in the order of the trials, and the best so far as a line.

    A log loss of a pruned trial is one before calibration.

    Args:
        history: With at least one finished trial; pruned ones stand at what they reported last.
        ax: Where to draw.
    """
    ax = new_axes() if ax is None else ax
    finished = history.of("finished")
    pruned = [trial for trial in history.of("pruned") if trial.steps]
    ax.plot(
        [trial.number for trial in pruned],
        [list(trial.steps.values())[-1] for trial in pruned],
        "x",
        color=MUTED,
        markersize=5,
        label="pruned, at its last step",
    )
    ax.plot(
        [trial.number for trial in finished],
        [trial.values[0] for trial in finished],
        "o",
        color=BLUE,
        markersize=5,
        label="finished",
    )
    choose = max if HIGHER_IS_BETTER[history.objectives[0]] else min
    so_far = [
        choose(trial.values[0] for trial in finished[: place + 1]) for place in range(len(finished))
    ]
    numbers = [trial.number for trial in finished]
    ax.step(numbers, so_far, where="post", color=VERMILLION, label="best so far")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_xlabel("Trial")
    ax.set_ylabel(OBJECTIVE_TITLES[history.objectives[0]])
    ax.legend(loc="best")
    return ax


def plot_importances(
    importances: Mapping[str, float], ax: Axes | None = None, *, left_out: Sequence[str] = ()
) -> Axes:
    """Draw each parameter's share of what varied the objective, the largest on top.

    Args:
        importances: By parameter a share, 0 to 1.
        ax: Where to draw.
        left_out: Parameters without a share: not every trial has them.
    """
    ranked = sorted(importances.items(), key=lambda item: item[1])
    ax = new_axes(4.8, 1.0 + 0.3 * max(len(ranked), 3)) if ax is None else ax
    ax.barh(range(len(ranked)), [share for _, share in ranked], color=BLUE, height=0.6)
    ax.set_yticks(range(len(ranked)), [shorten(name, 20) for name, _ in ranked])
    ax.set_xlim(0, 1)
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("Share of the variation between finished trials")
    if left_out:
        names = ", ".join(shorten(name, 20) for name in left_out)
        told = textwrap.fill(f"not weighed, since not every trial has it: {names}", LINE)
        ax.set_xlabel(f"{ax.get_xlabel()}\n{told}")
    return ax


def plot_parallel(history: StudyHistory, ax: Axes | None = None) -> Axes:
    """Draw each finished trial as a line through its parameters to its value.

    Args:
        history: At least one of its trials finished; the best is drawn last and strongest.
        ax: Where to draw.
    """
    names = [name for name in history.space if _drawn(history, name)]
    ax = new_axes(max(4.8, 1.1 * (len(names) + 1)), 3.4) if ax is None else ax
    best = history.best
    finished = sorted(
        history.of("finished"), key=lambda trial: (trial is best, history.goodness(trial))
    )
    columns = [_Column.of(history, name) for name in names]
    columns.append(_Column.of_values(history))
    for place, trial in enumerate(finished, 1):
        is_best = trial is best
        heights = [column.height(trial) for column in columns]
        ax.plot(
            range(len(columns)),
            heights,
            color=VERMILLION if is_best else BLUE,
            alpha=1.0 if is_best else 0.15 + 0.45 * place / len(finished),
            linewidth=2.2 if is_best else 1.2,
        )
    for place, column in enumerate(columns):
        ax.axvline(place, _share(column.begin, *_HEIGHTS), color=GRID, linewidth=1)
        for height, text in column.marks:
            ax.annotate(
                shorten(text, 12),
                (place, height),
                xytext=(4, 0),
                textcoords="offset points",
                fontsize=7,
                color=MUTED,
                va="center",
            )
    titles = [*names, OBJECTIVE_TITLES[history.objectives[0]].partition(",")[0]]
    ax.set_xticks(range(len(columns)), [shorten(title, 14) for title in titles])
    ax.set_yticks([])
    ax.set_xlim(-0.2, len(columns) - 0.5)
    ax.set_ylim(*_HEIGHTS)
    ax.grid(visible=False)
    ax.spines["left"].set_visible(False)
    return ax


def plot_slice(history: StudyHistory, name: str, ax: Axes | None = None) -> Axes:
    """Draw the finished trials' values over one parameter.

    Where it was a word in some trials and a number in others, the words stand left of the numbers.

    Args:
        history: At least one of its trials drew the parameter and finished.
        name: The parameter.
        ax: Where to draw.
    """
    ax = new_axes(3.2, 2.6) if ax is None else ax
    drawn = _drawn(history, name)
    scale = _Scale((trial.drawn[name] for trial in drawn), log=name in history.log_scales)
    places = [scale.place(trial.drawn[name]) for trial in drawn]
    if scale.is_log:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.xaxis.set_minor_formatter(lambda _value, _: "")
    ax.plot(places, [trial.values[0] for trial in drawn], "o", color=BLUE, markersize=4.5)
    best = history.best
    if best is not None and best in drawn:
        at = places[drawn.index(best)], best.values[0]
        ax.plot(*at, "o", color=VERMILLION, markersize=7)
    if scale.slots:
        _tick_slots(ax, scale)
    ax.set_xlabel(name)
    ax.set_ylabel(OBJECTIVE_TITLES[history.objectives[0]])
    return ax


def plot_steps(history: StudyHistory, ax: Axes | None = None) -> Axes:
    """Draw what each trial reported per step; pruned ones are thin and end with a cross.

    Args:
        history: At least one of its trials reported something.
        ax: Where to draw.
    """
    ax = new_axes() if ax is None else ax
    best = history.best
    for trial in history.trials:
        if not trial.steps:
            continue
        places, values = list(trial.steps), list(trial.steps.values())
        if trial.state == "pruned":
            ax.plot(places, values, color=MUTED, linewidth=0.9, alpha=0.7)
            ax.plot(places[-1], values[-1], "x", color=MUTED, markersize=5)
        elif trial is not best:
            ax.plot(places, values, color=BLUE, linewidth=1.3, alpha=0.7, marker=".")
    if best is not None and best.steps:
        ax.plot(list(best.steps), list(best.steps.values()), color=VERMILLION, marker=".")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_xlabel("Epoch, or tree (cross: pruned there)")
    ax.set_ylabel(OBJECTIVE_TITLES[history.objectives[0]])
    return ax


def plot_front(history: StudyHistory, ax: Axes | None = None) -> Axes:
    """Draw the two objectives against each other, and the trials that none beats in both.

    Args:
        history: Of two objectives.
        ax: Where to draw.
    """
    ax = new_axes() if ax is None else ax
    first, second = (OBJECTIVE_TITLES[name] for name in history.objectives)
    others = history.of("finished")
    ax.plot(
        [trial.values[1] for trial in others],
        [trial.values[0] for trial in others],
        "o",
        color=BLUE,
        alpha=0.6,
        label="finished",
    )
    front = sorted(history.front, key=lambda trial: trial.values[1])
    ax.plot(
        [trial.values[1] for trial in front],
        [trial.values[0] for trial in front],
        "o-",
        color=ORANGE,
        label="none is better in both",
    )
    ax.set_xlabel(second)
    ax.set_ylabel(first)
    ax.legend(loc="best")
    return ax


def sliced(history: StudyHistory) -> tuple[str, ...]:
    """Return the parameters that finished trials drew."""
    return tuple(name for name in history.space if _drawn(history, name))


class _Scale:
    """Where values stand on an axis: numbers by their size, words in slots apart below them.

    What a logarithmic axis has no place for, such as 0, stands among the words. Without numbers
    the slots count from 0.
    """

    def __init__(self, values: Iterable[Any], *, log: bool) -> None:
        self._log = log
        given = list(values)
        numbers = sorted(float(value) for value in given if self._has_size(value))
        words = sorted({_text(value) for value in given if not self._has_size(value)})
        self.is_log = log and bool(numbers)
        self.ends = tuple(dict.fromkeys([*numbers[:1], *numbers[-1:]]))
        if numbers:
            low, high = self.even(numbers[0]), self.even(numbers[-1])
            gap = _GAP * ((high - low) or max(1.0, abs(low)))
            evenly = [low - gap * place for place in range(len(words), 0, -1)]
        else:
            gap, evenly = 1.0, [float(place) for place in range(len(words))]
        self.slots = {word: self._back(at) for word, at in zip(words, evenly, strict=True)}
        self.border = self._back(evenly[-1] + gap / 2) if words and numbers else None

    def place(self, value: Any) -> float:
        """Return where a value stands, in the unit of the numbers."""
        return float(value) if self._has_size(value) else self.slots[_text(value)]

    def even(self, place: float) -> float:
        """Return a place such that equal distances look equal."""
        return math.log(place) if self.is_log else place

    def _back(self, even: float) -> float:
        return math.exp(even) if self.is_log else even

    def _has_size(self, value: Any) -> bool:
        return _is_number(value) and math.isfinite(value) and (value > 0 or not self._log)


def _tick_slots(ax: Axes, scale: _Scale) -> None:
    """Mark each slot with its word, and the numbers only where there are numbers."""
    ticks = {place: shorten(word, 12) for word, place in scale.slots.items()}
    if scale.border is None:
        ax.set_xlim(-0.5, len(ticks) - 0.5)
    else:
        low, high = scale.ends[0], scale.ends[-1]
        major, minor = (
            [at for at in _rounded(locator.tick_values(min(ticks), high)) if low <= at <= high]
            for locator in (ax.xaxis.get_major_locator(), ax.xaxis.get_minor_locator())
        )
        # Less than a decade may hold no power of ten.
        numbers = {at: f"{at:g}" for at in major} if len(major) > 1 else _ends_of(scale)
        ticks |= numbers
        ax.set_xticks([at for at in minor if at not in numbers], minor=True)
        ax.axvline(scale.border, color=MUTED, linewidth=0.8, linestyle=":")
    ax.set_xticks(list(ticks), list(ticks.values()))


class _Column:
    """One axis of the parallel coordinates: values to heights from 0 to 1."""

    def __init__(self, values: Mapping[int, Any], *, log: bool) -> None:
        scale = _Scale(values.values(), log=log)
        places = [*scale.slots.values(), *scale.ends]
        low = scale.even(min(places))
        high = scale.even(max(places)) if scale.ends else max(1.0, *places)

        def height(place: float) -> float:
            return _share(scale.even(place), low, high)

        marks = {**{place: word for word, place in scale.slots.items()}, **_ends_of(scale)}
        self.marks = [(height(place), text) for place, text in marks.items()]
        self.begin = _HEIGHTS[0] if scale.border is None else height(scale.border)
        self._heights = {n: height(scale.place(value)) for n, value in values.items()}

    @classmethod
    def of(cls, history: StudyHistory, name: str) -> _Column:
        """Return the axis of a parameter."""
        drawn = {trial.number: trial.drawn[name] for trial in _drawn(history, name)}
        return cls(drawn, log=name in history.log_scales)

    @classmethod
    def of_values(cls, history: StudyHistory) -> _Column:
        """Return the axis of the first objective."""
        return cls({trial.number: trial.values[0] for trial in history.of("finished")}, log=False)

    def height(self, trial: StudyTrial) -> float:
        """Return a trial's height; NaN, which draws nothing, where it has no value."""
        return self._heights.get(trial.number, math.nan)


def _drawn(history: StudyHistory, name: str) -> Sequence[StudyTrial]:
    return [trial for trial in history.of("finished") if name in trial.drawn]


def _ends_of(scale: _Scale) -> dict[float, str]:
    return {end: _text(end) for end in scale.ends}


def _rounded(ticks: Iterable[float]) -> list[float]:
    """Return ticks without the last digits, by which a locator's 0.2 is not quite 0.2."""
    return [float(f"{tick:.9g}") for tick in ticks]


def _share(value: float, low: float, high: float) -> float:
    return 0.5 if high == low else (value - low) / (high - low)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Any) -> str:
    return f"{value:.3g}" if _is_number(value) else str(value)
