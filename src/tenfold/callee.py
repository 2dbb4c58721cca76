"""The worker's side of a call: it answers on pipes until its parent is gone."""

from __future__ import annotations

import importlib
import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from tenfold.heap import cycles_left

Emit = Callable[[Mapping[str, Any]], None]


class _StoppedByParentError(BaseException):
    """The parent wants no answer any more; no ``except Exception`` of a library may catch it."""


@cycles_left()
def serve(lifeline: int) -> None:
    """Answer calls from standard input until it closes; the main loop of a worker process.

    Args:
        lifeline: The end of a pipe whose other end only the parent holds.
    """
    _end_with(lifeline)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    calls: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    busy, stopping = threading.Event(), threading.Event()

    def send(message: Mapping[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    def emit(event: Mapping[str, Any]) -> None:
        if stopping.is_set():
            raise _StoppedByParentError
        send({"event": event})

    threading.Thread(target=_listen, args=(calls, busy, stopping), daemon=True).start()
    while (line := calls.get()) is not None:
        busy.set()
        stopping.clear()  # it was for the call before, which had come to its end by itself
        request = json.loads(line)
        try:
            answer = resolve(request["call"])(request["payload"], emit)
            send({"answer": answer})
        except _StoppedByParentError:
            send({"stopped": True})
        except Exception as error:
            send({"error": describe(error)})
        busy.clear()


def _end_with(lifeline: int) -> None:
    """Let the system end this process when the other end of a pipe closes.

    A thread that waits for it would not do: some libraries, Intel's support vector machine for one,
    keep every Python thread waiting until a fit is over. See fcntl(2), O_ASYNC; elsewhere than on
    Linux the thread that reads the calls has to do.
    """
    if sys.platform == "linux":
        import fcntl
        import select

        signal.signal(signal.SIGIO, signal.SIG_DFL)  # whose default is to end the process
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
        flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)
        if select.select([lifeline], [], [], 0)[0]:  # it closed before anybody was told
            os._exit(1)


def _listen(
    calls: queue.SimpleQueue[str | None], busy: threading.Event, stopping: threading.Event
) -> None:
    """Take what the parent sends, also while a call runs."""
    for line in sys.stdin:
        if "stop" in json.loads(line):
            stopping.set()
        else:
            calls.put(line)
    calls.put(None)
    if busy.is_set():
        os._exit(1)  # the parent is gone: nobody waits for the answer


def resolve(function: str) -> Callable[[Mapping[str, Any], Emit], Mapping[str, Any]]:
    """Return the function that ``package.module:function`` names."""
    module, _, name = function.partition(":")
    found: Callable[[Mapping[str, Any], Emit], Mapping[str, Any]] = getattr(
        importlib.import_module(module), name
    )
    return found


def describe(error: Exception) -> str:
    """Return a first line for people, then the traceback for the tracker."""
    first = f"{type(error).__name__}: {error}".splitlines()[0]
    return first + "\n" + "".join(traceback.format_exception(error))
