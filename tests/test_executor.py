"""Executors: every unit is run once, wherever it runs, and nothing is left behind."""

import threading
from dataclasses import replace

import psutil
import pytest

from tenfold.errors import UsageError
from tenfold.executor import LocalExecutor, NoExecutor
from tenfold.records import Cost, FitUnit, Numerics, Trial, TrialResult

FUNCTIONS = """
import os, threading
def double(payload, on_event):
    return {"twice": payload["x"] * 2}
def whereabouts(payload, on_event):
    return {"pid": os.getpid(), "gpu": os.environ.get("CUDA_VISIBLE_DEVICES")}
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


def unit(name: str, device: str = "cpu") -> FitUnit:
    trial = Trial(model="knn", params={}, title=name, label="", seed=0)
    return FitUnit((trial,), (name,), Numerics(device, "float32", 1))


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
    pids, running = [], threading.Event()

    def on_event(event):
        pids.append(event["pid"])
        running.set()

    def fit(unit, caller):
        if unit.name == "0":
            return ()
        caller.call("errands:hang", {}, on_event=on_event)
        return ()

    run = LocalExecutor(1, environ=environ).run([unit(str(number)) for number in range(9)], fit)
    next(run)
    assert running.wait(60)
    run.close()
    assert len(pids) == 1, "what waits is not begun"
    assert not psutil.pid_exists(pids[0])


def test_what_does_not_fit_into_memory_together_runs_in_turn(environ):
    units = [replace(unit(str(number)), cost=Cost(0.0, 60)) for number in range(4)]
    running, most, lock = set(), [], threading.Lock()

    def fit(unit, caller):
        with lock:
            running.add(unit.name)
            most.append(len(running))
        answer = caller.call("errands:whereabouts", {}, on_event=ignore)
        with lock:
            running.remove(unit.name)
        return (TrialResult(unit.trials[0], unit.keys[0], "finished", model_bytes=answer["pid"]),)

    executor = LocalExecutor(4, environ=environ, budget_bytes=100)
    pids = {results[0].model_bytes for results in executor.run(units, fit)}
    assert most == [1, 1, 1, 1]
    assert len(pids) == 1, "the warm process is used again"


def test_each_gpu_runs_one_unit_at_a_time_in_a_process_that_sees_no_other(environ, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    units = [*(unit(str(number), "cuda") for number in range(4)), unit("core")]
    seen, together = [], threading.Barrier(3)

    def fit(unit, caller):
        answer = caller.call("errands:whereabouts", {}, on_event=ignore)
        seen.append((unit.name, answer["gpu"], answer["pid"]))
        if unit.name in {"0", "1", "core"}:
            together.wait(60)  # two on GPUs and one on the cores, at the same time
        return ()

    shown = [{"CUDA_VISIBLE_DEVICES": name} for name in ("4", "7")]
    list(LocalExecutor(1, environ=environ, gpu_environs=shown).run(units, fit))
    by_name = {name: (gpu, pid) for name, gpu, pid in seen}
    assert by_name.pop("core")[0] is None
    assert {gpu for gpu, _ in by_name.values()} == {"4", "7"}
    assert len(set(by_name.values())) == 2, "one process for each GPU"


def test_an_error_of_the_tracker_ends_the_run_and_its_processes(environ):
    def fit(unit, caller):
        raise OSError("the disk is full")

    units = [unit(str(number)) for number in range(3)]
    with pytest.raises(OSError, match="the disk is full"):
        list(LocalExecutor(2, environ=environ).run(units, fit))


def test_nothing_runs_where_all_must_be_remembered():
    assert list(NoExecutor().run([], lambda unit, caller: ())) == []
    with pytest.raises(UsageError, match="not trained yet"):
        NoExecutor().run([unit("0")], lambda unit, caller: ())
