"""Fit units as tasks of a Prefect flow run."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tenfold.errors import TrackingError, TrialPrunedError, WorkerKilledError
from tenfold.executor import LOOK_S, Executor, Fit, LocalExecutor, Results
from tenfold.records import FitUnit, TrialResult
from tenfold.schedule import Schedule
from tenfold.worker import Caller, OnEvent

logger = logging.getLogger(__name__)

#: Seconds before a unit is tried again after something failed that was not its fault.
RETRY_DELAYS_S = (2.0, 10.0)


class PrefectExecutor(Executor):
    """Runs units as tasks of the flow run that is under way, with what a local executor has.

    A task whose worker was killed, or whose tracker could not be reached, is run again; one whose
    fit failed is not. Only names and keys go to Prefect, and it stores no result.

    Args:
        local: Its processes, its memory and its order of units are used.
        retry_delays_s: Waits before each further attempt.
    """

    def __init__(
        self, local: LocalExecutor, *, retry_delays_s: Sequence[float] = RETRY_DELAYS_S
    ) -> None:
        self.local = local
        self.retry_delays_s = tuple(retry_delays_s)

    def run(self, units: Sequence[FitUnit], fit: Fit) -> Iterator[tuple[TrialResult, ...]]:
        """Yield each unit's results as they come; closing the iterator ends what runs."""
        from prefect.context import TaskRunContext
        from prefect.task_runners import ThreadPoolTaskRunner

        started: list[tuple[FitUnit, Caller]] = []
        results: dict[int, tuple[TrialResult, ...]] = {}

        def fit_unit(name: str, number: int, keys: Sequence[str]) -> Any:  # noqa: ARG001  # to be seen
            unit, caller = started[number]
            context = TaskRunContext.get()
            assert context is not None, "Prefect runs a task in its context"
            last = context.task_run.run_count > len(self.retry_delays_s)
            found = results[number] = fit(unit, caller if last else _SpareCaller(caller))
            return _state_of(found)

        threads: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(self.local.most_at_once)
        with threads as runner, self.local.scheduled(units) as schedule:
            work = self._task(fit_unit)
            for number, future in _run_as_tasks(runner, schedule, len(units), work, started):
                if number not in results:
                    future.result()  # raises what the fit raised
                yield results.pop(number)

    def within(self, unit: FitUnit, work: Callable[[], Results]) -> Results:
        """Do the work as a task inside the one that is under way."""
        from prefect.states import Completed

        results: list[Results] = []
        raised: list[BaseException] = []

        def fit_trial(name: str, keys: Sequence[str]) -> Any:  # noqa: ARG001  # to be seen
            try:
                results.append(work())
            except TrialPrunedError as error:
                raised.append(error)
                return Completed(name="Pruned", message=str(error))
            except BaseException as error:
                raised.append(error)
                raise
            return _state_of(results[0])

        try:
            state = self._task(fit_trial, retries=False)(
                unit.name, list(unit.keys), return_state=True
            )
            if not (results or raised):
                state.result()  # raises why it was not even begun
        except Exception:
            if not (results or raised):
                raise
            logger.info("Prefect could not be told how %s ended", unit.name, exc_info=True)
        if raised:
            raise raised[0]
        return results[0]

    def _task(self, function: Callable[..., Any], *, retries: bool = True) -> Any:
        from prefect import task
        from prefect.cache_policies import NO_CACHE

        return task(
            name="fit",
            task_run_name="{name}",
            retries=len(self.retry_delays_s) if retries else 0,
            retry_delay_seconds=list(self.retry_delays_s),
            retry_condition_fn=_is_transient,
            persist_result=False,
            cache_policy=NO_CACHE,
        )(function)


def _state_of(results: Results) -> Any:
    """Return the state in which the task of these results ends."""
    from prefect.states import Completed, Failed

    failed = [result for result in results if result.status == "failed"]
    if failed:
        return Failed(message=f"{failed[0].trial.name}: {failed[0].error}")
    return Completed()


def _run_as_tasks(
    runner: Any,
    schedule: Schedule[Caller],
    count: int,
    work: Any,
    started: list[tuple[FitUnit, Caller]],
) -> Iterator[tuple[int, Any]]:
    """Run units as tasks, as many at once as the schedule lets, and yield each as it ends.

    Args:
        runner: A Prefect task runner that is open.
        schedule: Says which unit may start where.
        count: How many units it has.
        work: The task; is given a unit's name, its place in `started`, and its keys.
        started: Takes the units in the order in which they start.

    Yields:
        The unit's place in `started` and its Prefect future, which is done.
    """
    ended: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()

    def start_all_that_may() -> None:
        while (found := schedule.poll()) is not None:
            unit, number = found[0], len(started)
            started.append(found)
            values = {"name": unit.name, "number": number, "keys": list(unit.keys)}
            future = runner.submit(work, values)
            future.add_done_callback(lambda done, number=number: ended.put((number, done)))

    start_all_that_may()
    for _ in range(count):
        number, future = _next(ended)
        schedule.give_back(*started[number])
        start_all_that_may()
        yield number, future


def _next(ended: queue.SimpleQueue[tuple[int, Any]]) -> tuple[int, Any]:
    while True:
        with suppress(queue.Empty):
            return ended.get(timeout=LOOK_S)


class _WorkerLostError(Exception):
    """A worker was killed, and its unit can be tried again; no failure of the trial."""


@dataclass(frozen=True)
class _SpareCaller:
    """Turns the death of a worker into an error that costs an attempt, and not the trial."""

    caller: Caller

    def call(
        self,
        function: str,
        payload: Mapping[str, Any],
        *,
        on_event: OnEvent,
        timeout_s: float | None = None,
        memory_limit_bytes: int | None = None,
    ) -> Mapping[str, Any]:
        try:
            return self.caller.call(
                function,
                payload,
                on_event=on_event,
                timeout_s=timeout_s,
                memory_limit_bytes=memory_limit_bytes,
            )
        except WorkerKilledError as error:
            raise _WorkerLostError(str(error)) from error


def _is_transient(task: Any, run: Any, state: Any) -> bool:  # noqa: ARG001  # Prefect's signature
    return isinstance(state.data, _WorkerLostError | TrackingError)
