"""The workspace: one folder with databases, artifacts, locks, jobs and results."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tenfold._optional import require
from tenfold.errors import StorageError

_LOOK_S = 1.0


def _wait_on() -> None:
    """Go on waiting."""


class Workspace:
    """The layout of the folder that tenfold works in.

    Args:
        home: The folder; made when first opened.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()

    def __repr__(self) -> str:
        return f"Workspace({str(self.home)!r})"

    @property
    def identity(self) -> str:
        """Machine and folder: whose locks say whether a tracked run is alive."""
        return f"{socket.gethostname()}:{self.home}"

    @property
    def tracking_uri(self) -> str:
        """Where MLflow remembers, unless `MLFLOW_TRACKING_URI` says otherwise."""
        return f"sqlite:///{self.home / 'mlflow.db'}"

    @property
    def artifacts(self) -> Path:
        """Where MLflow keeps files."""
        return self.home / "artifacts"

    @property
    def jobs(self) -> Path:
        """Where workers write before a result is remembered."""
        return self.home / "jobs"

    @property
    def checkpoints(self) -> Path:
        """Where trainings that are not finished keep their state, by the trial's key."""
        return self.home / "checkpoints"

    @property
    def graphs(self) -> Path:
        """Where the graphs of finished fits wait until the best are chosen, by the trial's key."""
        return self.home / "graphs"

    @property
    def prefect(self) -> Path:
        """Where the Prefect server of the workspace keeps its database and its log."""
        return self.home / "prefect"

    def results(self, experiment: str) -> Path:
        """Return the folder of an experiment's tables, figures and report."""
        return self.home / "results" / experiment

    def open(self) -> Workspace:
        """Make the folders and return self.

        Raises:
            StorageError: They cannot be made.
        """
        try:
            for folder in (self.artifacts, self.jobs, self.home / "locks"):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"cannot make the workspace {self.home}: {error.strerror}; "
                "set TENFOLD_HOME to a folder that can be written"
            ) from error
        return self

    @contextmanager
    def locked(self, *names: str, waiting: Callable[[], None] = _wait_on) -> Iterator[None]:
        """Hold one or more locks, waiting for whoever holds them; a dead holder's lock is free.

        Args:
            names: Of the locks.
            waiting: Called about every second while another holds one; what it raises ends the
                wait.

        Raises:
            StorageError: The lock files cannot be written.
        """
        with ExitStack() as stack:
            for name in sorted(set(names)):
                lock = self._lock(name)
                while not self._acquired(lock, timeout_s=_LOOK_S):
                    waiting()
                stack.callback(lock.release)
            yield

    def is_held(self, name: str) -> bool:
        """Say whether a living process holds a lock."""
        lock = self._lock(name)
        if not self._acquired(lock, timeout_s=0):
            return True
        lock.release()
        return False

    def _acquired(self, lock: Any, *, timeout_s: float) -> bool:
        try:
            lock.acquire(timeout=timeout_s)
        except require("filelock").Timeout:
            return False
        except OSError as error:
            raise StorageError(
                f"cannot lock {lock.lock_file}: {error.strerror or error}; make its folder "
                "writable, or set TENFOLD_HOME to a folder that is"
            ) from error
        return True

    def _lock(self, name: str) -> Any:
        return require("filelock").FileLock(
            self.home / "locks" / f"{name}.lock", is_singleton=False, thread_local=False
        )
