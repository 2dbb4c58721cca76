"""The executor that runs fit units on a Dask cluster, and the caller that each unit has there."""

from __future__ import annotations

import contextvars
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tenfold.cluster.connection import connected
from tenfold.cluster.desk import Desk, Submit
from tenfold.executor import Executor, Fit, as_they_come
from tenfold.machine import profile
from tenfold.records import FitUnit, TrialResult
from tenfold.remote import work
from tenfold.worker import OnEvent

_PREPARE = "tenfold.fitting:prepare"


class ClusterExecutor(Executor):
    """Runs units on the workers of a Dask cluster, one task each.

    This process starts and ends the trials' runs; a worker fits, and hands the files over to the
    tracking server. A unit whose worker dies is run again on another by Dask, and its run stays
    the same. A worker that would give other results refuses the unit, and another is asked.

    Args:
        address: Of the scheduler.
        tracking_uri: Of the tracking server, for workers that have no `MLFLOW_TRACKING_URI`.
        submit: Starts a task; None: as plain tasks of Dask.
    """

    def __init__(self, address: str, tracking_uri: str, *, submit: Submit | None = None) -> None:
        self.address = address
        self.tracking_uri = tracking_uri
        self.submit = submit

    def run(self, units: Sequence[FitUnit], fit: Fit) -> Iterator[tuple[TrialResult, ...]]:
        """Yield each unit's results as they come; closing the iterator ends what runs.

        Raises:
            ClusterError: The scheduler cannot be reached, has no workers, or went away.
            UsageError: It asks for TLS, and there are no certificates.
        """
        if not units:
            return
        with connected(self.address) as client:
            desk = Desk(client, self.tracking_uri, self.submit or _submitter(client))
            # Twice as many as fit at once: the next are waiting when a worker is ready, and a
            # cluster that grows to twice its size is used.
            with ThreadPoolExecutor(2 * sum(client.nthreads().values())) as pool:
                futures = [
                    pool.submit(
                        contextvars.copy_context().run, fit, unit, ClusterCaller(desk, unit.name)
                    )
                    for unit in units
                ]
                try:
                    yield from as_they_come(futures)
                finally:
                    for future in futures:
                        future.cancel()
                    desk.close()


class ClusterCaller:
    """Calls on a worker of a cluster for one unit.

    Args:
        desk: Takes the calls.
        name: What a person calls the unit.
    """

    def __init__(self, desk: Desk, name: str) -> None:
        self._desk = desk
        self._name = name
        self._until: float | None = None

    def call(
        self,
        function: str,
        payload: Mapping[str, Any],
        *,
        on_event: OnEvent,
        timeout_s: float | None = None,
        memory_limit_bytes: int | None = None,
    ) -> Mapping[str, Any]:
        """Call the function on a worker and return its answer.

        Args:
            function: ``package.module:function`` inside tenfold. Every worker prepares for itself;
                the limit of that call is what is left of the experiment's time.
            payload: JSON values, with ``runs``, the trials' runs by their keys.
            on_event: Is given each event; ``{"key", "done", "kept"}`` once for each trial.
            timeout_s: Seconds after which the worker ends the call.
            memory_limit_bytes: Resident bytes at which the worker ends the call.

        Raises:
            TrialError: The call failed, or every worker refused it.
            TrialStoppedError: The run was stopped meanwhile.
            TrackingError: The worker could not hand the files over.
            ClusterError: The scheduler went away.
        """
        if function == _PREPARE:
            self._desk.check_open()  # a unit that waits for another process comes by here alone
            self._until = None if timeout_s is None else time.monotonic() + timeout_s
            return {}
        asked = {
            "function": function,
            "payload": payload,
            "timeout_s": timeout_s,
            "memory_limit_bytes": memory_limit_bytes,
            "profile": profile(),
            "sources": {
                trial["model"]: payload["sources"][trial["model"]]
                for trial in payload["trials"]
                if ":" in trial["model"]
            },
        }
        done: set[str] = set()

        def told(event: Mapping[str, Any]) -> None:
            # A worker that takes a dead one's place says again what that one had said.
            if event["key"] not in done:
                if event.get("done"):
                    done.add(event["key"])
                on_event(event)

        answer = self._desk.ask(self._name, asked, on_event=told, until=self._until)
        for key in payload["keys"]:  # an event may be lost with the connection, the files are not
            told({"key": key, "done": True, "kept": True})
        return answer


def _submitter(client: Any) -> Submit:
    """Return what starts plain tasks of Dask."""

    def submit(name: str, request: str, workers: Sequence[str]) -> Any:
        return client.submit(
            work,
            request,
            key=f"{name}-{uuid.uuid4().hex}",
            workers=list(workers) or None,
            pure=False,
        )

    return submit
