"""The connection to a Prefect server: its environment, its check, and what is sent at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tenfold._optional import require
from tenfold.errors import UnreachableServerError

_FLUSH_S = 30.0


@contextmanager
def connected(api: str) -> Iterator[None]:
    """Let Prefect talk to a server within the block; at its end, all logs and states are there.

    Args:
        api: The server's address, ``http://127.0.0.1:4200/api`` for example.

    Raises:
        MissingExtraError: Prefect is not installed.
        UnreachableServerError: No Prefect server answers there.
    """
    os.environ.setdefault("DO_NOT_TRACK", "1")
    require("prefect")
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: api}):
        _check(api)
        try:
            yield
        finally:
            _flush()


def _check(api: str) -> None:
    """Ask the server for its health and its version."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        error = client.api_healthcheck()
        try:
            if error is None:
                client.raise_for_api_version_mismatch()
        # Whatever else listens there may answer anything.
        except Exception as found:
            error = found
    if error is not None:
        first = (str(error).splitlines() or [repr(error)])[0]
        raise UnreachableServerError(
            f"no Prefect server answers at PREFECT_API_URL={api!r} ({first}); start one with "
            "`tenfold up`, correct the address (it ends with /api), or unset PREFECT_API_URL"
        ) from error


def _flush() -> None:
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (APILogWorker, EventsWorker):
        worker.drain_all(timeout=_FLUSH_S)
