"""Running fit units: the Executor protocol, and worker processes on this machine."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Protocol

from tenfold.errors import UsageError
from tenfold.records import FitUnit, TrialResult
from tenfold.worker import Caller, InlineCaller, WorkerProcess

Fit = Callable[[FitUnit, Caller], tuple[TrialResult, ...]]


class Executor(Protocol):
    """Decides where and when each unit runs; nothing else passes through it."""

    def run(self, units: Sequence[FitUnit], fit: Fit) -> Iterator[tuple[TrialResult, ...]]:
        """Yield each unit's results as they come, in any order."""
        ...


class NoExecutor:
    """Runs nothing: an experiment of remembered trials alone."""

    def run(self, units: Sequence[FitUnit], fit: Fit) -> Iterator[tuple[TrialResult, ...]]:  # noqa: ARG002
        """Return nothing, or raise where a unit is not remembered.

        Raises:
            UsageError: There is something to run.
        """
        if units:
            names = ", ".join(unit.name for unit in units)
            raise UsageError(f"not trained yet with these settings: {names}; train it first")
        return iter(())


class LocalExecutor:
    """Runs units in worker processes of this machine.

    Args:
        workers: Processes at the same time; 0 runs in this process, without limits.
        environ: Variables set for the processes, beside those of this one.
    """

    def __init__(self, workers: int = 1, *, environ: Mapping[str, str] | None = None) -> None:
        self.workers = workers
        self.environ = dict(environ or {})

    def run(self, units: Sequence[FitUnit], fit: Fit) -> Iterator[tuple[TrialResult, ...]]:
        """Yield each unit's results as they come; closing the iterator ends what runs."""
        if self.workers == 0:
            inline = InlineCaller()
            for unit in units:
                yield fit(unit, inline)
            return
        processes = [WorkerProcess(self.environ) for _ in range(min(self.workers, len(units)))]
        idle: queue.SimpleQueue[WorkerProcess] = queue.SimpleQueue()
        for process in processes:
            idle.put(process)

        def run_one(unit: FitUnit) -> tuple[TrialResult, ...]:
            process = idle.get()
            try:
                return fit(unit, process)
            finally:
                idle.put(process)

        with ThreadPoolExecutor(max(1, len(processes))) as pool:
            futures = [pool.submit(run_one, unit) for unit in units]
            try:
                for future in as_completed(futures):
                    yield future.result()
            finally:
                for future in futures:
                    future.cancel()
                for process in processes:
                    process.close()
