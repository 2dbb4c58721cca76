"""Runs that are measured: each a process of its own, each a JSON file, between two yardsticks.

Machines are shared and differ. So before and after every run the *yardstick* is measured: some
steps of the classic PyTorch recipe, its per-image work included, given as the seconds that one
epoch of 938 steps would take. "Seconds at 50 s an epoch" are a run's seconds times 50 over the mean
of both: what it would have taken where that epoch takes 50 s, which is a quiet machine of 2 cores.

Every process is started with ``GOMP_SPINCOUNT=10000``. tenfold sets it for itself; without it the
plain loops, whose threads then spin as they wait, took five times as long beside other work.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from watch import Watch

from tenfold.files import write_text
from tenfold.machine import describe_machine

HERE = Path(__file__).parent
QUIET_EPOCH_S = 50.0

_CAPABILITIES = ("amx_bf16", "amx_tile", "avx2", "avx512_bf16", "avx512f")

Record = dict[str, Any]


class RunFailedError(Exception):
    """A measured process ended with an error; its own words went to stderr."""


@dataclass(frozen=True)
class Run:
    """One process to measure.

    Args:
        suite: What it belongs to.
        name: What it is called within the suite.
        program: A file of this folder, which is given a job and its settings and prints one JSON
            document; or ``"tenfold"``, the command.
        arguments: What follows it on the command line.
        environ: Environment variables besides those of this process.
        watched: Whether each process that it starts is measured too.
    """

    suite: str
    name: str
    program: str
    arguments: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)
    watched: bool = False

    @property
    def file_name(self) -> str:
        """The name of its JSON file; another command has another name."""
        identity = json.dumps([self.program, *self.arguments])
        return f"{self.suite}.{self.name}.{hashlib.sha256(identity.encode()).hexdigest()[:8]}.json"

    def command(self) -> list[str]:
        """Return the command line."""
        module = self.program == "tenfold"
        program = ["-m", self.program] if module else [str(HERE / self.program)]
        return [sys.executable, *program, *self.arguments]


def job(suite: str, name: str, program: str, what: str, spec: Mapping[str, Any]) -> Run:
    """Return the run of a job of one of this folder's programs, by its settings."""
    return Run(suite, name, program, (what, json.dumps(spec, sort_keys=True)))


@dataclass
class Series:
    """Runs one after the other, each with its yardsticks; those that are on file are not run again.

    Args:
        folder: Where the JSON files lie.
        yardstick: The yardstick's run; it prints ``{"epoch_s": seconds}``.
        keep_s: A yardstick measured within so many seconds is not measured again.
        fresh: Whether to run what is on file again.
        failed: Names of the runs that failed.
    """

    folder: Path
    yardstick: Run
    keep_s: float = 10.0
    fresh: bool = False
    failed: list[str] = field(default_factory=list)
    _last: tuple[float, float] | None = None

    def run(self, run: Run) -> Record | None:
        """Return a run's record, from its file or by running it; None if it failed.

        Raises:
            RunFailedError: The yardstick before it failed, for example because there are no data.
        """
        path = self.folder / run.file_name
        if path.exists() and not self.fresh:
            say(f"{run.suite} {run.name}: on file, not run again")
            return json.loads(path.read_text(encoding="utf-8"))
        facts = {"machine": describe(), "date": datetime.now(UTC).isoformat(timespec="seconds")}
        before = self._epoch_s()
        say(f"{run.suite} {run.name}: started; yardstick {before:.1f} s an epoch")
        try:
            measured = measure(run)
        except RunFailedError as error:
            say(f"{run.suite} {run.name}: FAILED: {error}")
            self.failed.append(f"{run.suite} {run.name}")
            return None
        after = self._epoch_s_or(before)
        say(f"{run.suite} {run.name}: {measured['process']['wall_s']:.1f} s; now {after:.1f} s")
        record = {
            "suite": run.suite,
            "name": run.name,
            "command": [run.program, *run.arguments],
            **measured,
            "yardstick": {"before_s": before, "after_s": after},
            **facts,
        }
        write_text(path, json.dumps(record, indent=2) + "\n")
        return record

    def _epoch_s_or(self, before: float) -> float:
        """Return the yardstick; where it fails now, rather the one before than no record."""
        try:
            return self._epoch_s()
        except RunFailedError as error:
            say(f"yardstick: FAILED: {error}; taking the one before")
            return before

    def _epoch_s(self) -> float:
        """Return the yardstick, measured now or just before."""
        if self._last is None or time.monotonic() - self._last[0] > self.keep_s:
            epoch_s = measure(self.yardstick)["result"]["epoch_s"]
            self._last = time.monotonic(), epoch_s
        return self._last[1]


def measure(run: Run) -> Record:
    """Run a process to its end; return what it printed and what it used.

    Returns:
        ``result``: what it printed, None for the command; ``process``: ``wall_s`` and ``cpu_s``
        with everything that it waited for, ``peak_bytes`` of its largest process (Linux counts
        from before the program began, so no less than this process holds); where watched, also
        ``peaks_bytes`` and ``sum_bytes`` of `Watch`.

    Raises:
        RunFailedError: It ended with another code than 0.
    """
    started = time.monotonic()
    with tempfile.TemporaryFile() as output:
        environ = {**os.environ, "GOMP_SPINCOUNT": "10000", **run.environ}
        process = subprocess.Popen(run.command(), stdout=output, env=environ)
        watch = Watch(process.pid) if run.watched else None
        try:
            # wait4 tells what this one process used; getrusage would mix it with those before.
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            if process.returncode is None:
                process.kill()
                process.wait()
            wall_s = time.monotonic() - started
            seen = watch.stop() if watch else {}
        output.seek(0)
        text = output.read().decode()
    if process.returncode:
        raise RunFailedError(f"exit code {process.returncode}: {' '.join(run.command())}")
    unit = 1 if sys.platform == "darwin" else 1024
    used = {
        "wall_s": wall_s,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * unit,
    }
    result = None if run.program == "tenfold" else json.loads(text)
    return {"result": result, "process": {**used, **seen}}


def describe() -> Record:
    """Return the machine's line: hardware, load, versions, and which sources are measured."""
    return {
        **describe_machine(),
        "flags": [flag for flag in _CAPABILITIES if flag in _cpu_flags()],
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load": [round(load, 2) for load in os.getloadavg()],
        "commit": _git("rev-parse", "--short=12", "HEAD"),
        "changed": bool(_git("status", "--porcelain", "--untracked-files=no")),
    }


def _cpu_flags() -> frozenset[str]:
    # `tenfold.models.torch.device` knows them too, but a large parent would show in its children:
    # Linux counts what a process held before it became another program.
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.split() for line in lines if line.startswith("flags")), []))


def _git(*arguments: str) -> str | None:
    """Return what git says, None where there is no git or no repository."""
    try:
        done = subprocess.run(
            ["git", "-C", str(HERE), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def at_quiet_speed(record: Record, seconds: float) -> float:
    """Return seconds as they would be where an epoch of the classic recipe takes 50 s."""
    yardstick = record["yardstick"]
    return seconds * QUIET_EPOCH_S * 2 / (yardstick["before_s"] + yardstick["after_s"])


class Clock:
    """Runs from its making on."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        """Return ``seconds`` and, of all threads of this process together, ``cpu_s``."""
        return {
            "seconds": time.perf_counter() - self._wall,
            "cpu_s": time.process_time() - self._cpu,
        }


def say(text: str) -> None:
    """Print a line of progress to stderr."""
    print(f"[{datetime.now().astimezone():%H:%M:%S}] {text}", file=sys.stderr, flush=True)
