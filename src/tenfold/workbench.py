"""The workbench: everything that an experiment works with, from the first fit to the report."""

from __future__ import annotations

import time
import traceback
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tenfold.config import ExperimentConfig, Settings
from tenfold.costs import DataSize
from tenfold.data import Dataset, Split, audit_split, open_sealed_test
from tenfold.errors import TrackingError, TrialError
from tenfold.evaluation import (
    CvTable,
    accuracy_of,
    build_leaderboard,
    choose_best_of_each,
    choose_winner,
)
from tenfold.executor import Executor, LocalExecutor
from tenfold.fitting import open_split
from tenfold.histories import StudyHistory
from tenfold.machine import thread_environ, usable_cores
from tenfold.models import get_spec, source_sha256
from tenfold.records import (
    Numerics,
    Predictions,
    Trial,
    TrialResult,
    canonical_json,
    to_text,
)
from tenfold.reporting import Outcome, track_results, write_results
from tenfold.runner import Observer, UnitRunner
from tenfold.sweep import Sweep
from tenfold.tracking import MlflowTracker, NullTracker, Tracker
from tenfold.workspace import Workspace

_MOST_THREADS = 4
#: Raised when what is kept of cross-validation alone changes: older results are not reused then.
_FOLDS_VERSION = 2


@dataclass(frozen=True)
class Workbench:
    """An experiment under way.

    Args:
        config: With nothing left automatic.
        dataset: The data.
        split: How they are split.
        workspace: Where it works.
        tracker: Remembers trials.
        lock: Held by this process for as long as the workbench is open.
        parent: The experiment's run.
        runner: Runs one unit.
        sweep: Runs trials, each once.
    """

    config: ExperimentConfig
    dataset: Dataset
    split: Split
    workspace: Workspace
    tracker: Tracker
    lock: str
    parent: str
    runner: UnitRunner
    sweep: Sweep

    @property
    def validation_labels(self) -> npt.NDArray[np.int64]:
        """``(n_validation,)`` class indices, one for each validation prediction."""
        return self.split.labels[self.split.validation_rows]

    def cross_validate(self, trials: Sequence[Trial]) -> tuple[TrialResult, ...]:
        """Cross-validate trials and no more: no model is left, and no test row is predicted."""
        assert self.split.cross_validated, "the split has folds"
        runner = replace(self.runner, payload={**self.runner.payload, "folds_only": True})
        split = canonical_json({"folds_only": self.split.key, "version": _FOLDS_VERSION})
        return replace(self.sweep, runner=runner, split=split).fit(trials)

    def timed(self) -> Workbench:
        """Return the workbench whose fits have their latency measured."""
        runner = replace(self.runner, payload={**self.runner.payload, "timed": True})
        split = canonical_json({"timed": self.split.key})
        return replace(self, runner=runner, sweep=replace(self.sweep, runner=runner, split=split))

    def fit_whole(self, results: Sequence[TrialResult]) -> tuple[TrialResult, ...]:
        """Fit on all development rows what `cross_validate` returned; no fold is fitted again.

        Args:
            results: Finished ones.
        """
        for result in results:
            assert result.predictions is not None, "a finished trial has predictions"
            assert result.predictions.validation is not None, "its folds have held-out rows"
            held = to_text(result.predictions.validation)
            self.runner.records[result.key] = {**self.runner.records[result.key], "held": held}
        return self.sweep.refit(results)

    def choose(
        self, results: Sequence[TrialResult], *, rank_by: str = "accuracy"
    ) -> tuple[str, Mapping[str, str]]:
        """Return the keys of the winner and, by model, of each model's best, by *select* rows.

        Args:
            results: Train fits.
            rank_by: A name in `RANKINGS`.

        Raises:
            TrialError: Not one trial finished.
        """
        labels, select = self.validation_labels, self.split.select
        winner = choose_winner(results, labels, select, rank_by=rank_by)
        if winner is None:
            raise TrialError(
                f"not one of {len(results)} trials finished; the first: {results[0].trial.title}: "
                f"{results[0].error}; `tenfold ui` shows every traceback"
            )
        return winner, choose_best_of_each(results, labels, select, rank_by=rank_by)

    def refit(self, results: Sequence[TrialResult], winner: str) -> tuple[TrialResult, ...]:
        """Fit again what the configuration asks for, on train and validation rows together."""
        return self.sweep.refit(_to_refit(self.config, self.split, results, winner))

    def conclude(
        self,
        results: Sequence[TrialResult],
        refits: Sequence[TrialResult],
        *,
        winner: str,
        best: Mapping[str, str],
        rank_by: str = "accuracy",
        histories: Sequence[StudyHistory] = (),
        tables: Sequence[CvTable] = (),
    ) -> tuple[Outcome, Path]:
        """Open the test set, write the report and end the experiment's run.

        Args:
            results: The train fits that are reported.
            refits: Their refits.
            winner: The winner's key.
            best: For each model the key of its best trial.
            rank_by: What `choose` was told.
            histories: The studies that the results come from.
            tables: The grid searches that they come from.

        Returns:
            What was found, and the folder with it.

        Raises:
            StorageError: A file cannot be written.
            TrackingError: The tracker cannot be written.
        """
        config, split = self.config, self.split
        self.runner.observer.said("opening the sealed test and writing the report")
        test_labels = open_sealed_test(split, choices={"winner": winner, "refit": config.refit})
        leaderboard = build_leaderboard(
            [*results, *refits],
            test_labels=test_labels,
            validation_labels=self.validation_labels,
            select=split.select,
            winner_key=winner,
            class_names=split.class_names,
            rank_by=rank_by,
            validation_rows=split.validation_rows,
            cross_validated=split.cross_validated,
        )
        outcome = Outcome(
            config=config,
            dataset=self.dataset,
            split=split,
            audit=audit_split(split),
            leaderboard=leaderboard,
            results=(*results, *refits),
            test_labels=test_labels,
            created=datetime.now().astimezone(),
            best=best,
            histories=tuple(histories),
            tables=tuple(tables),
        )
        folder = self.workspace.results(config.name)
        with self.workspace.locked("reports"):  # another process may report on the same trials
            written = write_results(outcome, folder)
            track_results(outcome, written, self.tracker, self.parent)
        return outcome, folder


