"""The memory of finished trials: the Tracker protocol, MLflow, and a tracker that forgets."""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import unquote, urlparse

from tenfold._optional import require
from tenfold.errors import SettingError, TrackingError
from tenfold.records import Trial, canonical_json
from tenfold.workspace import Workspace

logger = logging.getLogger(__name__)

RunStatus = Literal["FINISHED", "FAILED", "KILLED"]
KEY_TAG = "tenfold.key"
LOCK_TAG = "tenfold.lock"
WORKSPACE_TAG = "tenfold.workspace"
REASON_TAG = "tenfold.reason"
REPORTED_TAG = "tenfold.reported"
_FLUSH_S = 2.0
_LONGEST_TEXT = 5000


class Tracker(Protocol):
    """Remembers experiments (parent runs) and trials (nested runs)."""

    def finished(self) -> Mapping[str, str]:
        """Return the run of every finished trial, by the digest of its key."""
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

    def finish(self, run_id: str, folder: Path, metrics: Mapping[str, float]) -> None:
        """Keep a trial's files and metrics, then mark its run finished."""
        ...

    def fail(self, run_id: str, reason: str, *, status: RunStatus = "FAILED") -> None:
        """End a run that did not finish, with the reason."""
        ...

    def folder(self, run_id: str) -> AbstractContextManager[Path]:
        """Give the folder with a finished trial's files, for as long as the block lasts."""
        ...

    def attach(self, run_id: str, files: Sequence[Path]) -> None:
        """Add files to those of a finished trial; one of the same name is replaced."""
        ...

    def unreported(self, run_ids: Sequence[str]) -> Sequence[str]:
        """Return those of the runs to which no report was added yet."""
        ...

    def report(self, run_id: str, metrics: Mapping[str, float], files: Sequence[Path]) -> None:
        """Add what was computed after the test set was opened."""
        ...

    def end(self, run_id: str, metrics: Mapping[str, float], files: Sequence[Path]) -> None:
        """Finish an experiment's parent run."""
        ...


class NullTracker:
    """Keeps the files of this experiment until it is closed, and remembers nothing."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tenfold-")
        self._count = 0
        self._lock = threading.Lock()

    def finished(self) -> Mapping[str, str]:
        """Return nothing: every trial is run."""
        return {}

    def begin(
        self,
        name: str,  # noqa: ARG002
        *,
        lock: str,  # noqa: ARG002
        params: Mapping[str, Any],  # noqa: ARG002
        tags: Mapping[str, str],  # noqa: ARG002
    ) -> str:
        """Return an empty id."""
        return ""

    def start(self, trial: Trial, key: str, *, parent: str) -> str:  # noqa: ARG002
        """Return the name of the trial's folder."""
        with self._lock:
            self._count += 1
            return f"{self._count}-{key[:8]}"

    def step(self, run_id: str, step: int, metrics: Mapping[str, float]) -> None:
        """Forget the metrics."""

    def finish(self, run_id: str, folder: Path, metrics: Mapping[str, float]) -> None:  # noqa: ARG002
        """Keep the files until this tracker goes."""
        shutil.copytree(folder, Path(self._folder.name) / run_id)

    def fail(self, run_id: str, reason: str, *, status: RunStatus = "FAILED") -> None:
        """Forget the reason."""

    @contextmanager
    def folder(self, run_id: str) -> Iterator[Path]:
        """Give the trial's folder."""
        yield Path(self._folder.name) / run_id

    def attach(self, run_id: str, files: Sequence[Path]) -> None:
        """Keep more files until this tracker goes."""
        for path in files:
            shutil.copy(path, Path(self._folder.name) / run_id)

    def unreported(self, run_ids: Sequence[str]) -> Sequence[str]:  # noqa: ARG002
        """Return nothing: a report has no place to go."""
        return ()

    def report(self, run_id: str, metrics: Mapping[str, float], files: Sequence[Path]) -> None:
        """Forget the report."""

    def end(self, run_id: str, metrics: Mapping[str, float], files: Sequence[Path]) -> None:
        """Forget the experiment."""


