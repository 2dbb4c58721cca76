"""The life of one fit unit: lock it, look whether it is done, run it, remember it."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Container, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tenfold.errors import (
    CorruptDataError,
    TrackingError,
    TrialError,
    TrialStoppedError,
    TrialTimeoutError,
)
from tenfold.files import write_text
from tenfold.fitting import TRIAL_FILES, read_folder
from tenfold.keeping import keep_graphs
from tenfold.records import FitUnit, Predictions, Trial, TrialResult, Views
from tenfold.tracking import Tracker
from tenfold.worker import Caller, Event
from tenfold.workspace import Workspace

logger = logging.getLogger(__name__)

_PREPARE = "tenfold.fitting:prepare"
_FIT = "tenfold.fitting:fit_unit"
_METRICS = ("fit_s", "predict_us_per_image", "latency_us_per_image", "model_bytes")


class Observer(Protocol):
    """Is told what happens; may be called from several threads."""

    def planned(self, trials: int, *, reused: int) -> None:
        """Say how many trials will be fitted, and how many were found finished."""
        ...

    def started(self, unit: FitUnit) -> None:
        """Say that a unit starts."""
        ...

    def stepped(self, unit: FitUnit, step: int, steps: int, metrics: Mapping[str, float]) -> None:
        """Say that a unit's fit has done ``step`` of ``steps``."""
        ...

    def ended(self, unit: FitUnit, results: tuple[TrialResult, ...]) -> None:
        """Say how a unit ended: one result for each of its trials."""
        ...

    def said(self, text: str) -> None:
        """Say what the experiment does next."""
        ...


