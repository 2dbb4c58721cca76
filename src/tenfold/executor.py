"""Running fit units: the Executor protocol, and worker processes on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Protocol

from tenfold.errors import UsageError
from tenfold.memory import available_bytes
from tenfold.records import FitUnit, TrialResult
from tenfold.schedule import Schedule
from tenfold.worker import Caller, InlineCaller, WorkerProcess

Results = tuple[TrialResult, ...]
Fit = Callable[[FitUnit, Caller], Results]
#: Of the memory that is available when a run starts; the rest is for what was estimated too low.
MEMORY_SHARE = 0.8
#: A thread that waits wakes as often: where the system hands Ctrl-C to another thread of the
#: process, Python raises it in the main one when that runs next; a wait without end never does.
LOOK_S = 0.5


class Executor(Protocol):
    """Decides where and when each unit runs; nothing else passes through it."""

    def run(self, units: Sequence[FitUnit], fit: Fit) -> Iterator[tuple[TrialResult, ...]]:
        """Yield each unit's results as they come, in any order; start them in the order given."""
        ...

    def within(self, unit: FitUnit, work: Callable[[], Results]) -> Results:  # noqa: ARG002
        """Do the work of a unit inside another that is running, such as a trial of a search.

        Args:
            unit: What it is called where runs are shown.
            work: Fits it.
        """
        return work()


def as_they_come(futures: Iterable[Future[Results]]) -> Iterator[Results]:
    """Yield the results of futures in the order in which they end; raise the first error."""
    left = set(futures)
    while left:
        done, left = wait(left, timeout=LOOK_S, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()


class NoExecutor(Executor):
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


class LocalExecutor(Executor):
    """Runs units in worker processes of this machine.

    How many run at once never changes a result: each unit brings its own number of threads.

    Args:
        workers: Processes at the same time; 0 runs in this process, without limits.
        environ: Variables set for the processes, beside those of this one.
        gpu_environs: For each process that may use a GPU at the same time, further variables that
            show it its GPU. They run beside the others; without them, units on a GPU take turns
            with the rest.
        budget_bytes: What the running units may be expected to take together; None: a share of
            the memory that is available when they start.
    """

    def __init__(
        self,
        workers: int = 1,
        *,
        environ: Mapping[str, str] | None = None,
        gpu_environs: Sequence[Mapping[str, str]] = (),
        budget_bytes: int | None = None,
    ) -> None:
        self.workers = workers
        self.environ = dict(environ or {})
        self.gpu_environs = tuple(gpu_environs)
        self.budget_bytes = budget_bytes

    def run(self, units: Sequence[FitUnit], fit: Fit) -> Iterator[tuple[TrialResult, ...]]:
        """Yield each unit's results as they come; closing the iterator ends what runs."""
        if self.workers == 0:
            inline = InlineCaller()
            for unit in units:
                yield fit(unit, inline)
            return
        with ThreadPoolExecutor(self.most_at_once) as pool, self.scheduled(units) as schedule:

            def run_next() -> tuple[TrialResult, ...]:
                unit, caller = schedule.take()
                try:
                    return fit(unit, caller)
                finally:
                    schedule.give_back(unit, caller)

            futures = [pool.submit(run_next) for _ in units]
            try:
                yield from as_they_come(futures)
            finally:
                for future in futures:
                    future.cancel()

    @property
    def most_at_once(self) -> int:
        """How many units may run at the same time, at least 1."""
        return max(1, self.workers) + len(self.gpu_environs)

    @contextmanager
    def scheduled(self, units: Sequence[FitUnit]) -> Iterator[Schedule[Caller]]:
        """Give the schedule of units on this executor's processes; leaving the block ends these."""
        if self.workers == 0:
            yield Schedule(units, [InlineCaller()], budget_bytes=self._budget())
            return
        cores = [WorkerProcess(self.environ) for _ in range(min(self.workers, len(units)))]
        gpus = [WorkerProcess({**self.environ, **shown}) for shown in self.gpu_environs]
        schedule: Schedule[Caller] = Schedule(
            units, cores, gpu_places=gpus, budget_bytes=self._budget()
        )
        try:
            yield schedule
        finally:
            schedule.stop()
            with ThreadPoolExecutor(self.most_at_once) as pool:  # each takes a second or two
                list(pool.map(WorkerProcess.close, (*cores, *gpus)))

    def _budget(self) -> float:
        if self.budget_bytes is None:
            return MEMORY_SHARE * available_bytes()
        return self.budget_bytes
