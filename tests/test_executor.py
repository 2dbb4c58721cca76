"""Executors: every unit is run once, wherever it runs, and nothing is left behind."""

import psutil
import pytest

from tenfold.executor import LocalExecutor
from tenfold.records import FitUnit, Numerics, Trial, TrialResult

FUNCTIONS = """
import os, threading
def double(payload, on_event):
    return {"twice": payload["x"] * 2}
def hang(payload, on_event):
    on_event({"step": 0, "pid": os.getpid()})
    threading.Event().wait()
"""


@pytest.fixture
def environ(tmp_path):
    (tmp_path / "errands.py").write_text(FUNCTIONS)
    return {"PYTHONPATH": str(tmp_path)}


def ignore(event):
    """Take no notice of an event."""


def unit(name: str) -> FitUnit:
    trial = Trial(model="knn", params={}, title=name, label="", seed=0)
    return FitUnit((trial,), (name,), Numerics("cpu", "float32", 1))


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_every_unit_is_run_once_wherever_it_runs(environ, workers, monkeypatch):
    monkeypatch.syspath_prepend(environ["PYTHONPATH"])

    def fit(unit, caller):
        answer = caller.call("errands:double", {"x": int(unit.name)}, on_event=ignore)
        return (TrialResult(unit.trials[0], unit.keys[0], "finished", model_bytes=answer["twice"]),)

    units = [unit(str(number)) for number in range(5)]
    results = [results[0] for results in LocalExecutor(workers, environ=environ).run(units, fit)]
    assert sorted(result.model_bytes for result in results) == [0, 2, 4, 6, 8]


def test_no_units_start_no_process():
    assert list(LocalExecutor(2).run([], lambda unit, caller: ())) == []


def test_leaving_early_ends_what_runs_and_what_waits(environ):
    pids = []

    def fit(unit, caller):
        if unit.name == "0":
            return ()
        caller.call("errands:hang", {}, on_event=lambda event: pids.append(event["pid"]))
        return ()

    run = LocalExecutor(1, environ=environ).run([unit(str(number)) for number in range(9)], fit)
    next(run)
    run.close()
    assert not any(psutil.pid_exists(pid) for pid in pids)