@contextmanager
def open_workbench(
    config: ExperimentConfig,
    executor: Executor | None,
    *,
    settings: Settings,
    observer: Observer,
    fresh: bool = False,
) -> Iterator[Workbench]:
    """Open the data, the workspace and the tracker; any exception ends the experiment's run.

    Args:
        config: What is asked for.
        executor: Runs the fits; None: worker processes of this machine.
        settings: Where things are on this machine.
        observer: Is told what happens.
        fresh: Run finished trials again.

    Raises:
        UsageError: The configuration or the data cannot be used.
        StorageError: The workspace cannot be written.
        TrackingError: MLflow cannot be reached or written.
    """
    started = time.monotonic()
    config = resolve_config(config, settings)
    # Once for all of it: no fit may be of another source, whatever is written meanwhile.
    own = {entry.model for entry in config.models if entry.is_own_estimator}
    sources = {model: source_sha256(model) for model in own}
    observer.said(f"reading {config.dataset.source}")
    dataset, split = open_split(config.dataset, settings.data_dir)
    workspace = Workspace(settings.home).open()
    tracker: Tracker = NullTracker()
    if config.tracking == "mlflow":
        tracker = MlflowTracker(workspace, config.name)
    lock = f"experiment-{uuid.uuid4().hex}"
    with _parent_run(config, dataset.fingerprint, workspace, tracker, lock) as parent:
        runner = UnitRunner(
            workspace=workspace,
            tracker=tracker,
            parent=parent,
            payload={
                "dataset": config.dataset.model_dump(mode="json"),
                "data_dir": settings.data_dir and str(settings.data_dir),
                "fingerprint": dataset.fingerprint,
                "sources": sources,
            },
            validation_metrics=lambda predictions: _validation_metrics(split, predictions),
            observer=observer,
            deadline=config.time_limit_s and started + config.time_limit_s,
            memory_limit_bytes=config.memory_limit_mb and config.memory_limit_mb << 20,
            fresh=fresh,
        )
        sweep = Sweep(
            runner=runner,
            executor=executor or local_executor(config),
            fingerprint=dataset.fingerprint,
            split=split.key,
            size=DataSize(len(split.labels), split.images.shape[1], len(split.class_names)),
            numerics=_numerics(config),
        )
        yield Workbench(
            config=config,
            dataset=dataset,
            split=split,
            workspace=workspace,
            tracker=tracker,
            lock=lock,
            parent=parent,
            runner=runner,
            sweep=sweep,
        )


