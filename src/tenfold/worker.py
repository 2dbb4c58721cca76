"""Calling functions by name, in this process or in a worker process on pipes."""

from __future__ import annotations

import importlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from tenfold._optional import require
from tenfold.errors import (
    TrialError,
    TrialMemoryError,
    TrialStoppedError,
    TrialTimeoutError,
    WorkerDiedError,
)

Event = Mapping[str, Any]
OnEvent = Callable[[Event], None]
_POLL_S = 0.2


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
        """Call ``package.module:function`` with ``(payload, on_event)`` and return its answer."""
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
        """Call the function and return its answer.

        Raises:
            TrialError: The function raised; the message has its traceback.
        """
        try:
            answer: Mapping[str, Any] = _resolve(function)(payload, on_event)
        except Exception as error:
            raise TrialError(_describe(error)) from error
        return answer


class WorkerProcess:
    """A Python process that is started when first called, and again after it was ended.

    Calls and answers are lines of JSON on pipes. When this process dies, the pipe closes and the
    worker ends itself, so that no orphan computes on.

    Args:
        environ: Variables set for the process, beside those of this one.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 lives as long as this object
        self._closed = False

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
            on_event: Is given each event that the function emits, in this thread.
            timeout_s: Seconds after which the process is ended.
            memory_limit_bytes: Resident bytes at which the process is ended.

        Raises:
            TrialError: The function raised; the message has its traceback.
            TrialTimeoutError: It ran too long.
            TrialMemoryError: It took too much memory.
            TrialStoppedError: `close` was called meanwhile.
            WorkerDiedError: The process ended without an answer.
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
                on_event(message["event"])
            self._keep_limits(process.pid, deadline, timeout_s, memory_limit_bytes)

    def close(self) -> None:
        """End the process; a call under way in another thread raises `TrialStoppedError`."""
        self._closed = True
        self._end()
        self._stderr.close()

    def _started(self) -> subprocess.Popen[str]:
        if self._closed:
            raise TrialStoppedError("the run was stopped before this trial started")
        if self._process is None or self._process.poll() is not None:
            self._lines = queue.SimpleQueue()
            self._stderr.seek(0)
            self._stderr.truncate()
            self._process = subprocess.Popen(
                [sys.executable, "-c", "from tenfold.worker import serve; serve()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                text=True,
                env={**os.environ, **self._environ},
                start_new_session=True,  # Ctrl-C is for the parent, which ends its workers
            )
            threading.Thread(
                target=_pump, args=(self._process.stdout, self._lines), daemon=True
            ).start()
        return self._process

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
        return WorkerDiedError(f"its process ended with {reason}{hint}. {' / '.join(tail)}".strip())

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


def serve() -> None:
    """Answer calls from standard input until it closes; the main loop of a worker process."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    calls: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    busy = threading.Event()

    def send(message: Mapping[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    def listen() -> None:
        for line in sys.stdin:
            calls.put(line)
        calls.put(None)
        if busy.is_set():
            os._exit(1)  # the parent is gone: nobody waits for the answer

    threading.Thread(target=listen, daemon=True).start()
    while (line := calls.get()) is not None:
        busy.set()
        request = json.loads(line)
        try:
            function = _resolve(request["call"])
            answer = function(request["payload"], lambda event: send({"event": event}))
            send({"answer": answer})
        except Exception as error:
            send({"error": _describe(error)})
        busy.clear()


def _resolve(function: str) -> Callable[[Mapping[str, Any], OnEvent], Mapping[str, Any]]:
    module, _, name = function.partition(":")
    found: Callable[[Mapping[str, Any], OnEvent], Mapping[str, Any]] = getattr(
        importlib.import_module(module), name
    )
    return found


def _describe(error: Exception) -> str:
    """Return a first line for people, then the traceback for the tracker."""
    first = f"{type(error).__name__}: {error}".splitlines()[0]
    return first + "\n" + "".join(traceback.format_exception(error))


def _pump(stream: Any, lines: queue.SimpleQueue[str | None]) -> None:
    with stream:
        for line in stream:
            lines.put(line)
    lines.put(None)


def _resident_bytes(pid: int) -> int:
    psutil = require("psutil")
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
