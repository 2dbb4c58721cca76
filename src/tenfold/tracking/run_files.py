"""The files that are kept with runs: in the workspace, or on a server that hands them on."""

from __future__ import annotations

import tempfile
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from tenfold._optional import require
from tenfold.tracking.connection import connect, translated


class RunFiles:
    """Puts, reads and removes files of runs; needs no more of a tracking server than that.

    Args:
        uri: The tracking URI.
        client: MLflow's client for it; None: a new one.

    Raises:
        TrackingError: Nobody answers there.
    """

    def __init__(self, uri: str, client: Any = None) -> None:
        self.uri = uri
        self._client = client if client is not None else connect(uri)
        self._places: dict[str, str] = {}

    def remember(self, run: Any) -> None:
        """Remember where a run's files lie, so that nobody needs to be asked."""
        self._places[run.info.run_id] = run.info.artifact_uri

    def put(self, run_id: str, files: Iterable[Path], *, below: str | None = None) -> None:
        """Keep files with a run, one after the other; one of the same name is replaced.

        Args:
            run_id: The run.
            files: What to keep.
            below: A folder of the run; None: its own.

        Raises:
            TrackingError: They cannot be written.
        """
        with translated(self.uri):
            repository = self._repository(run_id)
            for path in files:
                repository.log_artifact(str(path), below)

    def names(self, run_id: str) -> Sequence[str]:
        """Return the names of a run's files, without those in folders.

        Raises:
            TrackingError: The server cannot be reached.
        """
        with translated(self.uri):
            found = self._repository(run_id).list_artifacts()
            return [item.path for item in found if not item.is_dir]

    @contextmanager
    def folder(self, run_id: str, *, only: Container[str] | None = None) -> Iterator[Path]:
        """Give a folder with a run's files: the real one, or a copy for as long as the block lasts.

        Args:
            run_id: The run.
            only: Names of the files that are fetched; None: all of the run's own folder.

        Raises:
            TrackingError: The server cannot be reached.
        """
        location = urlparse(self._place(run_id))
        if location.scheme in ("", "file"):
            yield Path(unquote(location.path))
            return
        with tempfile.TemporaryDirectory(prefix="tenfold-") as folder:
            wanted = [name for name in self.names(run_id) if only is None or name in only]
            with translated(self.uri):
                repository = self._repository(run_id)
                for name in wanted:
                    repository.download_artifacts(name, folder)
            yield Path(folder)

    def drop(self, run_id: str, names: Iterable[str]) -> None:
        """Remove files of a run, where they are there.

        Raises:
            TrackingError: The server cannot be reached, or does not let them be removed.
        """
        there = set(self.names(run_id))
        with translated(self.uri):
            for name in names:
                if name in there:
                    self._repository(run_id).delete_artifacts(name)

    def _place(self, run_id: str) -> str:
        if run_id not in self._places:
            with translated(self.uri):
                self.remember(self._client.get_run(run_id))
        return self._places[run_id]

    def _repository(self, run_id: str) -> Any:
        registry = require("mlflow.store.artifact.artifact_repository_registry")
        return registry.get_artifact_repository(self._place(run_id), tracking_uri=self.uri)
