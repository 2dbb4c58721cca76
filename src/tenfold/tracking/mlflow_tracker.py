"""The tracker that remembers in MLflow: a database in the workspace, or a server."""

from __future__ import annotations

import logging
import os
import re
import textwrap
import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tenfold._optional import require
from tenfold.errors import SettingError
from tenfold.records import Trial, canonical_json
from tenfold.tracking.connection import connect, is_server, shown, translated, write_ahead
from tenfold.tracking.heartbeat import SILENT_S, Heartbeat
from tenfold.tracking.run_files import RunFiles
from tenfold.tracking.tracker import RunStatus
from tenfold.workspace import Workspace

logger = logging.getLogger(__name__)

KEY_TAG = "tenfold.key"
LOCK_TAG = "tenfold.lock"
WORKSPACE_TAG = "tenfold.workspace"
REASON_TAG = "tenfold.reason"
REPORTED_TAG = "tenfold.reported"
REUSED_TAG = "tenfold.reused"
BEAT_TAG = "tenfold.heartbeat"
_PARENT_TAG = "mlflow.parentRunId"
_FLUSH_S = 2.0
_LONGEST_TEXT = 5000
_LARGEST_BATCH = 900  # MLflow takes 1,000 values at once, parameters and tags among them
_ASKED_AT_ONCE = 500


@dataclass
class _Pending:
    """What is not written yet of a run."""

    since: float
    params: list[Any] = field(default_factory=list)
    metrics: list[Any] = field(default_factory=list)


