"""Requests to the workers of a cluster, and what comes back."""

from __future__ import annotations

import json
import queue
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from tenfold.cluster.connection import translated
from tenfold.errors import (
    StorageError,
    TenfoldError,
    TrackingError,
    TrialError,
    TrialMemoryError,
    TrialStoppedError,
    TrialTimeoutError,
    WorkerDiedError,
    WorkerKilledError,
)
from tenfold.records import canonical_json
from tenfold.worker import OnEvent

_LOOK_S = 2.0
#: Seconds that a worker which is gone has to come back, where all others refuse a request.
_GRACE_S = 60.0
#: Errors of a worker that are raised here as what they are; any other costs the trial.
_KINDS: dict[str, type[TenfoldError]] = {
    kind.__name__: kind
    for kind in (
        StorageError,
        TrackingError,
        TrialMemoryError,
        TrialTimeoutError,
        WorkerDiedError,
        WorkerKilledError,
    )
}


class Pending(Protocol):
    """A task of the cluster."""

    def result(self) -> str:
        """Wait for the task and return what `work` returned."""
        ...

    def cancel(self) -> None:
        """Say that nobody waits for it any more."""
        ...


#: Starts `work` with a request somewhere: ``submit(name, request, workers)``, where workers are
#: the addresses that may take it, or none where each may.
Submit = Callable[[str, str, Sequence[str]], Pending]


class Desk:
    """Sends requests to the workers, and hands what comes back to whom it belongs.

    A worker that refuses a request is not asked again for its like, unless it says that its reason
    may pass. One that its nanny starts again comes back under another address.

    Args:
        client: Connected to the scheduler.
        tracking_uri: Of the tracking server, for workers that have no `MLFLOW_TRACKING_URI`.
        submit: Starts a task.
    """

    def __init__(self, client: Any, tracking_uri: str, submit: Submit) -> None:
        self._client = client
        self._tracking_uri = tracking_uri
        self._submit = submit
        self._topic = f"tenfold-{uuid.uuid4().hex}"
        self._inboxes: dict[str, queue.SimpleQueue[tuple[str, Any]]] = {}
        self._refusals: dict[str, dict[str, str]] = {}
        self._seen: set[str] = set()
        self._closed = threading.Event()
        client.subscribe_topic(self._topic, self._hear)

    def ask(
        self, name: str, asked: Mapping[str, Any], *, on_event: OnEvent, until: float | None
    ) -> Mapping[str, Any]:
        """Return the answer of a worker that does not refuse.

        Args:
            name: What a person calls the unit.
            asked: The request, as for `work`.
            on_event: Is given the events that the worker sends, in this thread.
            until: ``time.monotonic()`` at which nobody waits any more; None: never.

        Raises:
            TrialError: As `ClusterCaller.call` raises it.
            TrialTimeoutError: Nobody waits any more.
            ClusterError: The scheduler went away.
        """
        payload = asked["payload"]
        scope = canonical_json([payload["numerics"], payload["dataset"], asked["sources"]])
        lasting = self._refusals.setdefault(scope, {})
        passing: dict[str, str] = {}
        while True:
            workers = self._willing({**lasting, **passing}, until)
            call = uuid.uuid4().hex
            inbox = self._inboxes[call] = queue.SimpleQueue()
            request = {
                **asked,
                "tracking_uri": self._tracking_uri,
                "topic": self._topic,
                "call": call,
            }
            try:
                pending = self._submit(name, json.dumps(request), workers)
                answer = self._wait(pending, inbox, workers, on_event, until)
            finally:
                del self._inboxes[call]
            if answer is None:
                continue
            if "refused" not in answer:
                return _checked(answer)
            refusals = passing if answer.get("passing") else lasting
            refusals[answer["worker"]] = answer["refused"]

    def check_open(self) -> None:
        """Do nothing until this desk is closed.

        Raises:
            TrialStoppedError: It is.
        """
        if self._closed.is_set():
            raise TrialStoppedError("the run was stopped before this trial started")

    def close(self) -> None:
        """End every call under way with `TrialStoppedError`."""
        self._closed.set()
        for inbox in list(self._inboxes.values()):
            inbox.put(("stop", None))

    def _willing(self, refusals: Mapping[str, str], until: float | None) -> list[str]:
        """Return the workers that have not refused; none where each may be asked.

        Where all that are there have refused, and one that has not is gone, wait for it.
        """
        patience = time.monotonic() + _GRACE_S
        while True:
            self.check_open()
            present = self._present()
            self._seen.update(present)
            refused = [worker for worker in present if worker in refusals]
            if not refused:
                return []
            if len(refused) < len(present):
                return [worker for worker in present if worker not in refusals]
            if time.monotonic() >= patience:
                self._seen.intersection_update(present)  # who stays away is waited for once
            if self._seen <= refusals.keys():
                lines = sorted({f"{worker}: {refusals[worker]}" for worker in refused})
                raise TrialError(f"no worker of the cluster may run it: {'; '.join(lines)}")
            _check_time(until)
            self._closed.wait(_LOOK_S)

    def _present(self) -> list[str]:
        return list(self._client.scheduler_info(n_workers=-1)["workers"])

    def _hear(self, event: tuple[float, str]) -> None:
        call, message = json.loads(event[1])
        inbox = self._inboxes.get(call)
        if inbox is not None:
            inbox.put(("event", message))

    def _wait(
        self,
        pending: Pending,
        inbox: queue.SimpleQueue[tuple[str, Any]],
        workers: Sequence[str],
        on_event: OnEvent,
        until: float | None,
    ) -> Mapping[str, Any] | None:
        """Return the task's answer; None where those that may take it are gone."""
        threading.Thread(target=_report, args=(pending, inbox), daemon=True).start()
        try:
            while True:
                try:
                    kind, value = inbox.get(timeout=_LOOK_S)
                except queue.Empty:
                    kind, value = "nothing", None
                if kind == "answer":
                    answer: Mapping[str, Any] = json.loads(value)
                    return answer
                if kind == "error":
                    raise translated(value, self._client)
                if kind == "event":
                    on_event(value)
                if kind == "stop" or self._closed.is_set():
                    raise TrialStoppedError("the run was stopped while this trial was running")
                _check_time(until)
                if kind == "nothing" and workers and not set(workers) & set(self._present()):
                    return None
        finally:
            pending.cancel()  # where it is done, nothing happens


def _check_time(until: float | None) -> None:
    if until is not None and time.monotonic() > until:
        raise TrialTimeoutError("the experiment's time was up")


def _report(pending: Pending, inbox: queue.SimpleQueue[tuple[str, Any]]) -> None:
    try:
        inbox.put(("answer", pending.result()))
    # Whatever it is, it belongs to the thread that waits. A cancelled future is no Exception.
    except BaseException as error:
        inbox.put(("error", error))


def _checked(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the function answered, or raise its error as a worker process would."""
    if "error" not in answer:
        found: Mapping[str, Any] = answer["answer"]
        return found
    name, text = answer["error"]
    raise _KINDS.get(name, TrialError)(text)