class NullObserver:
    """Tells nobody."""

    def planned(self, trials: int, *, reused: int) -> None:
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
        payload: What every worker is given: the data set, its folder and its fingerprint, and by
            own estimator the SHA-256 of its source.
        validation_metrics: Metrics of a train fit's validation predictions, to be tracked.
        observer: Is told what happens.
        deadline: ``time.monotonic()`` at which the experiment's time is up.
        memory_limit_bytes: Resident bytes of a worker at which it is ended.
        fresh: Run again whatever this runner did not finish itself, in an earlier attempt.
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
    _finished: dict[str, str] = field(default_factory=dict, repr=False)
    _handed_over: set[str] = field(default_factory=set, repr=False)
    _recording: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __call__(self, unit: FitUnit, caller: Caller) -> tuple[TrialResult, ...]:
        """Run a unit, or read it where another process finished it meanwhile.

        Raises:
            TenfoldError: The workspace or the tracker failed; a failing fit raises nothing.
        """
        try:
            self._check_time()
            with self.workspace.locked(*unit.keys, waiting=self._waiting(unit, caller)):
                return self._run_or_read(unit, caller)
        except TrialTimeoutError as error:
            failed = (_failed(trial, key, str(error)) for trial, key in self._pairs(unit))
            return self._told(unit, tuple(failed))

    def read(self, trial: Trial, key: str, run_id: str) -> TrialResult:
        """Return the result of a trial that is finished already.

        Raises:
            OSError: A file cannot be read.
            ValueError: It is damaged.
        """
        with self.tracker.folder(run_id, only=TRIAL_FILES) as folder:
            record, predictions, views = read_folder(folder)
        if predictions.validation is None and not trial.refit:
            raise CorruptDataError(f"run {run_id} has lost its validation predictions")
        return self._result(trial, key, run_id, record, predictions, views, reused=True)

    def keep_graphs(self, results: Iterable[TrialResult], kept: Container[str]) -> None:
        """Keep the graphs of some trials with their runs; as `tenfold.keeping.keep_graphs`."""
        keep_graphs(
            results,
            kept,
            workspace=self.workspace,
            tracker=self.tracker,
            made=self._finished,
            handed_over=self._handed_over,
        )

    def forget(self, key: str) -> None:
        """Run a trial again although it was finished in this workspace."""
        self._marker(key).unlink(missing_ok=True)

    @staticmethod
    def _pairs(unit: FitUnit) -> list[tuple[Trial, str]]:
        return list(zip(unit.trials, unit.keys, strict=True))

    def _told(self, unit: FitUnit, results: tuple[TrialResult, ...]) -> tuple[TrialResult, ...]:
        self.observer.ended(unit, results)
        return results

    def _run_or_read(self, unit: FitUnit, caller: Caller) -> tuple[TrialResult, ...]:
        finished = self._finished_before(unit)
        results: tuple[TrialResult, ...] = ()
        if finished:
            done = unit.only(finished)
            found = (self.read(t, k, finished[k]) for t, k in self._pairs(done))
            results += self._told(done, tuple(found))
        if len(finished) < len(unit.keys):
            left = unit.only([key for key in unit.keys if key not in finished])
            self.observer.started(left)
            results += self._told(left, self._run(left, caller))
        return results

    def _check_time(self) -> None:
        if self.deadline is not None and time.monotonic() >= self.deadline:
            raise TrialTimeoutError("not run: the experiment's time_limit_s was up")

    def _time_left(self) -> float | None:
        """Return the seconds that are left of the experiment's time; None: there is no limit."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def _waiting(self, unit: FitUnit, caller: Caller) -> Callable[[], None]:
        """Return what is done over and over while another process runs a unit.

        The worker is prepared, which raises `TrialStoppedError` where the run was stopped; when the
        experiment's time is up, `TrialTimeoutError` is raised.
        """
        said = False

        def wait() -> None:
            nonlocal said
            if not said:
                self.observer.said(f"waiting for {unit.name}, which another process runs")
                said = True
            self._check_time()
            try:
                caller.call(
                    _PREPARE, self._given(unit), on_event=_ignore, timeout_s=self._time_left()
                )
            except TrialStoppedError:
                raise
            except TrialError:
                logger.info("%s cannot be prepared", unit.name, exc_info=True)

        return wait

    def _given(self, unit: FitUnit) -> dict[str, Any]:
        """Return what a worker is given to prepare a unit."""
        trials = [{**asdict(trial), "params": dict(trial.params)} for trial in unit.trials]
        return {**self.payload, "trials": trials}

    def _drop_checkpoints(self, keys: Iterable[str]) -> None:
        for key in keys:
            shutil.rmtree(self.workspace.checkpoints / key, ignore_errors=True)

    def _marker(self, key: str) -> Path:
        """Return the file that names the run of a trial finished in this workspace.

        It is only a hint to look again, cheaper than a query; the tracker decides.
        """
        return self.workspace.home / "locks" / f"{key}.finished"

    def _finished_before(self, unit: FitUnit) -> Mapping[str, str]:
        """Return the runs of a unit's trials that are finished, here or by another process."""
        if self.fresh:
            return {key: self._finished[key] for key in unit.keys if key in self._finished}
        found = {}
        for key in unit.keys:
            with suppress(OSError):
                run_id = self._marker(key).read_text(encoding="utf-8")
                if self.tracker.is_finished(run_id):
                    found[key] = run_id
        return found

    def _run(self, unit: FitUnit, caller: Caller) -> tuple[TrialResult, ...]:
        folder = self.workspace.jobs / unit.keys[-1]
        shutil.rmtree(folder, ignore_errors=True)  # what a killed run left
        if self.fresh:
            self._drop_checkpoints(unit.keys)
        open_runs: dict[str, str] = {}
        results: dict[str, TrialResult] = {}
        try:
            for trial, key in self._pairs(unit):
                open_runs[key] = self.tracker.start(trial, key, parent=self.parent)
            self._fit(unit, caller, folder, open_runs, results)
        except BaseException as error:
            reason = str(error) if isinstance(error, TrialStoppedError) else repr(error)
            with suppress(TrackingError):  # the first error is the one to tell
                for run_id in open_runs.values():
                    self.tracker.fail(run_id, reason, status="KILLED")
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return tuple(results[key] for key in unit.keys)

    def _fit(
        self,
        unit: FitUnit,
        caller: Caller,
        folder: Path,
        open_runs: dict[str, str],
        results: dict[str, TrialResult],
    ) -> None:
        """Move each trial from `open_runs` to `results` as soon as it is finished or failed."""
        try:
            self._call(unit, caller, folder, open_runs, results)
        except TrialStoppedError:
            raise
        except TrialError as error:
            left = unit.only(open_runs)
            if len(left.keys) > 1 and not isinstance(error, TrialTimeoutError):
                # The largest may be too large where the others are not.
                for key in left.keys:
                    self._fit(unit.only([key]), caller, folder, open_runs, results)
                return
            for trial, key in self._pairs(left):
                self.tracker.fail(open_runs[key], str(error))
                results[key] = _failed(trial, key, str(error).splitlines()[0], open_runs.pop(key))

    def _call(
        self,
        unit: FitUnit,
        caller: Caller,
        folder: Path,
        open_runs: dict[str, str],
        results: dict[str, TrialResult],
    ) -> None:
        trials = dict(zip(unit.keys, unit.trials, strict=True))

        def on_event(event: Event) -> None:
            key = event["key"]
            if event.get("done"):
                run_id = open_runs[key]
                made = None if event.get("kept") else folder / key
                results[key] = self._remember(trials[key], key, run_id, made)
                del open_runs[key]
                return
            if event["metrics"]:
                self.tracker.step(open_runs[key], event["step"], event["metrics"])
            if key == unit.keys[-1]:  # the longest tells how far the fit is
                self.observer.stepped(unit, event["step"], event["steps"], event["metrics"])

        own = [trial.timeout_s for trial in unit.trials if trial.timeout_s is not None]
        payload = {
            **self._given(unit),
            "keys": list(unit.keys),
            "numerics": asdict(unit.numerics),
            "bases": [self.records[base] for base in unit.bases],
            "runs": {key: open_runs[key] for key in unit.keys},
            "folder": str(folder),
            "checkpoints": str(self.workspace.checkpoints),
            "graphs": str(self.workspace.graphs),
        }
        try:
            # The experiment's time goes on while the unit is prepared; the trials' does not.
            for function, own_s in ((_PREPARE, None), (_FIT, sum(own) if own else None)):
                limits = [limit for limit in (own_s, self._time_left()) if limit is not None]
                caller.call(
                    function,
                    payload,
                    on_event=on_event,
                    timeout_s=min(limits, default=None),
                    memory_limit_bytes=self.memory_limit_bytes,
                )
        except TrialTimeoutError as error:
            if self.deadline is not None and time.monotonic() >= self.deadline:
                raise TrialTimeoutError("ended: the experiment's time_limit_s was up") from error
            raise

    def _remember(self, trial: Trial, key: str, run_id: str, folder: Path | None) -> TrialResult:
        """Finish a trial's run.

        Args:
            trial: The trial.
            key: Its key.
            run_id: Its run.
            folder: Holds its files; None: a worker elsewhere has kept them with the run.
        """
        if folder is None:
            self._handed_over.add(key)
            with self.tracker.folder(run_id, only=TRIAL_FILES) as kept:
                record, predictions, views = read_folder(kept)
        else:
            record, predictions, views = read_folder(folder)
        metrics = {name: record[name] for name in _METRICS if name in record}
        if predictions.validation is not None:
            metrics |= self.validation_metrics(predictions)
        # Before the run is finished: a full disk must not make a finished run a failed one.
        write_text(self._marker(key), run_id)
        self.tracker.finish(run_id, folder, metrics)
        self._finished[key] = run_id
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
            **{
                **record,
                "history": tuple(record["history"]),
                "fitted_with": tuple(record.get("fitted_with", ())),
                "rounds": tuple(record.get("rounds", ())),
            },
        )


def _ignore(event: Event) -> None:
    """Take no notice of an event."""


def _failed(trial: Trial, key: str, reason: str, run_id: str = "") -> TrialResult:
    return TrialResult(trial=trial, key=key, status="failed", error=reason, run_id=run_id)
