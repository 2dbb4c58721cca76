"""Worker processes: answers, events, limits, deaths, and nothing left behind."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

import psutil
import pytest

from tenfold.errors import (
    TrialError,
    TrialMemoryError,
    TrialStoppedError,
    TrialTimeoutError,
    WorkerDiedError,
)
from tenfold.worker import InlineCaller, WorkerProcess

FUNCTIONS = """
import ctypes, os, signal, subprocess, sys, threading
def double(payload, on_event):
    on_event({"step": 1})
    print("noise on stdout")
    return {"twice": payload["x"] * 2, "pid": os.getpid(), "variable": os.environ.get("MARK")}
def fail(payload, on_event):
    raise ValueError("the sea is rough")
def hang(payload, on_event):
    on_event({"step": 0, "pid": os.getpid()})
    threading.Event().wait()
def freeze(payload, on_event):
    on_event({"step": 0, "pid": os.getpid()})
    ctypes.PyDLL(None).pause()  # no thread of this process runs Python code any more
def count(payload, on_event):
    try:
        for step in range(payload["steps"]):
            try:
                on_event({"step": step, "pid": os.getpid()})
            except Exception:
                pass
    finally:
        open(payload["unwound"], "w").close()
    return {"pid": os.getpid()}
def grow(payload, on_event):
    kept = []
    while True:
        kept.append(bytearray(b"x" * 10_000_000))
def grow_below(payload, on_event):
    code = "kept = bytearray(b'x' * 400_000_000); input()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    on_event({"step": 0, "pid": child.pid})
    child.wait()
def die(payload, on_event):
    print("last words", file=sys.stderr)
    os.kill(os.getpid(), getattr(signal, payload["signal"]))
