"""What a person sees of a running experiment, and of its result."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import typer
from rich.box import SIMPLE
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from tenfold.evaluation import Row
from tenfold.experiment import ExperimentResult
from tenfold.records import FitUnit, TrialResult
from tenfold.runner import Observer

_AT_ONCE_S = 0.02  # between two steps: no step of a fit is that short where one waits for it
_SHORT = ("_loss", "_accuracy")
_COLUMNS = (
    *("model", "parameter", "accuracy"),
    *("95 % interval", "F1", "p vs winner", "fit", "per image"),
)
_FOLDED, _NEEDED = 2, 3  # the first columns: those of texts, and those that are never left out
_ENDLESS = 10_000


@contextmanager
def observing() -> Iterator[Observer]:
    """Give an observer that shows bars on a terminal, and plain lines elsewhere; all on stderr."""
    if not sys.stderr.isatty():
        yield LineObserver()
        return
    console = _console(stderr=True)
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:g}/{task.total:g}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=console,
        transient=True,
    ) as progress:
        yield BarObserver(progress)


class _Estimate:
    """Guesses the time left from the trials done so far."""

    def __init__(self, trials: int) -> None:
        self.trials = trials
        self.done = 0
        self._began = time.monotonic()

    def text(self) -> str:
        if not self.done or self.done >= self.trials:
            return ""
        left_s = (time.monotonic() - self._began) / self.done * (self.trials - self.done)
        return f"about {_duration(left_s)} left"


class _Pace:
    """Guesses what is left of each fit from the steps that were seen of it."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[int, float, float]] = {}

    def text(self, name: str, step: int, steps: int) -> str:
        now = time.monotonic()
        first, began, last = self._since.get(name, (step, now, now))
        # A fit that is taken up again first tells what is done, all at once; a new one from the
        # first step.
        if step <= first or now - last < _AT_ONCE_S:
            first, began = step, now
        self._since[name] = first, began, now
        if step <= first or step >= steps:
            return ""
        return f"about {_duration((now - began) / (step - first) * (steps - step))} left"


class LineObserver:
    """Prints one line for each thing that happens."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._estimate, self._pace = _Estimate(0), _Pace()
        self._shown: dict[str, float] = {}

    def planned(self, trials: int, *, reused: int) -> None:
        """Say how much there is to do."""
        self._estimate = _Estimate(trials)
        self.said(_plan(trials, reused))

    def started(self, unit: FitUnit) -> None:
        """Say that a unit starts."""
        self.said(f"{unit.name}: fitting")

    def stepped(self, unit: FitUnit, step: int, steps: int, metrics: Mapping[str, float]) -> None:
        """Say how far a unit's fit is, every five seconds at the most."""
        now, left = time.monotonic(), self._pace.text(unit.name, step, steps)
        if now - self._shown.setdefault(unit.name, now) < 5 and step < steps:
            return
        self._shown[unit.name] = now
        parts = (f"{unit.name}: {step}/{steps}", _metrics(metrics), left)
        self.said(" ".join(part for part in parts if part))

    def ended(
        self,
        unit: FitUnit,  # noqa: ARG002  # part of the protocol
        results: tuple[TrialResult, ...],
    ) -> None:
        """Say how each trial of a unit ended, and what is left."""
        before = self._estimate.done
        self._estimate.done += len(results)
        for number, result in enumerate(results, before + 1):
            count = f"[{number}/{self._estimate.trials}]"
            self.said(f"{count} {_outcome(result)} {self._estimate.text()}".rstrip())

    def said(self, text: str) -> None:
        """Print a line."""
        with self._lock:
            typer.echo(text, err=True)


class BarObserver:
    """Draws a bar for the experiment and one for each fit under way."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._all = progress.add_task("trials", total=1, note="", visible=False)
        self._tasks: dict[str, TaskID] = {}
        self._estimate, self._pace = _Estimate(0), _Pace()

    def planned(self, trials: int, *, reused: int) -> None:
        """Show the whole bar."""
        self._estimate = _Estimate(trials)
        self.said(_plan(trials, reused))
        self._progress.update(
            self._all, total=max(trials, 1), completed=0, visible=trials > 0, note=""
        )

    def started(self, unit: FitUnit) -> None:
        """Add the unit's bar."""
        before = self._tasks.pop(unit.name, None)
        if before is not None:  # it is tried again
            self._progress.remove_task(before)
        self._tasks[unit.name] = self._progress.add_task(unit.name, total=1, note="")

    def stepped(self, unit: FitUnit, step: int, steps: int, metrics: Mapping[str, float]) -> None:
        """Move the unit's bar."""
        task = self._tasks.get(unit.name)
        if task is not None:
            note = f"{_metrics(metrics)} {self._pace.text(unit.name, step, steps)}".strip()
            self._progress.update(task, completed=step, total=steps, note=note)

    def ended(self, unit: FitUnit, results: tuple[TrialResult, ...]) -> None:
        """Take the unit's bar away and print how it ended."""
        self._estimate.done += len(results)
        task = self._tasks.pop(unit.name, None)
        if task is not None:
            self._progress.remove_task(task)
        self._progress.update(self._all, advance=len(results), note=self._estimate.text())
        for result in results:
            self.said(_outcome(result))

    def said(self, text: str) -> None:
        """Print a line above the bars."""
        self._progress.console.print(text, highlight=False, markup=False, emoji=False)