class MlflowTracker:
    """Remembers in MLflow: an SQLite file in the workspace, or `MLFLOW_TRACKING_URI`.

    Args:
        workspace: Holds the database, the artifacts and the locks.
        experiment: Name of the MLflow experiment, unless `MLFLOW_EXPERIMENT_NAME` gives another;
            made when first used. None: MLflow's default.

    Raises:
        SettingError: `MLFLOW_EXPERIMENT_NAME` holds what cannot name a folder.
        TrackingError: The store cannot be reached or made.
    """

    def __init__(self, workspace: Workspace, experiment: str | None) -> None:
        experiment = experiment and _experiment_name(experiment)
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        self._workspace = workspace
        self.uri = os.environ.get("MLFLOW_TRACKING_URI") or workspace.tracking_uri
        self._pending: dict[str, list[Any]] = {}
        self._flushed: dict[str, float] = {}
        self._lock = threading.Lock()
        # Three processes that create the same database at once all fail.
        with workspace.locked("init"), _translated(self.uri):
            mlflow = require("mlflow")
            logging.getLogger("mlflow").setLevel(logging.WARNING)
            logging.getLogger("mlflow.store").setLevel(logging.CRITICAL)  # it is raised as well
            logging.getLogger("alembic").setLevel(logging.WARNING)
            self._entities = require("mlflow.entities")
            self._client = mlflow.MlflowClient(tracking_uri=self.uri)
            self._experiment = self._opened(experiment)
        self._close_stale()

    def finished(self) -> Mapping[str, str]:
        """Return the run of every finished trial, by the digest of its key."""
        runs = self._search(f"attributes.status = 'FINISHED' and tags.`{KEY_TAG}` != ''")
        found: dict[str, str] = {}
        for run in runs:  # the newest first
            found.setdefault(run.data.tags[KEY_TAG], run.info.run_id)
        return found

    def begin(
        self, name: str, *, lock: str, params: Mapping[str, Any], tags: Mapping[str, str]
    ) -> str:
        """Start an experiment's parent run, alive while `lock` is held, and return its id."""
        return self._start(name, params, {**tags, LOCK_TAG: lock})

    def start(self, trial: Trial, key: str, *, parent: str) -> str:
        """Start a trial's run below its parent and return its id."""
        stage = " refit" if trial.refit else ""
        tags = {
            "mlflow.parentRunId": parent,
            KEY_TAG: key,
            LOCK_TAG: key,
            "tenfold.model": trial.model,
            "tenfold.stage": "refit" if trial.refit else "train",
        }
        params = {**trial.params, "seed": trial.seed, "model": trial.model}
        return self._start(f"{trial.title} {trial.label}".rstrip() + stage, params, tags)

    def step(self, run_id: str, step: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of one step; written every two seconds and at the end."""
        now = time.time()
        made = [self._metric(name, value, step) for name, value in metrics.items()]
        with self._lock:
            self._pending.setdefault(run_id, []).extend(made)
            due = now - self._flushed.setdefault(run_id, now) > _FLUSH_S
        if due:
            self._flush(run_id)

    def finish(self, run_id: str, folder: Path, metrics: Mapping[str, float]) -> None:
        """Keep a trial's files and metrics, then mark its run finished."""
        self._flush(run_id)
        with _translated(self.uri):
            for path in sorted(folder.iterdir()):
                self._client.log_artifact(run_id, str(path))
            self._log(run_id, metrics)
            self._client.set_terminated(run_id, "FINISHED")

    def fail(self, run_id: str, reason: str, *, status: RunStatus = "FAILED") -> None:
        """End a run that did not finish, with the reason."""
        self._flush(run_id)
        with _translated(self.uri):
            self._client.set_tag(run_id, REASON_TAG, reason[:_LONGEST_TEXT])
            self._client.log_text(run_id, reason, "traceback.txt")
            self._client.set_terminated(run_id, status)

    @contextmanager
    def folder(self, run_id: str) -> Iterator[Path]:
        """Give the folder with a finished trial's files, for as long as the block lasts."""
        with _translated(self.uri):
            location = urlparse(self._client.get_run(run_id).info.artifact_uri)
        if location.scheme in ("", "file"):
            yield Path(unquote(location.path))
            return
        with tempfile.TemporaryDirectory(prefix="tenfold-") as folder:
            with _translated(self.uri):
                self._client.download_artifacts(run_id, "", folder)
            yield Path(folder)

    def attach(self, run_id: str, files: Sequence[Path]) -> None:
        """Add files to those of a finished trial; one of the same name is replaced."""
        with _translated(self.uri):
            for path in files:
                self._client.log_artifact(run_id, str(path))

    def unreported(self, run_ids: Sequence[str]) -> Sequence[str]:
        """Return those of the runs to which no report was added yet."""
        with _translated(self.uri):
            return [
                run_id
                for run_id in run_ids
                if REPORTED_TAG not in self._client.get_run(run_id).data.tags
            ]

    def report(self, run_id: str, metrics: Mapping[str, float], files: Sequence[Path]) -> None:
        """Add what was computed after the test set was opened."""
        with _translated(self.uri):
            self._log(run_id, metrics)
            for path in files:
                self._client.log_artifact(run_id, str(path), "figures")
            self._client.set_tag(run_id, REPORTED_TAG, "true")

    def end(self, run_id: str, metrics: Mapping[str, float], files: Sequence[Path]) -> None:
        """Finish an experiment's parent run."""
        with _translated(self.uri):
            self._log(run_id, metrics)
            for path in files:
                self._client.log_artifact(run_id, str(path))
            self._client.set_terminated(run_id, "FINISHED")

    def _opened(self, name: str | None) -> str:
        found = self._client.get_experiment_by_name(name or "Default")
        if found is not None:
            if found.lifecycle_stage == "deleted":
                self._client.restore_experiment(found.experiment_id)
            return str(found.experiment_id)
        assert name, "MLflow always has its default experiment"
        local = self.uri.startswith("sqlite:")
        location = (self._workspace.artifacts / name).as_uri() if local else None
        return str(self._client.create_experiment(name, artifact_location=location))

    def _start(self, name: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        with _translated(self.uri):
            run = self._client.create_run(
                self._experiment,
                tags={**tags, WORKSPACE_TAG: self._workspace.identity},
                run_name=name,
            )
            texts = {
                key: value if isinstance(value, str) else canonical_json(value)
                for key, value in params.items()
            }
            self._client.log_batch(
                run.info.run_id,
                params=[self._entities.Param(key, text) for key, text in texts.items()],
            )
            return str(run.info.run_id)

    def _close_stale(self) -> None:
        """End the runs of this workspace whose process is gone: running, but their lock is free."""
        # MLflow quotes with one kind of quote only, so a path is compared here, not in the query.
        for run in self._search("attributes.status = 'RUNNING'"):
            tags = run.data.tags
            mine = tags.get(WORKSPACE_TAG) == self._workspace.identity
            if mine and not self._workspace.is_held(tags[LOCK_TAG]):
                logger.info("closing %s, whose process is gone", run.info.run_name)
                self.fail(run.info.run_id, "its process ended without a word", status="KILLED")

    def _search(self, condition: str) -> Iterator[Any]:
        with _translated(self.uri):
            ids = [found.experiment_id for found in self._client.search_experiments()]
            token = None
            while True:
                page = self._client.search_runs(
                    ids,
                    condition,
                    max_results=1000,
                    order_by=["attributes.start_time DESC"],
                    page_token=token,
                )
                yield from page
                token = page.token
                if not token:
                    return

    def _metric(self, name: str, value: float, step: int) -> Any:
        return self._entities.Metric(name, float(value), int(time.time() * 1000), step)

    def _log(self, run_id: str, metrics: Mapping[str, float]) -> None:
        made = [self._metric(name, value, 0) for name, value in metrics.items()]
        self._client.log_batch(run_id, metrics=made)

    def _flush(self, run_id: str) -> None:
        with self._lock:
            pending = self._pending.pop(run_id, [])
            self._flushed[run_id] = time.time()
        with _translated(self.uri):
            for start in range(0, len(pending), 1000):
                self._client.log_batch(run_id, metrics=pending[start : start + 1000])


def _experiment_name(default: str) -> str:
    """Return what MLflow calls the experiment; it names the folder of its artifacts, too."""
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or default
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,127}", name):
        raise SettingError(
            f"MLFLOW_EXPERIMENT_NAME is {name!r}: allowed are up to 128 letters, digits, spaces, "
            "'.', '_' and '-', a letter or digit first"
        )
    return name


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    """Turn MLflow's and the database's errors into ours."""
    try:
        yield
    except TrackingError:
        raise
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise TrackingError(
            f"MLflow at {uri} failed: {reason}; check that it can be reached and written, "
            "then run the same command again: finished trials are not run again"
        ) from error
