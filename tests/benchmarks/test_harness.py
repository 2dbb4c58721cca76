"""Runs are measured, kept, and not run again."""

import json
import os
import resource
import sys
from contextlib import suppress

import psutil
import pytest

JOB = """
import json, pathlib, sys
log = pathlib.Path(sys.argv[1])
log.write_text(log.read_text() + sys.argv[2])
print(json.dumps({"said": sys.argv[2], "epoch_s": 25.0}))
"""


@pytest.fixture
def harness(load):
    return load("harness")


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log"
    path.write_text("")
    return path


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(JOB)
    return str(path)


@pytest.fixture
def make_series(harness, program, log, tmp_path):
    """Return a function that makes a series as a new call of the command would."""
    yardstick = harness.Run("yardstick", "yardstick", program, (str(log), "y"))

    def make(**options):
        return harness.Series(tmp_path / "out", yardstick, **options)

    return make


@pytest.fixture
def make_run(harness, program, log):
    def make(word):
        return harness.Run("suite", "name", program, (str(log), word))

    return make


def test_a_run_stands_between_two_yardsticks_and_leaves_a_file(make_series, make_run, log):
    series = make_series(keep_s=0)
    record = series.run(make_run("a"))
    assert log.read_text() == "yay"
    assert record["result"]["said"] == "a"
    assert record["yardstick"] == {"before_s": 25.0, "after_s": 25.0}
    assert record["machine"].keys() >= {"machine", "python", "numpy", "flags", "load", "commit"}
    files = list(series.folder.iterdir())
    assert [json.loads(path.read_text()) for path in files] == [record]


def test_a_recent_yardstick_serves_the_next_run_too(make_series, make_run, log):
    series = make_series(keep_s=1e9)
    series.run(make_run("a"))
    series.run(make_run("b"))
    assert log.read_text() == "yab"


def test_what_is_on_file_is_not_run_again_unless_asked_for(make_series, make_run, log):
    first = make_series().run(make_run("a"))
    before = log.read_text()
    assert make_series().run(make_run("a")) == first
    assert log.read_text() == before
    assert make_series(fresh=True).run(make_run("a"))["result"]["said"] == "a"
    assert log.read_text().count("a") == 2


def test_another_command_is_another_run(make_series, make_run):
    series = make_series(keep_s=1e9)
    assert series.run(make_run("a"))["result"]["said"] == "a"
    assert series.run(make_run("b"))["result"]["said"] == "b"
    assert len(list(series.folder.iterdir())) == 2


def test_a_run_that_fails_is_named_and_leaves_no_file(make_series, harness, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit(3)")
    series = make_series()
    assert series.run(harness.Run("suite", "name", str(broken), ())) is None
    assert series.failed == ["suite name"]
    assert not series.folder.exists()


def test_a_yardstick_that_fails_stops_the_series(harness, make_run, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit(3)")
    series = harness.Series(tmp_path / "out", harness.Run("y", "y", str(broken), ()))
    with pytest.raises(harness.RunFailedError, match="exit code 3"):
        series.run(make_run("a"))


@pytest.mark.skipif(sys.platform == "darwin", reason="libraries count for each process there")
def test_memory_is_that_of_each_process_and_of_all_together(harness, tmp_path, monkeypatch):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    theirs = f"mine = bytearray(150_000_000); open({str(gate)!r}).read()"
    program = tmp_path / "large.py"
    program.write_text(
        "import json, subprocess, sys\n"
        "mine = bytearray(60_000_000)\n"
        f"theirs = {theirs!r}\n"
        "subprocess.run([sys.executable, '-c', theirs], check=True)\n"
        "print(json.dumps({}))\n"
    )
    look = psutil.Process.memory_info

    def look_and_let_go(process):
        found = look(process)
        if found.rss > 150e6 and process.pid != os.getpid():
            with suppress(OSError):  # nobody waits at the gate yet, or any more
                os.close(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))
        return found

    monkeypatch.setattr(psutil.Process, "memory_info", look_and_let_go)
    # The kernel counts for the new process what this one, from which it is made, once had.
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    used = harness.measure(harness.Run("s", "n", str(program), (), watched=True))["process"]
    child, parent = used["peaks_bytes"]
    assert 150e6 < child < 190e6
    assert 60e6 < parent < 100e6
    assert child < used["sum_bytes"] <= child + parent
    assert used["peak_bytes"] == pytest.approx(max(child, own), rel=0.05)


def test_seconds_at_quiet_speed_are_in_proportion_to_the_mean_yardstick(harness):
    record = {"yardstick": {"before_s": 150.0, "after_s": 50.0}}
    assert harness.at_quiet_speed(record, 30.0) == pytest.approx(15.0)