def _plan(trials: int, reused: int) -> str:
    kept = f"; {reused} found finished and not run again" if reused else ""
    return f"{trials} to fit{kept}"


def _outcome(result: TrialResult) -> str:
    name = result.trial.name
    if result.status == "failed":
        return f"{name}: FAILED: {result.error}"
    if result.reused:
        return f"{name}: finished by another process"
    shared = f", by one fit of {n}" if (n := len(result.fitted_with)) > 1 else ""
    return f"{name}: done in {_duration(result.fit_s)}{shared}"


def _metrics(metrics: Mapping[str, float]) -> str:
    """Return losses and accuracies; of a fit that reports neither, all."""
    short = {name: value for name, value in metrics.items() if name.endswith(_SHORT)}
    return " ".join(f"{name}={value:.4g}" for name, value in (short or metrics).items())


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def print_json(result: ExperimentResult) -> None:
    """Print the results document on stdout, and nothing else."""
    typer.echo((result.folder / "results.json").read_text(encoding="utf-8"), nl=False)


def print_result(result: ExperimentResult) -> None:
    """Print the leaderboard, the warnings and where the files are."""
    board = result.leaderboard
    console = _console(width=None if sys.stdout.isatty() else 140)
    console.print(_table(result, console))
    winner = board.winner
    assert winner is not None, "an experiment without a winner raises"
    console.print(
        Text.assemble(
            "winner: ",
            (winner.name, "bold"),
            f", chosen on {board.n_select:,} validation images. "
            "The intervals cover the sampling of the test set, not retraining.",
        )
    )
    for row in result.failed:
        console.print(
            Text.assemble(("failed:", "red"), f" {row.name}: {row.error}"), soft_wrap=True
        )
    for warning in result.warnings:
        console.print(Text.assemble(("warning:", "yellow"), f" {warning}"), soft_wrap=True)
    console.print(f"report: {result.report}", soft_wrap=True)


def _console(*, stderr: bool = False, width: int | None = None) -> Console:
    """Return a console that prints names and values as they are, whatever stands in them."""
    return Console(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)


def _table(result: ExperimentResult, console: Console) -> Table:
    """Return the leaderboard with as many of its columns as there is room for."""
    board = result.leaderboard
    cells = [_cells(row) for row in board.ranked]
    widths = [max(map(cell_len, column)) for column in zip(_COLUMNS, *cells, strict=True)]
    for shown in range(len(_COLUMNS), _NEEDED - 1, -1):
        table = Table(
            title=f"{result.config.name}: {board.n_test:,} sealed test images", box=SIMPLE
        )
        for name in _COLUMNS[:_FOLDED]:
            table.add_column(name, overflow="fold")
        for name, width in list(zip(_COLUMNS, widths, strict=True))[_FOLDED:shown]:
            table.add_column(name, justify="right", width=width, no_wrap=True)
        for row, texts in zip(board.ranked, cells, strict=True):
            style = "bold" if row.key == board.winner_key else None
            table.add_row(*texts[:shown], style=style)
        endless = console.options.update_width(_ENDLESS)
        if Measurement.get(console, endless, table).minimum <= console.width:
            break
    return table


def _cells(row: Row) -> tuple[str, ...]:
    if row.scores is None:
        return row.title, row.label, "failed", "", "", "", "", ""
    accuracy = row.scores.accuracy
    p_value = row.p_vs_winner
    return (
        row.title,
        row.label,
        f"{accuracy.value:.4f}",
        f"{accuracy.low:.4f} to {accuracy.high:.4f}",
        f"{row.scores.f1_weighted.value:.4f}",
        "" if p_value is None else ("< 0.001" if p_value < 0.001 else f"{p_value:.3f}"),
        _duration(row.fit_s),
        f"{row.predict_us_per_image:.0f} µs",
    )
