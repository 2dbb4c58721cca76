"""The life of one fit unit: lock it, look whether it is done, run it, remember it."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Container, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tenfold.errors import TrackingError, TrialError, TrialStoppedError, TrialTimeoutError
from tenfold.files import write_text
from tenfold.fitting import read_folder
from tenfold.records import FitUnit, Predictions, Trial, TrialResult, Views
from tenfold.tracking import Tracker
from tenfold.worker import Caller, Event
from tenfold.workspace import Workspace


class Observer(Protocol):
    """Is told what happens; may be called from several threads."""

    def planned(self, units: int, *, reused: int) -> None:
        """Say how many units will run, and how many trials were found finished."""
        ...

    def started(self, unit: FitUnit) -> None:
        """Say that a unit starts."""
        ...

    def stepped(self, unit: FitUnit, step: int, steps: int, metrics: Mapping[str, float]) -> None:
        """Say that a unit's fit has done ``step`` of ``steps``."""
        ...

    def ended(self, unit: FitUnit, results: tuple[TrialResult, ...]) -> None:
        """Say how a unit ended."""
        ...

    def said(self, text: str) -> None:
        """Say what the experiment does next."""
        ...


class NullObserver:
    """Tells nobody."""

    def planned(self, units: int, *, reused: int) -> None:
        """Do nothing."""

    def started(self, unit: FitUnit) -> None:
        """Do nothing."""

    def stepped(self, unit: FitUnit, step: int, steps: int, metrics: Mapping[str, float]) -> None:
        """Do nothing."""

    def ended(self, unit: FitUnit, results: tuple[TrialResult, ...]) -> None:
        """Do nothing."""

    def said(self, text: str) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class UnitRunner:
    """Runs units for one experiment; called by an executor, perhaps from several threads.

    Args:
        workspace: Holds the locks and the workers' folders.
        tracker: Remembers trials.
        parent: The experiment's run.
        payload: What every worker is given: data set, its folder and its fingerprint.
        validation_metrics: Metrics of a train fit's validation predictions, to be tracked.
        observer: Is told what happens.
        deadline: ``time.monotonic()`` at which the experiment's time is up.
        memory_limit_bytes: Resident bytes of a worker at which it is ended.
        fresh: Run again also what another process finished meanwhile.
        records: Fields of ``trial.json`` of finished trials, by key; refits start from them.
    """

    workspace: Workspace
    tracker: Tracker
    parent: str
    payload: Mapping[str, Any]
    validation_metrics: Callable[[Predictions], Mapping[str, float]]
    observer: Observer = field(default_factory=NullObserver)
    deadline: float | None = None
    memory_limit_bytes: int | None = None
    fresh: bool = False
    records: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _recording: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __call__(self, unit: FitUnit, caller: Caller) -> tuple[TrialResult, ...]:
        """Run a unit, or read it where another process finished it meanwhile.

        Raises:
            TenfoldError: The workspace or the tracker failed; a failing fit raises nothing.
        """
        if self.deadline is not None and time.monotonic() >= self.deadline:
            reason = "not run: the experiment's time_limit_s was up"
            return self._told(unit, tuple(self._failed(unit, reason)))
        with self.workspace.locked(*unit.keys):
            elsewhere = {} if self.fresh else self._finished_elsewhere(unit)
            if len(elsewhere) == len(unit.keys):
                found = (self.read(t, k, elsewhere[k]) for t, k in self._pairs(unit))
                return self._told(unit, tuple(found))
            self.observer.started(unit)
            return self._told(unit, self._run(unit, caller))

    def read(self, trial: Trial, key: str, run_id: str) -> TrialResult:
        """Return the result of a trial that is finished already."""
        with self.tracker.folder(run_id) as folder:
            found = read_folder(folder)
        return self._result(trial, key, run_id, *found, reused=True)

    def keep_graphs(self, results: Iterable[TrialResult], kept: Container[str]) -> None:
        """Keep the graphs of some trials with their runs, and drop those of the others.

        Args:
            results: Every trial of the experiment.
            kept: The keys of those whose graphs stay.

        Raises:
            TrackingError: A graph cannot be kept.
        """
        with self.workspace.locked("graphs"):  # another process may have the same trials
            for result in results:
                folder = self.workspace.graphs / result.key
                if result.status == "finished" and result.key in kept and folder.is_dir():
                    self.tracker.attach(result.run_id, sorted(folder.iterdir()))
                shutil.rmtree(folder, ignore_errors=True)

    def forget(self, key: str) -> None:
        """Run a trial again although it was finished in this workspace."""
        self._marker(key).unlink(missing_ok=True)

    @staticmethod
    def _pairs(unit: FitUnit) -> list[tuple[Trial, str]]:
        return list(zip(unit.trials, unit.keys, strict=True))

    def _told(self, unit: FitUnit, results: tuple[TrialResult, ...]) -> tuple[TrialResult, ...]:
        self.observer.ended(unit, results)
        return results

    def _drop_checkpoints(self, keys: Iterable[str]) -> None:
        for key in keys:
            shutil.rmtree(self.workspace.checkpoints / key, ignore_errors=True)

    def _marker(self, key: str) -> Path:
        """Return the file that names the run of a trial finished in this workspace.

        It is only a hint to look again, cheaper than a query; the tracker decides.
        """
        return self.workspace.home / "locks" / f"{key}.finished"

    def _finished_elsewhere(self, unit: FitUnit) -> Mapping[str, str]:
        if not all(self._marker(key).exists() for key in unit.keys):
            return {}
        finished = self.tracker.finished()
        return {key: finished[key] for key in unit.keys if key in finished}

    def _run(self, unit: FitUnit, caller: Caller) -> tuple[TrialResult, ...]:
        folder = self.workspace.jobs / unit.keys[0]
        shutil.rmtree(folder, ignore_errors=True)  # what a killed run left
        if self.fresh:
            self._drop_checkpoints(unit.keys)
        run_ids = [
            self.tracker.start(trial, key, parent=self.parent) for trial, key in self._pairs(unit)
        ]
        open_runs = dict(zip(unit.keys, run_ids, strict=True))
        try:
            results = []
            try:
                self._call(unit, caller, folder, open_runs)
            except TrialStoppedError:
                raise
            except TrialError as error:
                for run_id in run_ids:
                    self.tracker.fail(run_id, str(error))
                return tuple(self._failed(unit, str(error).splitlines()[0], run_ids))
            for trial, key in self._pairs(unit):
                results.append(self._remember(trial, key, open_runs[key], folder / key))
                del open_runs[key]
            return tuple(results)
        except BaseException as error:
            with suppress(TrackingError):  # the first error is the one to tell
                for run_id in open_runs.values():
                    self.tracker.fail(run_id, repr(error), status="KILLED")
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _call(
        self, unit: FitUnit, caller: Caller, folder: Path, open_runs: Mapping[str, str]
    ) -> None:
        def on_event(event: Event) -> None:
            if event["metrics"]:
                self.tracker.step(open_runs[event["key"]], event["step"], event["metrics"])
            self.observer.stepped(unit, event["step"], event["steps"], event["metrics"])

        own = [trial.timeout_s for trial in unit.trials if trial.timeout_s is not None]
        timeout_s = sum(own) if own else None
        left = None if self.deadline is None else max(0.0, self.deadline - time.monotonic())
        limits = [limit for limit in (timeout_s, left) if limit is not None]
        payload = {
            **self.payload,
            "trials": [{**asdict(trial), "params": dict(trial.params)} for trial in unit.trials],
            "keys": list(unit.keys),
            "numerics": asdict(unit.numerics),
            "bases": [self.records[base] for base in unit.bases],
            "folder": str(folder),
            "checkpoints": str(self.workspace.checkpoints),
            "graphs": str(self.workspace.graphs),
        }
        memory = self.memory_limit_bytes
        try:
            for function, limit in (
                ("tenfold.fitting:prepare", left),
                ("tenfold.fitting:fit_unit", min(limits) if limits else None),
            ):
                caller.call(
                    function,
                    payload,
                    on_event=on_event,
                    timeout_s=limit,
                    memory_limit_bytes=memory,
                )
        except TrialTimeoutError as error:
            if self.deadline is not None and time.monotonic() >= self.deadline:
                raise TrialTimeoutError("ended: the experiment's time_limit_s was up") from error
            raise

    def _remember(self, trial: Trial, key: str, run_id: str, folder: Path) -> TrialResult:
        record, predictions, views = read_folder(folder)
        metrics = {name: record[name] for name in ("fit_s", "predict_us_per_image", "model_bytes")}
        if predictions.validation is not None:
            metrics |= self.validation_metrics(predictions)
        self.tracker.finish(run_id, folder, metrics)
        write_text(self._marker(key), run_id)
        self._drop_checkpoints([key])
        return self._result(trial, key, run_id, record, predictions, views)

    def _result(
        self,
        trial: Trial,
        key: str,
        run_id: str,
        record: Mapping[str, Any],
        predictions: Predictions,
        views: Views | None,
        *,
        reused: bool = False,
    ) -> TrialResult:
        with self._recording:
            self.records[key] = record
        return TrialResult(
            trial=trial,
            key=key,
            status="finished",
            run_id=run_id,
            predictions=predictions,
            views=views,
            reused=reused,
            **{**record, "history": tuple(record["history"])},
        )

    @staticmethod
    def _failed(unit: FitUnit, reason: str, run_ids: list[str] | None = None) -> list[TrialResult]:
        ids = run_ids or [""] * len(unit.trials)
        return [
            TrialResult(trial=trial, key=key, status="failed", error=reason, run_id=run_id)
            for trial, key, run_id in zip(unit.trials, unit.keys, ids, strict=True)
        ]
