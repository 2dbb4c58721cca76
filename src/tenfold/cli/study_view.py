"""What a person sees of a study: trials done, pruned and failed, the best, the time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import typer

from tenfold.evaluation import CvTable
from tenfold.evaluation.formats import seconds
from tenfold.histories import StudyHistory, TrialState
from tenfold.records import FitUnit, TrialResult
from tenfold.runner import Observer


class StudyView:
    """Passes on what fits do, and says after each trial how its study stands.

    Args:
        inner: Shows the fits.
        clock: Gives seconds.
    """

    def __init__(self, inner: Observer, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._inner, self._clock = inner, clock
        self._began: dict[str, tuple[float, int]] = {}

    def planned(self, trials: int, *, reused: int) -> None:
        """Pass it on."""
        self._inner.planned(trials, reused=reused)

    def started(self, unit: FitUnit) -> None:
        """Pass it on."""
        self._inner.started(unit)

    def stepped(self, unit: FitUnit, step: int, steps: int, metrics: Mapping[str, float]) -> None:
        """Pass it on."""
        self._inner.stepped(unit, step, steps, metrics)

    def ended(self, unit: FitUnit, results: tuple[TrialResult, ...]) -> None:
        """Pass it on."""
        self._inner.ended(unit, results)

    def said(self, text: str) -> None:
        """Pass it on."""
        self._inner.said(text)

    def begun(self, history: StudyHistory) -> None:
        """Say where a study stands before the first trial of this process."""
        done = len(history.of("finished", "pruned", "failed"))
        self._began[history.name] = self._clock(), done
        kept = f"; {done} of them are done" if done else ""
        if done >= history.n_trials:
            kept = f" asked for, {done} are there: none is run; --more 10 adds ten"
        self.said(f"study {history.name}: {history.title}, {history.n_trials} trials{kept}")
        for name, values in history.space.items():
            self.said(f"  {name}: {values}")

    def judged(self, history: StudyHistory, number: int) -> None:
        """Say how a trial ended, and where its study stands."""
        ended = history.of("finished", "pruned", "failed")
        trial = next(trial for trial in ended if trial.number == number)
        outcome = trial.reason if trial.values == () else _values(history, trial.values)
        outcome = f"FAILED: {outcome}" if trial.state == "failed" else outcome
        parts = [f"[{len(ended)}/{history.n_trials}] {trial.label}: {outcome}", _counts(history)]
        if history.best is not None:
            parts.append(f"best {_values(history, history.best.values)} ({history.best.label})")
        left_s = self._left_s(history, len(ended))
        if left_s is not None:
            parts.append(f"about {seconds(left_s)} left")
        self.said("; ".join(parts))

    def _left_s(self, history: StudyHistory, ended: int) -> float | None:
        """Return the seconds that the rest will take at the pace so far."""
        began, done = self._began[history.name]
        if ended <= done or ended >= history.n_trials:
            return None
        return (self._clock() - began) / (ended - done) * (history.n_trials - ended)


def print_studies(histories: tuple[StudyHistory, ...]) -> None:
    """Print what each study came to."""
    for history in histories:
        best, start = history.best, history.start
        assert best is not None, "a study without a finished trial raises"
        typer.echo(f"study {history.name}: {_counts(history)}")
        typer.echo(f"  best on select rows: {_values(history, best.values)} with {best.label}")
        if start is not None and start.number != best.number:
            typer.echo(f"  without tuning:      {_values(history, start.values)}")


def print_grids(tables: tuple[CvTable, ...]) -> None:
    """Print the best combination of each grid."""
    for table in tables:
        best = table.best
        assert best is not None, "a grid without a finished combination raises"
        typer.echo(
            f"grid {table.title}: {len(table.rows)} combinations, {table.folds} folds; best "
            f"{best.label or 'the defaults'}: {best.mean:.4f} ± {best.deviation:.4f}"
        )


def _counts(history: StudyHistory) -> str:
    states: tuple[TrialState, ...] = ("finished", "pruned", "failed")
    return ", ".join(f"{len(history.of(state))} {state}" for state in states)


def _values(history: StudyHistory, values: tuple[float, ...]) -> str:
    units = {"latency": "{:.0f} µs"}
    return ", ".join(
        f"{name} {units.get(name, '{:.4f}').format(value)}"
        for name, value in zip(history.objectives, values, strict=True)
    )
