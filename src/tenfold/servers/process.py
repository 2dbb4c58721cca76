"""A server process, and the small one beside it that ends it with its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

from tenfold._optional import require
from tenfold.errors import PortTakenError, ServerError
from tenfold.files import write_text

LOOPBACK = "127.0.0.1"
_START_LIMIT_S = 120.0
_POLL_S = 0.1
_ANSWER_S = 2.0
_END_S = 3.0
_LOG_LINES = 5


@dataclass(frozen=True)
class ServerPlan:
    """How a server is started and found.

    Args:
        name: What a person calls it.
        command: Starts it; it goes on until it is ended.
        url: Where its page is.
        health: An address that answers once it is ready; empty: it is ready when it runs.
        log: Takes what it prints; replaced at every start.
        environ: Variables set for it, beside those of this process; None removes one.
        folder: What it works in.
        starting: Makes a context within which it starts; the first to start may make a database.
        end_limit_s: How long its end may take once it is asked for; then it is killed.
    """

    name: str
    command: Sequence[str]
    url: str
    health: str
    log: Path
    folder: Path
    environ: Mapping[str, str | None] = field(default_factory=dict)
    starting: Callable[[], ExitStack] = ExitStack
    end_limit_s: float = _END_S


class Server:
    """A running server; it and all that it starts end when this object or this process does.

    A small process of our own lies between: it holds a pipe from this process, and ends the server
    when the pipe closes, whatever closed it.

    Args:
        plan: What to start.

    Raises:
        StorageError: The folder of its log cannot be written.
    """

    def __init__(self, plan: ServerPlan) -> None:
        self._plan = plan
        self._starting = plan.starting()
        write_text(plan.log, "")
        environ = {**os.environ, **plan.environ}
        watching = f"from tenfold.servers import watch; watch({float(plan.end_limit_s)})"
        with plan.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 our own words
                [sys.executable, "-c", watching, *plan.command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=plan.folder,
                env={name: value for name, value in environ.items() if value is not None},
                start_new_session=True,  # Ctrl-C is for this process, which ends its servers
            )

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self._plan.name

    @property
    def url(self) -> str:
        """Where its page is."""
        return self._plan.url

    @property
    def pid(self) -> int:
        """The process that lives as long as the server."""
        return self._process.pid

    def wait_until_ready(self, limit_s: float = _START_LIMIT_S) -> None:
        """Return once it answers.

        Raises:
            ServerError: It ended, or did not answer in time; the message has its last words.
        """
        deadline = time.monotonic() + limit_s
        with self._starting:
            while self._plan.health and not answers(self._plan.health):
                if self.ended(within_s=_POLL_S):
                    raise ServerError(self.describe_end())
                if time.monotonic() > deadline:
                    self.end()
                    raise ServerError(
                        f"{self.name} did not answer at {self._plan.health} within {limit_s:g} s: "
                        f"{self._last_words()}"
                    )

    def ended(self, *, within_s: float) -> bool:
        """Say whether it ended, or does within some seconds."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=within_s)
        return self._process.poll() is not None

    def describe_end(self) -> str:
        """Return a line that says how it ended by itself, with its last words."""
        return f"{self.name} ended by itself: {self._last_words()}"

    def end(self) -> None:
        """End it and all that it started, and return when they are gone."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        self._process.wait()
        self._starting.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()

    def _last_words(self) -> str:
        lines = self._plan.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return " / ".join(lines[-_LOG_LINES:]) or f"it said nothing in {self._plan.log}"


def watch(end_limit_s: float) -> None:
    """Run the command in the arguments until it ends, or until standard input closes.

    The main function of the process between a command and its server.

    Args:
        end_limit_s: How long the end of the command may take.
    """
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    server = subprocess.Popen(  # noqa: S603 the words of `Server`
        sys.argv[1:],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_end_with_parent,  # noqa: PLW1509 there is no other thread yet
    )

    def end_after(wait: Callable[[], object]) -> None:
        wait()
        over.set()

    for wait in (lambda: os.read(0, 1), server.wait):
        threading.Thread(target=end_after, args=(wait,), daemon=True).start()
    over.wait()
    _end_tree(server.pid, end_limit_s)
    sys.exit(server.wait())


def _end_with_parent() -> None:
    """Let the system ask this process to end when its parent is killed; done on Linux.

    See prctl(2), PR_SET_PDEATHSIG, which is 1.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def answers(address: str) -> bool:
    """Say whether an address of this machine answers without an error; no proxy is asked."""
    try:
        with build_opener(ProxyHandler({})).open(address, timeout=_ANSWER_S):
            return True
    except (OSError, HTTPException):
        return False


def find_port(port: int | None, *, host: str = LOOPBACK) -> int:
    """Return the port if it is free, or a free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port or 0))
        except OSError as error:
            raise PortTakenError(
                f"cannot listen on {host}:{port}: {error.strerror}; "
                "end the program that has the port, or give another one"
            ) from error
        return int(probe.getsockname()[1])


def _end_tree(pid: int, limit_s: float) -> None:
    """End a process and all below it: politely, and after some seconds not."""
    psutil = require("psutil")
    try:
        top = psutil.Process(pid)
        tree = [*top.children(recursive=True), top]
    except psutil.NoSuchProcess:
        tree = []
    for process in tree:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, left = psutil.wait_procs(tree, timeout=limit_s)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=_END_S)
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)  # those whose parent ended before them
