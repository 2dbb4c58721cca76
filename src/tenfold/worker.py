"""Calling functions by name, in this process or in a worker process on pipes."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO, Any, Protocol

from tenfold._optional import require
from tenfold.callee import describe, resolve
from tenfold.errors import (
    TrialError,
    TrialMemoryError,
    TrialStoppedError,
    TrialTimeoutError,
    WorkerDiedError,
    WorkerKilledError,
)

Event = Mapping[str, Any]
OnEvent = Callable[[Event], None]
_POLL_S = 0.2
#: Seconds that a call which was told to stop has until its next event; about what a new process
#: needs until it is as warm as the old one.
_STOP_S = 5.0
_PROGRAM = "import sys; from tenfold.callee import serve; serve(int(sys.argv[1]))"


class Caller(Protocol):
    """Calls a function somewhere, by name, with plain JSON values in and out."""

    def call(
        self,
        function: str,
        payload: Mapping[str, Any],
        *,
        on_event: OnEvent,
        timeout_s: float | None = None,
        memory_limit_bytes: int | None = None,
    ) -> Mapping[str, Any]:
        """Call ``package.module:function`` with ``(payload, on_event)`` and return its answer.

        What `on_event` raises ends the call: it is raised here, as it is.
        """
        ...


class InlineCaller:
    """Calls in this process; a time or memory limit cannot be kept here and is ignored."""

    def call(
        self,
        function: str,
        payload: Mapping[str, Any],
        *,
        on_event: OnEvent,
        timeout_s: float | None = None,  # noqa: ARG002 part of the protocol
        memory_limit_bytes: int | None = None,  # noqa: ARG002 part of the protocol
    ) -> Mapping[str, Any]:
        """Call the function and return its answer; what `on_event` raises passes through it.

        Raises:
            TrialError: The function raised; the message has its traceback.
        """
        raised: list[BaseException] = []

        def told(event: Event) -> None:
            try:
                on_event(event)
            except BaseException as error:
                raised.append(error)
                raise

        try:
            answer: Mapping[str, Any] = resolve(function)(payload, told)
        except Exception as error:
            if not raised:
                raise TrialError(describe(error)) from error
        if raised:  # also where the function swallowed it
            raise raised[0]
        return answer


class WorkerProcess:
    """A Python process that is started when first called, and again after it was ended.

    Calls and answers are lines of JSON on pipes. A further pipe, the lifeline, carries nothing: it
    closes when this process dies, however it dies, and that ends the worker, so that no orphan
    computes on.

    Args:
        environ: Variables set for the process, beside those of this one.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._process: subprocess.Popen[str] | None = None
        self._lifeline: IO[bytes] | None = None
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 lives as long as this object
        self._closed = False
        self._changing = threading.Lock()  # a process must not start while another thread closes

    def call(
        self,
        function: str,
        payload: Mapping[str, Any],
        *,
        on_event: OnEvent,
        timeout_s: float | None = None,
        memory_limit_bytes: int | None = None,
    ) -> Mapping[str, Any]:
        """Call the function in the process and return its answer.

        Args:
            function: ``package.module:function`` inside tenfold.
            payload: JSON values.
            on_event: Is given each event that the function emits, in this thread. What it raises
                is raised here, after the function was stopped at its next event; the process lives
                on, unless that event does not come within some seconds.
            timeout_s: Seconds after which the process is ended.
            memory_limit_bytes: Resident bytes of the process and of those that it started at which
                it is ended.

        Raises:
            TrialError: The function raised; the message has its traceback.
            TrialTimeoutError: It ran too long.
            TrialMemoryError: It took too much memory.
            TrialStoppedError: `close` was called meanwhile.
            WorkerDiedError: The process ended without an answer; `WorkerKilledError` where it was
                killed.
        """
        process = self._started()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps({"call": function, "payload": payload}) + "\n")
            process.stdin.flush()
        except OSError as error:
            raise self._died() from error
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            try:
                line = self._lines.get(timeout=_POLL_S)
            except queue.Empty:
                line = ""
            if line is None:
                raise self._died()
            if line:
                message = json.loads(line)
                if "answer" in message:
                    answer: Mapping[str, Any] = message["answer"]
                    return answer
                if "error" in message:
                    raise TrialError(message["error"])
                try:
                    on_event(message["event"])
                except BaseException as error:
                    self._stop(wait_s=_STOP_S if isinstance(error, Exception) else 0)
                    raise
            self._keep_limits(process.pid, deadline, timeout_s, memory_limit_bytes)

    def close(self) -> None:
        """End the process; a call under way in another thread raises `TrialStoppedError`."""
        with self._changing:
            self._closed = True
            self._end()
        self._stderr.close()

    def _started(self) -> subprocess.Popen[str]:
        with self._changing:
            if self._closed:
                raise TrialStoppedError("the run was stopped before this trial started")
            if self._process is None or self._process.poll() is not None:
                self._process = self._start()
            return self._process

    def _start(self) -> subprocess.Popen[str]:
        self._cut_lifeline()
        self._lines = queue.SimpleQueue()
        self._stderr.seek(0)
        self._stderr.truncate()
        far_end, near_end = os.pipe()
        self._lifeline = os.fdopen(near_end, "wb", buffering=0)
        process = subprocess.Popen(  # noqa: S603 a constant program and a number
            [sys.executable, "-c", _PROGRAM, str(far_end)],
            pass_fds=[far_end],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            env={**os.environ, **self._environ},
            start_new_session=True,  # Ctrl-C is for the parent, which ends its workers
        )
        os.close(far_end)
        threading.Thread(target=_pump, args=(process.stdout, self._lines), daemon=True).start()
        return process

    def _stop(self, *, wait_s: float) -> None:
        """Stop the call under way and wait until it is over; where that takes long, end it."""
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.write(json.dumps({"stop": True}) + "\n")
            self._process.stdin.flush()
        deadline = time.monotonic() + wait_s
        while (left := deadline - time.monotonic()) > 0:
            with suppress(queue.Empty):
                line = self._lines.get(timeout=left)
                if line is None or "event" not in json.loads(line):
                    return
        self._end(at_once=True)

    def _keep_limits(
        self,
        pid: int,
        deadline: float | None,
        timeout_s: float | None,
        memory_limit_bytes: int | None,
    ) -> None:
        if deadline is not None and time.monotonic() > deadline:
            self._end(at_once=True)
            raise TrialTimeoutError(
                f"ran longer than timeout_s={timeout_s:g}; raise it, or make the model smaller"
            )
        if memory_limit_bytes is not None:
            resident = _resident_bytes(pid)
            if resident > memory_limit_bytes:
                self._end(at_once=True)
                raise TrialMemoryError(
                    f"took {resident >> 20} MiB, over memory_limit_mb={memory_limit_bytes >> 20}; "
                    "raise it, or make the model smaller"
                )

    def _died(self) -> TrialError:
        assert self._process is not None
        code = self._process.wait()
        if self._closed:
            return TrialStoppedError("the run was stopped while this trial was running")
        reason = f"signal {-code}" if code < 0 else f"exit code {code}"
        hint = " (the system may have run out of memory)" if code == -9 else ""
        self._stderr.seek(0)
        tail = self._stderr.read().decode(errors="replace").strip().splitlines()[-5:]
        kind = WorkerKilledError if code == -9 else WorkerDiedError
        return kind(f"its process ended with {reason}{hint}. {' / '.join(tail)}".strip())

    def _end(self, *, at_once: bool = False) -> None:
        process = self._process
        if process is None:
            return
        assert process.stdin is not None
        with suppress(OSError):
            process.stdin.close()  # the worker sees it and ends
        try:
            process.wait(timeout=0 if at_once else 2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._cut_lifeline()

    def _cut_lifeline(self) -> None:
        if self._lifeline is not None:
            self._lifeline.close()


def _pump(stream: Any, lines: queue.SimpleQueue[str | None]) -> None:
    with stream:
        for line in stream:
            lines.put(line)
    lines.put(None)


def _resident_bytes(pid: int) -> int:
    """Return the resident bytes of a process and of those below it, such as the ranks of a fit.

    What they share is counted once for each, so the sum is at least what they take.
    """
    psutil = require("psutil")
    total = 0
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += int(one.memory_info().rss)
    return total
