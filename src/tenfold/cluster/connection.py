"""The connection to a Dask scheduler: made or refused in a line, and how its tasks fail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tenfold._optional import require
from tenfold.errors import ClusterError, TenfoldError, TrialError, UsageError, WorkerKilledError

_CONNECT_S = 30


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Give a client of a scheduler that has workers.

    Args:
        address: Of the scheduler.

    Raises:
        ClusterError: It cannot be reached, or has no workers.
        UsageError: It asks for TLS, and there are no certificates.
    """
    distributed = require("distributed")
    if address.startswith("tls:"):
        context = distributed.Security().get_connection_args("client").get("ssl_context")
        if context is None:
            raise UsageError(
                f"--cluster is {address!r}, and Dask knows no certificates for it: set "
                "DASK_DISTRIBUTED__COMM__TLS__CA_FILE, ...__TLS__CLIENT__CERT and "
                "...__TLS__CLIENT__KEY (docs/scaling.md)"
            )
    try:
        client = distributed.Client(address, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise ClusterError(
            f"no Dask scheduler answers at {address} ({error}); start one with `dask scheduler`, "
            "or correct --cluster"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_CONNECT_S)
        except TimeoutError as error:
            raise ClusterError(
                f"the Dask scheduler at {address} has no workers; start one on each machine with "
                f"`dask worker {address} --nthreads 1`, then run the same command again"
            ) from error
        yield client


def translated(error: BaseException, client: Any) -> TenfoldError:
    """Return the error of a task as one of ours.

    Args:
        error: What waiting for the task raised.
        client: The client that it was submitted with.
    """
    distributed = require("distributed")
    if isinstance(error, TenfoldError):
        return error
    if isinstance(error, distributed.KilledWorker):
        return WorkerKilledError(
            "its Dask worker died, and so did each that took its place (the system may have run "
            f"out of memory): {error}".splitlines()[0]
        )
    if client.status != "running" or type(error).__name__ == "FutureCancelledError":
        return ClusterError(
            f"the Dask scheduler went away ({error}); start it and its workers, then run the same "
            "command again: finished trials are not run again"
        )
    return TrialError(f"{type(error).__name__}: {error}")
