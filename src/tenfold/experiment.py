"""Running one experiment from its configuration to its report: the one composer."""

from __future__ import annotations

import time
import traceback
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tenfold.config import ExperimentConfig, Settings, load_settings
from tenfold.data import Split, audit_split, open_sealed_test
from tenfold.errors import TrackingError, TrialError
from tenfold.evaluation import (
    Leaderboard,
    Row,
    accuracy_of,
    build_leaderboard,
    choose_best_of_each,
    choose_winner,
)
from tenfold.executor import Executor, LocalExecutor
from tenfold.fitting import open_split
from tenfold.machine import usable_cores
from tenfold.models import get_spec
from tenfold.records import Numerics, Predictions, Trial, TrialResult
from tenfold.reporting import Outcome, track_results, write_results
from tenfold.runner import NullObserver, Observer, UnitRunner
from tenfold.search import expand_grid
from tenfold.sweep import Sweep
from tenfold.tracking import MlflowTracker, NullTracker, Tracker
from tenfold.workspace import Workspace

_MOST_THREADS = 4


@dataclass(frozen=True)
class ExperimentResult:
    """What an experiment found and where it wrote it.

    Args:
        config: The configuration with nothing left automatic.
        leaderboard: One row for each recipe, in the grid's order.
        folder: Holds ``results.csv``, ``results.json``, ``report.html`` and ``figures/``.
        warnings: What a reader of the numbers must know.
    """

    config: ExperimentConfig
    leaderboard: Leaderboard
    folder: Path
    warnings: tuple[str, ...]

    @property
    def report(self) -> Path:
        """The report, one self-contained HTML file."""
        return self.folder / "report.html"

    @property
    def failed(self) -> tuple[Row, ...]:
        """The rows of which a fit failed."""
        return tuple(row for row in self.leaderboard.rows if row.status != "finished")


def run_experiment(
    config: ExperimentConfig,
    executor: Executor | None = None,
    *,
    settings: Settings | None = None,
    observer: Observer | None = None,
    fresh: bool = False,
) -> ExperimentResult:
    """Train, choose, refit, open the test set, report.

    Every choice is made on training and validation rows; the test labels are opened once, after
    the last fit. Finished trials are found by their key and not run again.

    Args:
        config: What to compare, on what.
        executor: Runs the fits; default: worker processes of this machine.
        settings: Default: from the environment.
        observer: Is told what happens.
        fresh: Run finished trials again.

    Raises:
        UsageError: The configuration or the data cannot be used.
        TrialError: Not one trial finished.
        StorageError: The workspace cannot be written.
        TrackingError: MLflow cannot be reached or written.
    """
    started = time.monotonic()
    settings = settings or load_settings()
    observer = observer or NullObserver()
    trials = expand_grid(config)
    config = resolve_config(config, settings)
    observer.said(f"reading {config.dataset.source}")
    dataset, split = open_split(config.dataset, settings.data_dir)
    workspace = Workspace(settings.home).open()
    tracker: Tracker = NullTracker()
    if config.tracking == "mlflow":
        tracker = MlflowTracker(workspace, config.name)
    with _parent_run(config, dataset.fingerprint, workspace, tracker) as parent:
        runner = UnitRunner(
            workspace=workspace,
            tracker=tracker,
            parent=parent,
            payload={
                "dataset": config.dataset.model_dump(mode="json"),
                "data_dir": settings.data_dir and str(settings.data_dir),
                "fingerprint": dataset.fingerprint,
            },
            validation_metrics=lambda predictions: _validation_metrics(split, predictions),
            observer=observer,
            deadline=config.time_limit_s and started + config.time_limit_s,
            memory_limit_bytes=config.memory_limit_mb and config.memory_limit_mb << 20,
            fresh=fresh,
        )
        sweep = Sweep(
            runner=runner,
            executor=executor or _local_executor(config),
            fingerprint=dataset.fingerprint,
            split=split.key,
            numerics=_numerics(config),
        )
        results = sweep.fit(trials)
        labels = split.labels[split.validation_rows]
        winner = choose_winner(results, labels, split.select)
        best = choose_best_of_each(results, labels, split.select)
        _check_any(results, winner)
        refits = sweep.refit(_to_refit(config, split, results, winner))
        runner.keep_graphs(
            [*results, *refits], kept={*best.values(), *(refit.key for refit in refits)}
        )
        observer.said("opening the sealed test and writing the report")
        test_labels = open_sealed_test(split, choices={"winner": winner, "refit": config.refit})
        leaderboard = build_leaderboard(
            [*results, *refits],
            test_labels=test_labels,
            validation_labels=labels,
            select=split.select,
            winner_key=winner,
            class_names=split.class_names,
            validation_rows=split.validation_rows,
            cross_validated=split.cross_validated,
        )
        outcome = Outcome(
            config=config,
            dataset=dataset,
            split=split,
            audit=audit_split(split),
            leaderboard=leaderboard,
            results=(*results, *refits),
            test_labels=test_labels,
            created=datetime.now().astimezone(),
            best=best,
        )
        folder = workspace.results(config.name)
        with workspace.locked("reports"):  # another process may report on the same trials
            write_results(outcome, folder)
            track_results(outcome, folder, tracker, parent)
    return ExperimentResult(config, leaderboard, folder, outcome.warnings)


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
    config: ExperimentConfig, fingerprint: str, workspace: Workspace, tracker: Tracker
) -> Iterator[str]:
    """Give the experiment's run; any exception ends it as failed, with the traceback."""
    lock = f"experiment-{uuid.uuid4().hex}"
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


def _local_executor(config: ExperimentConfig) -> LocalExecutor:
    assert config.units_at_once is not None, "the configuration is resolved"
    threads = str(config.threads)
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return LocalExecutor(config.units_at_once, environ=dict.fromkeys(names, threads))


def _validation_metrics(split: Split, predictions: Predictions) -> dict[str, float]:
    assert predictions.validation is not None, "a train fit has validation predictions"
    labels = split.labels[split.validation_rows]
    return {
        f"{part}_accuracy": accuracy_of(labels[rows], predictions.validation[rows])
        for part, rows in (("select", split.select), ("calibrate", split.calibrate))
    }


def _check_any(results: tuple[TrialResult, ...], winner: str | None) -> None:
    if winner is None:
        raise TrialError(
            f"not one of {len(results)} trials finished; the first: {results[0].trial.title}: "
            f"{results[0].error}; `tenfold ui` shows every traceback"
        )


def _to_refit(
    config: ExperimentConfig, split: Split, results: tuple[TrialResult, ...], winner: str | None
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