class MlflowTracker:
    """Remembers in MLflow: an SQLite file in the workspace, or `MLFLOW_TRACKING_URI`.

    A database costs a transaction for each call, and a server a request too; so what a run says
    is gathered and written at most every two seconds, and when it ends.

    Args:
        workspace: Holds the database, the artifacts and the locks.
        experiment: Name of the MLflow experiment, unless `MLFLOW_EXPERIMENT_NAME` gives another;
            made when first used. None: MLflow's default.
        clock: Seconds since 1970.

    Raises:
        SettingError: `MLFLOW_EXPERIMENT_NAME` holds what cannot name a folder.
        TrackingError: The store cannot be reached or made.
    """

    def __init__(
        self,
        workspace: Workspace,
        experiment: str | None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        experiment = experiment and _experiment_name(experiment)
        self._workspace = workspace
        self._clock = clock
        self.uri = os.environ.get("MLFLOW_TRACKING_URI") or workspace.tracking_uri
        self._pending: dict[str, _Pending] = {}
        self._lock = threading.Lock()
        self._heartbeat = Heartbeat(self._beat)
        # Three processes that create the same database at once all fail.
        with workspace.locked("init"), translated(self.uri):
            self._client = connect(self.uri)
            self._entities = require("mlflow.entities")
            self._experiment = self._opened(experiment)
            if self.uri == workspace.tracking_uri:
                write_ahead(workspace.home / "mlflow.db")
        self._files = RunFiles(self.uri, self._client)
        self._close_stale()

    def finished(self) -> Mapping[str, str]:
        """Return the run of every finished trial, by the digest of its key."""
        runs = self._search(f"attributes.status = 'FINISHED' and tags.`{KEY_TAG}` != ''")
        found: dict[str, str] = {}
        for run in runs:  # the newest first
            if found.setdefault(run.data.tags[KEY_TAG], run.info.run_id) == run.info.run_id:
                self._files.remember(run)
        return found

    def is_finished(self, run_id: str) -> bool:
        """Say whether a run is there and finished."""
        finished = f"attributes.status = 'FINISHED' and attributes.run_id = '{run_id}'"
        return any(True for _ in self._search(finished))

    def begin(
        self, name: str, *, lock: str, params: Mapping[str, Any], tags: Mapping[str, str]
    ) -> str:
        """Start an experiment's parent run, alive while `lock` is held, and return its id."""
        tags = {**tags, LOCK_TAG: lock}
        if is_server(self.uri):
            tags[BEAT_TAG] = str(int(self._clock()))
        run_id = self._start(name, params, tags)
        if is_server(self.uri):
            self._heartbeat.add(run_id)
        self._flush(run_id)
        return run_id

    def start(self, trial: Trial, key: str, *, parent: str) -> str:
        """Start a trial's run below its parent and return its id."""
        stage = " refit" if trial.refit else ""
        tags = {
            _PARENT_TAG: parent,
            KEY_TAG: key,
            LOCK_TAG: key,
            "tenfold.model": trial.model,
            "tenfold.stage": "refit" if trial.refit else "train",
        }
        params = {**trial.params, "seed": trial.seed, "model": trial.model}
        return self._start(f"{trial.title} {trial.label}".rstrip() + stage, params, tags)

    def step(self, run_id: str, step: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of one step; written every two seconds and at the end."""
        now = self._clock()
        with self._lock:
            pending = self._pending.setdefault(run_id, _Pending(now))
            pending.metrics += self._made(metrics, step)
            due = now - pending.since > _FLUSH_S
        if due:
            self._flush(run_id)

    def finish(self, run_id: str, folder: Path | None, metrics: Mapping[str, float]) -> None:
        """Keep a trial's files and metrics, then mark its run finished."""
        if folder is not None:
            self._files.put(run_id, sorted(folder.iterdir()))
        self._terminate(run_id, "FINISHED", metrics)

    def fail(self, run_id: str, reason: str, *, status: RunStatus = "FAILED") -> None:
        """End a run that did not finish, with the reason."""
        reason = shown(reason, self.uri)
        with translated(self.uri):
            self._client.log_text(run_id, reason, "traceback.txt")
        self._terminate(run_id, status, {}, tags={REASON_TAG: reason[:_LONGEST_TEXT]})

    def folder(
        self, run_id: str, *, only: Container[str] | None = None
    ) -> AbstractContextManager[Path]:
        """Give the folder with a finished trial's files, for as long as the block lasts."""
        return self._files.folder(run_id, only=only)

    def names(self, run_id: str) -> Sequence[str]:
        """Return the names of a finished trial's files."""
        return self._files.names(run_id)

    def attach(self, run_id: str, files: Sequence[Path]) -> None:
        """Add files to those of a finished trial; one of the same name is replaced."""
        self._files.put(run_id, files)

    def drop(self, run_id: str, names: Iterable[str]) -> None:
        """Remove files from those of a finished trial, where they are there."""
        self._files.drop(run_id, names)

    def unreported(self, run_ids: Sequence[str]) -> Sequence[str]:
        """Return those of the runs to which no report was added yet."""
        reported: set[str] = set()
        for start in range(0, len(run_ids), _ASKED_AT_ONCE):
            asked = ", ".join(f"'{run_id}'" for run_id in run_ids[start : start + _ASKED_AT_ONCE])
            condition = f"tags.`{REPORTED_TAG}` = 'true' and attributes.run_id IN ({asked})"
            reported |= {run.info.run_id for run in self._search(condition)}
        return [run_id for run_id in run_ids if run_id not in reported]

    def report(self, run_id: str, metrics: Mapping[str, float], files: Sequence[Path]) -> None:
        """Add what was computed after the test set was opened."""
        self._files.put(run_id, files, below="figures")
        with translated(self.uri):
            self._client.log_batch(
                run_id,
                metrics=self._made(metrics, 0),
                tags=[self._entities.RunTag(REPORTED_TAG, "true")],
            )

    def end(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        files: Sequence[Path],
        *,
        params: Mapping[str, Any] | None = None,
        reused: Sequence[str] = (),
    ) -> None:
        """Finish an experiment's parent run; its tag names trials that are nested elsewhere."""
        self._files.put(run_id, files)
        with self._lock:
            pending = self._pending.setdefault(run_id, _Pending(self._clock(), []))
            pending.params.extend(self._params(params or {}))
        # As many as a tag holds; the report has them all.
        named = textwrap.shorten(" ".join(reused), _LONGEST_TEXT, placeholder=" …")
        self._terminate(run_id, "FINISHED", metrics, tags={REUSED_TAG: named} if reused else None)

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
        with translated(self.uri):
            run = self._client.create_run(
                self._experiment,
                tags={**tags, WORKSPACE_TAG: self._workspace.identity},
                run_name=name,
            )
        self._files.remember(run)
        with self._lock:
            self._pending[run.info.run_id] = _Pending(self._clock(), self._params(params))
        return str(run.info.run_id)

    def _terminate(
        self,
        run_id: str,
        status: RunStatus,
        metrics: Mapping[str, float],
        *,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self._heartbeat.remove(run_id)
        self._flush(run_id, metrics=self._made(metrics, 0), tags=tags)
        with self._lock:
            self._pending.pop(run_id, None)
        with translated(self.uri):
            self._client.set_terminated(run_id, status)

    def _beat(self, run_id: str) -> None:
        with translated(self.uri):
            self._client.set_tag(run_id, BEAT_TAG, str(int(self._clock())))

    def _close_stale(self) -> None:
        """End the runs whose process is gone."""
        # MLflow quotes with one kind of quote only, so a path is compared here, not in the query.
        running = "attributes.status = 'RUNNING'"
        found = {run.info.run_id: run for run in self._search(running)}
        stale = {
            run_id
            for run_id, run in found.items()
            if WORKSPACE_TAG in run.data.tags and self._is_stale(run, found)
        }
        # Asked again: a run may have ended before its lock was looked at.
        for run in list(self._search(running)) if stale else ():
            if run.info.run_id in stale:
                logger.info("closing %s, whose process is gone", run.info.run_name)
                self.fail(run.info.run_id, "its process ended without a word", status="KILLED")

    def _is_stale(self, run: Any, running: Mapping[str, Any]) -> bool:
        """Say whether a run's process is gone, among all runs that are marked running.

        In this workspace, the lock is free then; elsewhere, its experiment was silent for long.
        """
        tags = run.data.tags
        if self._is_here(tags[WORKSPACE_TAG]):
            return not self._workspace.is_held(tags[LOCK_TAG])
        parent = running.get(tags.get(_PARENT_TAG, run.info.run_id))
        beat = parent.data.tags.get(BEAT_TAG) if parent is not None else None
        if parent is not None and beat is None:
            return False  # written to a database without a server: nobody can tell
        last = max(run.info.start_time / 1000, float(beat or 0))
        silent_s: float = self._clock() - last
        return silent_s > SILENT_S

    def _is_here(self, identity: str) -> bool:
        """Say whether a run is of this workspace, perhaps under the name that it had before.

        The folder may have been moved, or a new container given its machine another name.
        """
        mine = self._workspace.identity
        if identity == mine or self.uri != self._workspace.tracking_uri:
            return identity == mine
        machine, _, home = identity.partition(":")
        moved = machine == mine.partition(":")[0] and not Path(home).exists()
        return moved or home == str(self._workspace.home)

    def _search(self, condition: str) -> Iterator[Any]:
        with translated(self.uri):
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

    def _params(self, params: Mapping[str, Any]) -> list[Any]:
        texts = {
            key: value if isinstance(value, str) else canonical_json(value)
            for key, value in params.items()
        }
        return [self._entities.Param(key, text) for key, text in texts.items()]

    def _made(self, metrics: Mapping[str, float], step: int) -> list[Any]:
        now = int(self._clock() * 1000)
        return [
            self._entities.Metric(name, float(value), now, step) for name, value in metrics.items()
        ]

    def _flush(
        self, run_id: str, *, metrics: Sequence[Any] = (), tags: Mapping[str, str] | None = None
    ) -> None:
        """Write what is pending of a run, and what else is given, in as few calls as can be."""
        with self._lock:
            pending = self._pending.get(run_id, _Pending(0))
            self._pending[run_id] = _Pending(self._clock())
        made = [*pending.metrics, *metrics]
        given: dict[str, Any] = {
            "params": pending.params,
            "tags": [self._entities.RunTag(name, text) for name, text in (tags or {}).items()],
        }
        with translated(self.uri):
            for start in range(0, max(1, len(made)), _LARGEST_BATCH):
                part = made[start : start + _LARGEST_BATCH]
                if part or any(given.values()):
                    self._client.log_batch(run_id, metrics=part, **given)
                given = {}


def _experiment_name(default: str) -> str:
    """Return what MLflow calls the experiment; it names the folder of its artifacts, too."""
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or default
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,127}", name):
        raise SettingError(
            f"MLFLOW_EXPERIMENT_NAME is {name!r}: allowed are up to 128 letters, digits, spaces, "
            "'.', '_' and '-', a letter or digit first"
        )
    return name
