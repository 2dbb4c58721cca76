"""The Tracker protocol: what remembers experiments and trials."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, Protocol

from tenfold.records import Trial

RunStatus = Literal["FINISHED", "FAILED", "KILLED"]


class Tracker(Protocol):
    """Remembers experiments (parent runs) and trials (nested runs)."""

    def finished(self) -> Mapping[str, str]:
        """Return the run of every finished trial, by the digest of its key."""
        ...

    def is_finished(self, run_id: str) -> bool:
        """Say whether a run is there and finished."""
        ...

    def begin(
        self, name: str, *, lock: str, params: Mapping[str, Any], tags: Mapping[str, str]
    ) -> str:
        """Start an experiment's parent run, alive while `lock` is held, and return its id."""
        ...

    def start(self, trial: Trial, key: str, *, parent: str) -> str:
        """Start a trial's run below its parent and return its id."""
        ...

    def step(self, run_id: str, step: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of one step of a fit."""
        ...

    def finish(self, run_id: str, folder: Path | None, metrics: Mapping[str, float]) -> None:
        """Keep a trial's files and metrics, then mark its run finished.

        Args:
            run_id: The run.
            folder: Holds the files; None: whoever made them keeps them with the run already.
            metrics: What is told of the trial.
        """
        ...

    def fail(self, run_id: str, reason: str, *, status: RunStatus = "FAILED") -> None:
        """End a run that did not finish, with the reason."""
        ...

    def folder(
        self, run_id: str, *, only: Container[str] | None = None
    ) -> AbstractContextManager[Path]:
        """Give the folder with a finished trial's files, for as long as the block lasts.

        Args:
            run_id: The run.
            only: Names of the files that are wanted; others may be missing. None: every file.
        """
        ...

    def names(self, run_id: str) -> Sequence[str]:
        """Return the names of a finished trial's files."""
        ...

    def attach(self, run_id: str, files: Sequence[Path]) -> None:
        """Add files to those of a finished trial; one of the same name is replaced."""
        ...

    def drop(self, run_id: str, names: Iterable[str]) -> None:
        """Remove files from those of a finished trial, where they are there."""
        ...

    def unreported(self, run_ids: Sequence[str]) -> Sequence[str]:
        """Return those of the runs to which no report was added yet."""
        ...

    def report(self, run_id: str, metrics: Mapping[str, float], files: Sequence[Path]) -> None:
        """Add what was computed after the test set was opened."""
        ...

    def end(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        files: Sequence[Path],
        *,
        params: Mapping[str, Any] | None = None,
        reused: Sequence[str] = (),
    ) -> None:
        """Finish an experiment's parent run.

        Args:
            run_id: The run.
            metrics: What it found.
            files: Are kept with it.
            params: What it chose.
            reused: The runs of trials that it found finished, which are nested elsewhere.
        """
        ...
