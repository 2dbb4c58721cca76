"""Fit units as tasks of a Prefect flow run on the workers of a Dask cluster."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from tenfold._optional import require
from tenfold.cluster import ClusterExecutor, Pending
from tenfold.executor import Executor, Fit
from tenfold.flow.connection import is_loss, went_away
from tenfold.records import FitUnit, TrialResult
from tenfold.remote import work


class PrefectClusterExecutor(Executor):
    """Runs units as tasks of the flow run that is under way, on a Dask cluster.

    Dask runs a unit again whose worker died; Prefect shows it as one task. Only names and keys go
    to Prefect, and it stores no result.

    Args:
        address: Of the scheduler.
        tracking_uri: Of the tracking server, for workers that have no `MLFLOW_TRACKING_URI`.
    """

    def __init__(self, address: str, tracking_uri: str) -> None:
        self.address = address
        self.tracking_uri = tracking_uri

    def run(self, units: Sequence[FitUnit], fit: Fit) -> Iterator[tuple[TrialResult, ...]]:
        """Yield each unit's results as they come; closing the iterator ends what runs.

        Raises:
            ClusterError: As `ClusterExecutor.run` raises it.
        """
        if not units:
            return
        task_runner = require("prefect_dask").DaskTaskRunner
        # The connection is made when the first task is submitted; by then the address was tried.
        with task_runner(address=self.address) as runner:
            submit = partial(_submit, runner, threading.Lock())
            executor = ClusterExecutor(self.address, self.tracking_uri, submit=submit)
            yield from executor.run(units, fit)


def fit_remotely(name: str, request: str) -> Any:  # noqa: ARG001  # the task's name
    """Do what a task does: `work`, in a state that says how it went.

    Args:
        name: What a person sees.
        request: As for `work`.
    """
    from prefect.states import Completed, Failed

    answer = work(request)
    found = json.loads(answer)
    if "error" in found:
        return Failed(message=found["error"][1].splitlines()[0], data=answer)
    if "refused" in found:
        message = f"{found['worker']} refused it: {found['refused']}"
        return Completed(name="Refused", message=message, data=answer)
    return Completed(data=answer)


@dataclass(frozen=True)
class _Task:
    """A submitted task as `ClusterExecutor` sees it."""

    future: Any
    api: str

    def result(self) -> str:
        try:
            state = self.future.wrapped_future.result()
        except Exception as error:
            if is_loss(error):
                raise went_away(error, self.api) from error
            raise
        answer = state.data
        return str(getattr(answer, "result", answer))

    def cancel(self) -> None:
        self.future.wrapped_future.cancel()


def _submit(
    runner: Any, lock: threading.Lock, name: str, request: str, workers: Sequence[str]
) -> Pending:
    from prefect import task
    from prefect.cache_policies import NO_CACHE
    from prefect.settings import PREFECT_API_URL

    fit = task(name="fit", task_run_name="{name}", persist_result=False, cache_policy=NO_CACHE)(
        fit_remotely
    )
    where = {"workers": list(workers), "allow_other_workers": False} if workers else {}
    with lock, _outlined(), require("dask").annotate(**where):
        future = runner.submit(fit, {"name": name, "request": request})
        return _Task(future, str(PREFECT_API_URL.value()))


@contextmanager
def _outlined() -> Iterator[None]:
    """Let the flow that is under way be sent to a worker: what it does stays here."""
    from prefect import flow
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    assert context is not None, "units run as tasks of a flow run"
    assert context.flow is not None, "a flow run is one of a flow"
    outline = flow(name=context.flow.name, persist_result=False)(_stay_here)
    with context.model_copy(update={"flow": outline, "parameters": {}}):
        yield


def _stay_here() -> None:
    """Stand for what a flow does, which is of no use on a worker."""
