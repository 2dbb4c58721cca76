"""A unit that is tried again: what its first attempt finished stays, and the time goes on."""

import threading

import pytest

from tenfold.config import load_settings, parse_config
from tenfold.executor import Executor
from tenfold.runner import NullObserver
from tenfold.search import expand_grid
from tenfold.workbench import open_workbench
from tenfold.worker import InlineCaller

GRID = {"model": "xgboost", "grid": {"n_estimators": [1, 2]}}


class LostError(Exception):
    """Costs an attempt, as the death of a worker does under Prefect."""


class Noting(InlineCaller):
    """Fits here, notes each call, and is lost after so many trials."""

    def __init__(self, lost_after=None):
        self.calls, self._left = [], lost_after

    def call(self, function, payload, *, on_event, timeout_s=None, **_limits):
        self.calls.append((function.partition(":")[2], payload, timeout_s))

        def told(event):
            on_event(event)
            if event.get("done") and self._left is not None:
                self._left -= 1
                if not self._left:
                    raise LostError

        return super().call(function, payload, on_event=told)

    def fitted(self):
        return [payload["keys"] for name, payload, _ in self.calls if name == "fit_unit"]

    def timeouts(self):
        return {name: timeout_s for name, _, timeout_s in self.calls}


class Trying(Executor):
    """Runs each unit with one caller after the other until one is not lost."""

    def __init__(self, *callers):
        self.callers = callers

    def run(self, units, fit):
        for unit in units:
            for caller in self.callers:
                try:
                    yield fit(unit, caller)
                    break
                except LostError:
                    continue


def opened(executor, *, fresh=False, observer=None, **changes):
    config = parse_config(
        {
            "name": "attempts",
            "threads": 1,
            "models": [GRID],
            "dataset": {"source": "digits", "cv_below": 0, "max_images": 300},
            **changes,
        }
    )
    observer = observer or NullObserver()
    workbench = open_workbench(
        config, executor, settings=load_settings(), observer=observer, fresh=fresh
    )
    return workbench, expand_grid(config)


@pytest.mark.parametrize("fresh", [False, True])
def test_what_an_attempt_finished_is_not_fitted_by_the_next(workspace, fresh):
    for again in (False, True):  # the second finds everything finished, and runs it if it is fresh
        first, second = Noting(lost_after=1), Noting()
        workbench, trials = opened(Trying(first, second), fresh=fresh)
        with workbench as bench:
            results = bench.sweep.fit(trials)
        assert [result.status for result in results] == ["finished"] * 2
        keys = [result.key for result in results]
        if again and not fresh:
            assert first.fitted() == second.fitted() == []
        else:
            assert first.fitted() == [keys]
            assert second.fitted() == [keys[1:]]


def test_the_time_that_a_unit_took_to_prepare_is_not_given_to_its_fit(workspace):
    caller = Noting()
    workbench, trials = opened(Trying(caller), time_limit_s=600)
    with workbench as bench:
        bench.sweep.fit(trials)
    limits = caller.timeouts()
    assert 0 < limits["fit_unit"] < limits["prepare"] < 600


def test_what_waits_for_another_process_is_prepared_within_the_time(workspace):
    caller, said = Noting(), threading.Event()
    workbench, trials = opened(Trying(caller), time_limit_s=600)
    with workbench as bench:
        held = bench.sweep.unit(trials[0]).keys[0]
        lock = workspace.locked(held)
        lock.__enter__()
        prepared = caller.call

        def call(*arguments, **options):
            if not said.is_set():  # while the other has it
                said.set()
                lock.__exit__(None, None, None)
            return prepared(*arguments, **options)

        caller.call = call
        bench.sweep.fit(trials)
    assert caller.calls[0][0] == "prepare"
    assert "numerics" not in caller.calls[0][1], "the first was while it waited"
    assert all(0 < timeout_s < 600 for _, _, timeout_s in caller.calls)
