"""The connection to a Prefect server: its environment, its check, its loss, what is sent last."""

from __future__ import annotations

import os
import queue
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tenfold._optional import require
from tenfold.config import without_password
from tenfold.errors import ServerError, TenfoldError, UnreachableServerError

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


def is_loss(error: BaseException) -> bool:
    """Say whether an error is one of Prefect's: its server did not answer, or answered an error."""
    import httpx  # Prefect's client

    # What starts a client wraps it in an error of another kind.
    causes = (error, error.__cause__)
    return not isinstance(error, TenfoldError) and any(
        isinstance(cause, httpx.HTTPError) for cause in causes
    )


def went_away(error: BaseException, api: str) -> ServerError:
    """Return the error of a run whose server went away before there was a result.

    Args:
        error: Prefect's.
        api: The server's address.
    """
    return ServerError(
        f"the Prefect server at {without_password(api)} no longer answers ({first_line(error)}); "
        "start it, or leave it out with --executor local, and run the same command again: finished "
        "trials are not run again"
    )


def first_line(error: BaseException) -> str:
    """Return what an error says first, with no password; of one that says nothing, its name."""
    return without_password((str(error).splitlines() or [repr(error)])[0])


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
        raise UnreachableServerError(
            f"no Prefect server answers at PREFECT_API_URL={without_password(api)!r} "
            f"({first_line(error)}); start one with `tenfold up`, correct the address (it ends "
            "with /api), or unset PREFECT_API_URL"
        ) from error


def _flush() -> None:
    """Send what is queued, and wait until it is sent; forget it where nobody takes it any more."""
    from prefect.client.orchestration import get_client
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    with get_client(sync_client=True) as client:
        is_there = client.api_healthcheck() is None
    for worker in (APILogWorker, EventsWorker):
        if not is_there:
            _forget(worker)
        worker.drain_all(timeout=_FLUSH_S if is_there else 0)


def _forget(worker: Any) -> None:
    """Empty the queues of a worker of Prefect's.

    It has no other way to be told, and would try for seconds with each piece, also when the process
    wants to end.
    """
    for instance in list(worker._instances.values()):  # noqa: SLF001
        with suppress(queue.Empty):
            while True:
                instance._queue.get_nowait()  # noqa: SLF001
