"""Worker processes: answers, events, limits, deaths, and nothing left behind."""

import os
import signal
import subprocess
import sys
import threading

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
import os, signal, sys, threading
def double(payload, on_event):
    on_event({"step": 1})
    print("noise on stdout")
    return {"twice": payload["x"] * 2, "pid": os.getpid(), "variable": os.environ.get("MARK")}
def fail(payload, on_event):
    raise ValueError("the sea is rough")
def hang(payload, on_event):
    on_event({"step": 0, "pid": os.getpid()})
    threading.Event().wait()
def grow(payload, on_event):
    kept = []
    while True:
        kept.append(bytearray(b"x" * 10_000_000))
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


def test_a_killed_parent_leaves_no_worker(environ):
    script = (
        "from tenfold.worker import WorkerProcess\n"
        f"worker = WorkerProcess({environ!r})\n"
        "worker.call('chores:hang', {}, on_event=lambda e: print(e['pid'], flush=True))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    child.wait(timeout=30)


def test_inline_calls_name_the_error(monkeypatch, environ):
    monkeypatch.syspath_prepend(environ["PYTHONPATH"])
    with pytest.raises(TrialError, match="ValueError: the sea is rough"):
        InlineCaller().call("chores:fail", {}, on_event=ignore)
