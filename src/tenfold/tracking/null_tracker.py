"""The tracker that forgets."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tenfold.records import Trial
from tenfold.tracking.tracker import RunStatus


class NullTracker:
    """Keeps the files of this experiment until it is closed, and remembers nothing."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tenfold-")
        self._count = 0
        self._lock = threading.Lock()

    def finished(self) -> Mapping[str, str]:
        """Return nothing: every trial is run."""
        return {}

    def is_finished(self, run_id: str) -> bool:  # noqa: ARG002
        """Return False: no run is remembered."""
        return False

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

    def finish(self, run_id: str, folder: Path | None, metrics: Mapping[str, float]) -> None:  # noqa: ARG002
        """Keep the files until this tracker goes."""
        assert folder is not None, "nobody else can keep files with this tracker"
        shutil.copytree(folder, Path(self._folder.name) / run_id)

    def fail(self, run_id: str, reason: str, *, status: RunStatus = "FAILED") -> None:
        """Forget the reason."""

    @contextmanager
    def folder(self, run_id: str, *, only: Container[str] | None = None) -> Iterator[Path]:  # noqa: ARG002
        """Give the trial's folder."""
        yield Path(self._folder.name) / run_id

    def names(self, run_id: str) -> Sequence[str]:
        """Return the names of the trial's files."""
        return [path.name for path in (Path(self._folder.name) / run_id).iterdir()]

    def attach(self, run_id: str, files: Sequence[Path]) -> None:
        """Keep more files until this tracker goes."""
        for path in files:
            shutil.copy(path, Path(self._folder.name) / run_id)

    def drop(self, run_id: str, names: Iterable[str]) -> None:
        """Remove files of the trial."""
        for name in names:
            (Path(self._folder.name) / run_id / name).unlink(missing_ok=True)

    def unreported(self, run_ids: Sequence[str]) -> Sequence[str]:  # noqa: ARG002
        """Return nothing: a report has no place to go."""
        return ()

    def report(self, run_id: str, metrics: Mapping[str, float], files: Sequence[Path]) -> None:
        """Forget the report."""

    def end(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        files: Sequence[Path],
        *,
        params: Mapping[str, Any] | None = None,
        reused: Sequence[str] = (),
    ) -> None:
        """Forget the experiment."""