"""


@pytest.fixture
def environ(tmp_path):
    (tmp_path / "chores.py").write_text(FUNCTIONS)
    return {"PYTHONPATH": str(tmp_path), "MARK": "here"}


@pytest.fixture
def worker(environ):
    process = WorkerProcess(environ)
    yield process
    process.close()


def ignore(event):
    """Take no notice of an event."""


def test_a_call_gives_its_answer_and_its_events(worker):
    events = []
    answer = worker.call("chores:double", {"x": 21}, on_event=events.append)
    assert answer["twice"] == 42
    assert answer["variable"] == "here"
    assert answer["pid"] != os.getpid()
    assert events == [{"step": 1}]


def test_a_process_serves_many_calls(worker):
    pids = {worker.call("chores:double", {"x": 1}, on_event=ignore)["pid"] for _ in range(3)}
    assert len(pids) == 1


def test_an_exception_is_told_with_its_traceback_and_the_process_lives_on(worker):
    with pytest.raises(TrialError) as caught:
        worker.call("chores:fail", {}, on_event=ignore)
    first, *rest = str(caught.value).splitlines()
    assert first == "ValueError: the sea is rough"
    assert any("chores.py" in line for line in rest)
    assert worker.call("chores:double", {"x": 1}, on_event=ignore)["twice"] == 2


def test_a_call_that_takes_too_long_is_ended_and_the_next_gets_a_new_process(worker):
    pids = []
    with pytest.raises(TrialTimeoutError, match=r"timeout_s=0\.3"):
        worker.call("chores:hang", {}, on_event=lambda e: pids.append(e["pid"]), timeout_s=0.3)
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert worker.call("chores:double", {"x": 1}, on_event=ignore)["twice"] == 2


def test_a_call_that_takes_too_much_memory_is_ended(worker):
    with pytest.raises(TrialMemoryError, match="over memory_limit_mb=300"):
        worker.call("chores:grow", {}, on_event=ignore, memory_limit_bytes=300 << 20)


def test_what_its_own_processes_take_counts_too(worker):
    pids = []
    with pytest.raises(TrialMemoryError, match="over memory_limit_mb=300"):
        worker.call(
            "chores:grow_below",
            {},
            on_event=lambda event: pids.append(event["pid"]),
            timeout_s=60,
            memory_limit_bytes=300 << 20,
        )
    with suppress(psutil.NoSuchProcess):  # its standard input ended with its parent
        psutil.Process(pids[0]).wait(30)


@pytest.mark.parametrize(("name", "hint"), [("SIGKILL", "run out of memory"), ("SIGTERM", "15")])
def test_a_killed_process_is_told_with_its_last_words(worker, name, hint):
    with pytest.raises(WorkerDiedError) as caught:
        worker.call("chores:die", {"signal": name}, on_event=ignore)
    assert f"signal {int(getattr(signal, name))}" in str(caught.value)
    assert "last words" in str(caught.value)
    assert hint in str(caught.value)


def test_closing_ends_a_call_under_way(worker):
    running = threading.Event()
    errors = []

    def call():
        try:
            worker.call("chores:hang", {}, on_event=lambda event: running.set())
        except TrialStoppedError as error:
            errors.append(str(error))

    thread = threading.Thread(target=call)
    thread.start()
    assert running.wait(30)
    worker.close()
    thread.join(30)
    assert errors == ["the run was stopped while this trial was running"]
    with pytest.raises(TrialStoppedError, match="before this trial started"):
        worker.call("chores:double", {"x": 1}, on_event=ignore)


def test_closing_ends_a_process_that_another_thread_is_starting(worker, monkeypatch):
    start = subprocess.Popen
    closing = threading.Thread(target=worker.close)
    started = []

    def start_while_closing(*arguments, **options):
        closing.start()
        closing.join(0.5)  # it may go first, or wait for this process
        started.append(start(*arguments, **options))
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", start_while_closing)
    with pytest.raises(TrialStoppedError):
        worker.call("chores:hang", {}, on_event=ignore, timeout_s=20)
    closing.join(30)
    assert started[0].poll() is not None


@pytest.mark.parametrize("chore", ["hang", "freeze"])
def test_a_killed_parent_leaves_no_worker(environ, chore):
    script = (
        "from tenfold.worker import WorkerProcess\n"
        f"worker = WorkerProcess({environ!r})\n"
        f"worker.call('chores:{chore}', {{}}, on_event=lambda e: print(e['pid'], flush=True))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    child.wait(timeout=30)


class HeardEnoughError(Exception):
    """What a listener raises."""


def raise_at(step, heard):
    def on_event(event):
        heard.append(event)
        if event["step"] == step:
            raise HeardEnoughError

    return on_event


def test_a_listener_that_raises_stops_the_call_and_the_process_stays_warm(worker, tmp_path):
    heard, payload = [], {"steps": 10**9, "unwound": str(tmp_path / "unwound")}
    with pytest.raises(HeardEnoughError):
        worker.call("chores:count", payload, on_event=raise_at(2, heard))
    assert [event["step"] for event in heard] == [0, 1, 2]
    assert (tmp_path / "unwound").exists()
    answer = worker.call("chores:count", {**payload, "steps": 3}, on_event=ignore)
    assert answer == {"pid": heard[0]["pid"]}


def test_a_stop_that_comes_after_the_last_event_does_not_reach_the_next_call(worker, tmp_path):
    payload = {"steps": 1, "unwound": str(tmp_path / "unwound")}
    for _ in range(3):
        with pytest.raises(HeardEnoughError):
            worker.call("chores:count", payload, on_event=raise_at(0, []))
        worker.call("chores:count", payload, on_event=ignore)


def test_a_stopped_call_that_comes_to_no_event_is_ended(worker, monkeypatch):
    monkeypatch.setattr("tenfold.worker._STOP_S", 0.3)
    heard = []
    with pytest.raises(HeardEnoughError):
        worker.call("chores:hang", {}, on_event=raise_at(0, heard))
    assert not psutil.pid_exists(heard[0]["pid"])
    assert worker.call("chores:double", {"x": 1}, on_event=ignore)["twice"] == 2


def test_an_interrupt_while_listening_ends_the_process_at_once(worker):
    pids = []

    def interrupted(event):
        pids.append(event["pid"])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        worker.call("chores:hang", {}, on_event=interrupted)
    assert not psutil.pid_exists(pids[0])


def test_inline_what_a_listener_raises_comes_out_as_it_is(monkeypatch, environ, tmp_path):
    monkeypatch.syspath_prepend(environ["PYTHONPATH"])
    payload = {"steps": 3, "unwound": str(tmp_path / "unwound")}
    with pytest.raises(HeardEnoughError):
        InlineCaller().call("chores:count", payload, on_event=raise_at(1, []))
    with pytest.raises(HeardEnoughError):
        InlineCaller().call("chores:hang", {}, on_event=raise_at(0, []))


def test_inline_calls_name_the_error(monkeypatch, environ):
    monkeypatch.syspath_prepend(environ["PYTHONPATH"])
    with pytest.raises(TrialError, match="ValueError: the sea is rough"):
        InlineCaller().call("chores:fail", {}, on_event=ignore)
