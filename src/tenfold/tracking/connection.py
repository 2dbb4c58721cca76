"""The connection to MLflow: made quickly or refused, and every error of it in a line."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from tenfold._optional import require
from tenfold.config import without_password
from tenfold.errors import TrackingError

_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # Standard output belongs to the results.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
# With MLflow's back-off an address at which nobody listens is told after about 6 s. Once it has
# answered, MLflow's own patience of some minutes lets a server that restarts come back.
_FIRST_TRIES = 3


def is_server(uri: str) -> bool:
    """Say whether a tracking URI names a server, which other machines may write to as well."""
    return uri.startswith(("http://", "https://"))


def connect(uri: str) -> Any:
    """Return an MLflow client.

    Args:
        uri: The tracking URI.

    Raises:
        TrackingError: Nobody answers there, or the database cannot be opened.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    with translated(uri):
        mlflow = require("mlflow")
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        logging.getLogger("mlflow.store").setLevel(logging.CRITICAL)  # it is raised as well
        logging.getLogger("alembic").setLevel(logging.WARNING)
        if is_server(uri):
            rest, credentials = (
                require("mlflow.utils.rest_utils"),
                require("mlflow.utils.credentials"),
            )
            rest.http_request(
                credentials.get_default_host_creds(uri),
                "/health",
                "GET",
                max_retries=_FIRST_TRIES,
                backoff_factor=1,
                raise_on_status=False,
            )
        return mlflow.MlflowClient(tracking_uri=uri)


def write_ahead(database: Path) -> None:
    """Let a local database write each change once, and be read meanwhile.

    SQLite's usual journal writes it twice and waits three times for the disk: a run cost twice the
    time. Where the file system cannot do it, or others have the file open, all stays as it is.
    """
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(database)) as opened:
        if opened.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            opened.execute("PRAGMA journal_mode = WAL")


@contextmanager
def translated(uri: str) -> Iterator[None]:
    """Turn MLflow's and the database's errors into ours, without the address's password."""
    try:
        yield
    except TrackingError:
        raise
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise TrackingError(
            f"MLflow at {without_password(uri)} failed: {shown(reason, uri)}; check that it can be "
            "reached and written, then run the same command again: finished trials are not run "
            "again"
        ) from error


def shown(text: str, uri: str) -> str:
    """Return a text, an error's for example, in which the tracking URI has no password."""
    return text.replace(uri.rstrip("/"), without_password(uri).rstrip("/"))