def with_jobs(config: ExperimentConfig) -> ExperimentConfig:
    """Return the configuration with as many fits at the same time as its ``tune.n_jobs`` says."""
    jobs = None if config.tune is None else config.tune.n_jobs
    if jobs is None:
        return config
    at_once = usable_cores() if jobs == -1 else jobs
    return config.model_copy(update={"units_at_once": at_once, "threads": config.threads or 1})


def resolve_config(config: ExperimentConfig, settings: Settings) -> ExperimentConfig:
    """Return the configuration with everything automatic decided for this machine.

    Devices and precisions are decided by capability flags, never by timing, so that the same
    machine always decides alike.
    """
    threads = config.threads or min(_MOST_THREADS, usable_cores())
    at_once = config.units_at_once
    updates = {
        "threads": threads,
        "units_at_once": max(1, usable_cores() // threads) if at_once is None else at_once,
        "device": "cpu",
        "precision": "float32",
    }
    if any(_uses_torch(entry.model) for entry in config.models):
        from tenfold.models.torch.device import check_processes, resolve_device, resolve_precision

        asked = settings.device if config.device == "auto" else config.device
        device = resolve_device(asked)
        check_processes(device, config.processes)
        precision = str(resolve_precision(device, config.precision)).removeprefix("torch.")
        updates |= {"device": device.type, "precision": precision}
    return config.model_copy(update=updates)


@contextmanager
def _parent_run(
    config: ExperimentConfig,
    fingerprint: str,
    workspace: Workspace,
    tracker: Tracker,
    lock: str,
) -> Iterator[str]:
    """Give the experiment's run; any exception ends it as failed, with the traceback."""
    with workspace.locked(lock):
        run_id = tracker.begin(
            config.name,
            lock=lock,
            params={
                "dataset": config.dataset.source,
                "seed": config.seed,
                "refit": config.refit,
                "device": config.device,
                "precision": config.precision,
                "threads": config.threads,
                "processes": config.processes,
            },
            tags={"tenfold.fingerprint": fingerprint, "mlflow.note.content": config.description},
        )
        try:
            yield run_id
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt | GeneratorExit)
            reason = "".join(traceback.format_exception(error))
            with suppress(TrackingError):  # the first error is the one to tell
                tracker.fail(run_id, reason, status="KILLED" if stopped else "FAILED")
            raise


def _uses_torch(model: str) -> bool:
    return ":" not in model and get_spec(model).runs_on == "torch"


def _numerics(config: ExperimentConfig) -> Numerics:
    assert config.threads is not None, "the configuration is resolved"
    return Numerics(
        device=config.device,
        precision=config.precision,
        threads=config.threads,
        processes=config.processes,
    )


def local_executor(config: ExperimentConfig) -> LocalExecutor:
    """Return what runs a resolved configuration's fits on this machine."""
    assert config.units_at_once is not None, "the configuration is resolved"
    assert config.threads is not None, "the configuration is resolved"
    gpu_environs: Sequence[Mapping[str, str]] = ()
    if config.device != "cpu":
        from tenfold.models.torch.device import gpu_environs_of

        gpu_environs = gpu_environs_of(config.device, processes=config.processes)
    return LocalExecutor(
        config.units_at_once, environ=thread_environ(config.threads), gpu_environs=gpu_environs
    )


def _validation_metrics(split: Split, predictions: Predictions) -> dict[str, float]:
    assert predictions.validation is not None, "a train fit has validation predictions"
    labels = split.labels[split.validation_rows]
    return {
        f"{part}_accuracy": accuracy_of(labels[rows], predictions.validation[rows])
        for part, rows in (("select", split.select), ("calibrate", split.calibrate))
    }


def _to_refit(
    config: ExperimentConfig, split: Split, results: Sequence[TrialResult], winner: str
) -> list[TrialResult]:
    """Return the results whose recipes are fitted again; none where the fit saw every row."""
    if config.refit == "none" or split.cross_validated:
        return []
    if config.refit == "all":
        return list(results)
    best = next(result.trial for result in results if result.key == winner)
    return [result for result in results if _same_recipe(result.trial, best)]


def _same_recipe(one: Trial, other: Trial) -> bool:
    return (one.model, dict(one.params)) == (other.model, dict(other.params))
