"""Kills, interrupts and company: nothing is lost, nothing is done twice."""

import csv
import ctypes
import errno
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from mlflow import MlflowClient

from tenfold.config import load_settings, parse_config
from tenfold.errors import StorageError, TrialError
from tenfold.evaluation import TIME_COLUMNS
from tenfold.experiment import run_experiment
from tenfold.records import Predictions
from tenfold.runner import NullObserver
from tenfold.search import expand_grid
from tenfold.workbench import open_workbench

WAITING = """
import os, pathlib, threading
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

class Gate(ClassifierMixin, BaseEstimator):
    "Fits once the file is there; says that it waits by making another."

    def __init__(self, number=0):
        self.number = number

    def fit(self, X, y):
        here = pathlib.Path(__file__).parent
        with (here / "fits.txt").open("a") as log:
            log.write(f"{self.number}\\n")
        if not (here / f"open-{self.number}").exists():
            os.mkfifo(here / f"pid-{self.number}-{os.getpid()}")
            os.rename(here / f"pid-{self.number}-{os.getpid()}", here / f"waits-{self.number}")
            (here / f"waits-{self.number}").open("rb").read()
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        share = np.full((len(X), len(self.classes_)), 0.05)
        share[:, self.number] = 0.55
        return share
"""
SETS = ("dataset.cv_below=0", "refit=none", "threads=1", "units_at_once=1")


@pytest.fixture
def gates(tmp_path):
    """Return the folder of an estimator that fits only when it is let."""
    folder = tmp_path / "gates"
    folder.mkdir()
    (folder / "gate.py").write_text(WAITING)
    (folder / "gates.yaml").write_text("models:\n- model: gate:Gate\n  grid: {number: [0, 1, 2]}\n")
    return folder


def start(gates, *arguments):
    command = [sys.executable, "-m", "tenfold", "compare", str(gates / "gates.yaml"), *arguments]
    return subprocess.Popen(
        [*command, *(word for value in SETS for word in ("--set", value))],
        env={**os.environ, "PYTHONPATH": str(gates)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A suite that runs in the background has Ctrl-C switched off, and its children inherit it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  # no threads
    )


def let(gates, *numbers):
    for number in numbers:
        (gates / f"open-{number}").write_text("")


def wait_at(gates, process, number):
    """Return once a fit waits at its gate."""
    for line in process.stderr:
        if f"number={number}: fitting" in line:
            return
    pytest.fail(f"the run ended before fit {number}: {process.wait()}")


def fits(gates):
    return (gates / "fits.txt").read_text().split()


def rows(workspace):
    with (workspace.results("gates") / "results.csv").open(newline="", encoding="utf-8") as file:
        return [
            {name: cell for name, cell in row.items() if name not in TIME_COLUMNS}
            for row in csv.DictReader(file)
        ]


def statuses(workspace):
    client = MlflowClient(tracking_uri=workspace.tracking_uri)
    ids = [found.experiment_id for found in client.search_experiments()]
    return [run.info.status for run in client.search_runs(ids)]


def finish(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def test_a_killed_experiment_goes_on_where_it_was(gates, workspace):
    let(gates, 0)
    killed = start(gates)
    wait_at(gates, killed, 1)
    children = psutil.Process(killed.pid).children(recursive=True)
    killed.kill()
    killed.wait()
    psutil.wait_procs(children, timeout=30)
    assert not any(child.is_running() for child in children)
    let(gates, 1, 2)
    finish(start(gates))
    assert fits(gates).count("0") == 1
    assert fits(gates).count("2") == 1
    resumed = rows(workspace)
    assert "RUNNING" not in statuses(workspace)
    finish(start(gates, "--fresh"))
    assert rows(workspace) == resumed


def interrupt(process, *, thread=None):
    """Send what Ctrl-C sends; to one thread, where the system would choose that one."""
    tgkill = 234  # of x86-64
    libc = ctypes.CDLL(None, use_errno=True)
    if thread is None:
        process.send_signal(signal.SIGINT)
    elif libc.syscall(tgkill, process.pid, thread, int(signal.SIGINT)):
        raise OSError(ctypes.get_errno(), "tgkill")


@pytest.mark.parametrize(
    "which",
    [
        "main thread",
        pytest.param(
            "another thread",
            marks=pytest.mark.skipif(
                (sys.platform, platform.machine()) != ("linux", "x86_64"),
                reason="only there it is known how to signal another process's thread",
            ),
        ),
    ],
)
def test_an_interrupt_ends_cleanly_and_keeps_what_is_finished(which, gates, workspace):
    let(gates, 0)
    process = start(gates)
    wait_at(gates, process, 1)
    here = psutil.Process(process.pid)
    children = here.children(recursive=True)
    others = [thread.id for thread in here.threads() if thread.id != process.pid]
    interrupt(process, thread=others[-1] if which == "another thread" else None)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert not any(child.is_running() for child in children)
    assert sorted(set(statuses(workspace))) == ["FINISHED", "KILLED"]


def test_an_interrupted_fresh_run_goes_on_as_it_says(gates, workspace):
    let(gates, 0)
    process = start(gates, "--fresh")
    wait_at(gates, process, 1)
    interrupt(process)
    _, err = process.communicate(timeout=60)
    assert "without --fresh the same command goes on" in err
    let(gates, 1, 2)
    finish(start(gates))
    assert fits(gates).count("0") == 1


def test_two_at_once_both_finish_and_each_trial_is_run_once(gates, tmp_path):
    assert not Path(os.environ["TENFOLD_HOME"]).exists()
    let(gates, 0, 1, 2)
    both = [start(gates), start(gates)]
    for process in both:
        finish(process)
    assert sorted(fits(gates)) == ["0", "1", "2"]
    # Whoever copies the database alone has all of it.
    assert not list(Path(os.environ["TENFOLD_HOME"]).glob("*-wal"))


def test_an_interrupt_is_heard_while_another_process_has_the_trial(gates, workspace):
    holder = start(gates)
    wait_at(gates, holder, 0)
    waiter = start(gates)
    try:
        assert any("waiting for Gate number=0, which another" in line for line in waiter.stderr)
        waiter.send_signal(signal.SIGINT)
        _, err = waiter.communicate(timeout=60)
        assert waiter.returncode == 130, err
        let(gates, 0, 1, 2)
        (gates / "waits-0").write_bytes(b"")  # opens the gate
        finish(holder)
        assert sorted(fits(gates)) == ["0", "1", "2"]
    finally:
        for process in (holder, waiter):
            process.kill()
            process.communicate()


BASE = {
    "name": "once",
    "units_at_once": 0,
    "threads": 1,
    "models": ["tally:Tally", "sgd"],
    "dataset": {"source": "data.npz", "cv_below": 0, "test_fraction": 0.2},
}
TALLY = """
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

class Tally(ClassifierMixin, BaseEstimator):
    "Predicts how often each class was seen."

    def __init__(self, power=1):
        self.power = power

    def fit(self, X, y):
        self.classes_, counts = np.unique(y, return_counts=True)
        self.shares_ = counts**self.power / (counts**self.power).sum()
        return self

    def predict_proba(self, X):
        return np.tile(self.shares_, (len(X), 1))
"""


@pytest.fixture
def here(tmp_path, monkeypatch, workspace):
    """Work in a folder with a data set and an own estimator, whose two trials are finished."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tally", raising=False)  # another test's
    (tmp_path / "tally.py").write_text(TALLY)
    chance = np.random.default_rng(0)
    images = chance.integers(0, 256, (200, 4, 4), dtype=np.uint8)
    np.savez("data.npz", images=images, labels=np.arange(200) % 3)
    assert reused() == [False, False]
    return tmp_path


def fit_both(**changes):
    """Fit the two trials, or find them finished; return what both came to."""
    config = parse_config({**BASE, **changes})
    workbench = open_workbench(config, None, settings=load_settings(), observer=NullObserver())
    with workbench as opened:
        results = opened.sweep.fit(expand_grid(config))
    assert [(result.status, result.error) for result in results] == [("finished", None)] * 2
    return results


def reused(**changes):
    """Fit the two trials; return which of them were found finished."""
    return [result.reused for result in fit_both(**changes)]


def change_arrays(**changes):
    with np.load("data.npz") as arrays:
        np.savez("data.npz", **{**arrays, **changes})


def test_what_does_not_change_a_result_does_not_run_a_trial_again(here):
    assert reused() == [True, True]
    assert reused(name="other", timeout_s=99, time_limit_s=99, memory_limit_mb=4096) == [True, True]
    assert reused(refit="all", repeats=1, description="told otherwise") == [True, True]
    os.utime("data.npz")
    os.utime("tally.py")
    assert reused(models=["sgd", "tally:Tally"]) == [True, True]


def test_a_changed_pixel_runs_the_trials_again(here):
    with np.load("data.npz") as arrays:
        images = arrays["images"].copy()
    images[7, 1, 2] ^= 1
    change_arrays(images=images)
    assert reused() == [False, False]


def test_a_changed_label_runs_the_trials_again(here):
    change_arrays(labels=np.roll(np.arange(200) % 3, 1))
    assert reused() == [False, False]


def test_another_target_runs_the_trials_again(here):
    assert reused(dataset={**BASE["dataset"], "target": "1"}) == [False, False]


def test_another_split_runs_the_trials_again(here):
    assert reused(dataset={**BASE["dataset"], "validation_fraction": 0.3}) == [False, False]


def test_a_changed_parameter_runs_its_trial_again(here):
    models = [{"model": "tally:Tally", "params": {"power": 2}}, "sgd"]
    assert reused(models=models) == [False, True]


def test_another_seed_runs_the_trials_again(here):
    assert reused(seed=7) == [False, False]


def test_other_numerics_run_the_trials_again(here):
    assert reused(threads=2) == [False, False]


@pytest.mark.parametrize("units_at_once", [0, 1])
def test_a_changed_source_file_runs_its_trial_again_as_it_is_now(here, monkeypatch, units_at_once):
    monkeypatch.setenv("PYTHONPATH", str(here))
    (here / "tally.py").write_text(TALLY.replace("np.tile(self.shares_,", "np.tile(np.eye(3)[2],"))
    tally, sgd = fit_both(units_at_once=units_at_once)
    assert (tally.reused, sgd.reused) == (False, True)
    assert set(tally.predictions.test.argmax(axis=1)) == {2}, "the rarest class, never said before"


def test_a_new_version_of_fitting_runs_the_trials_again(here, monkeypatch):
    monkeypatch.setattr("tenfold.sweep.FITTING_VERSION", 999)
    assert reused() == [False, False]


def test_a_deleted_artifacts_folder_runs_the_trials_again(here, workspace):
    shutil.rmtree(workspace.artifacts)
    assert reused() == [False, False]
    assert reused() == [True, True]


@pytest.mark.parametrize("name", ["predictions.npz", "trial.json"])
def test_a_damaged_file_runs_its_trial_again(here, workspace, name):
    first = sorted(workspace.artifacts.rglob(name))[0]
    first.write_bytes(first.read_bytes()[:-30])
    assert sorted(reused()) == [False, True]
    assert reused() == [True, True]


def test_lost_validation_predictions_run_their_trial_again(here, workspace):
    first = sorted(workspace.artifacts.rglob("predictions.npz"))[0]
    replace(Predictions.read(first), validation=None).write(first)
    assert sorted(reused()) == [False, True]


def test_predictions_of_older_versions_that_are_not_finite_run_their_trial_again(here, workspace):
    first = sorted(workspace.artifacts.rglob("predictions.npz"))[0]
    whole = Predictions.read(first)
    replace(whole, test=np.full_like(whole.test, np.nan)).write(first)
    assert sorted(reused()) == [False, True]
    assert reused() == [True, True]


@pytest.fixture
def disk(monkeypatch):
    """Return a set of file names; the disk is full when one of them is written."""
    full, fsync = set(), os.fsync

    def write_through(descriptor):
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if any(path.name.startswith(f".{name}.") for name in full):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", write_through)
    return full


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="finds open files as Linux does")
def test_a_disk_that_is_full_for_the_worker_fails_its_trials_and_the_next_run_goes_on(
    workspace, disk
):
    config = parse_config(
        {**BASE, "models": ["sgd"], "dataset": {"source": "digits", "cv_below": 0}}
    )
    disk.add("predictions")
    with pytest.raises(TrialError, match="cannot write .*predictions.*No space left on device"):
        run_experiment(config)
    assert not list(workspace.home.rglob(".predictions.*")), "nothing half-written"
    assert set(statuses(workspace)) == {"FAILED"}
    disk.clear()
    (row,) = run_experiment(config).leaderboard.rows
    assert (row.status, row.reused) == ("finished", False)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="finds open files as Linux does")
def test_a_disk_that_is_full_for_the_results_keeps_the_trials(workspace, disk):
    config = parse_config(
        {**BASE, "models": ["sgd"], "dataset": {"source": "digits", "cv_below": 0}}
    )
    disk.add("results")
    with pytest.raises(StorageError, match="cannot write .*results.*No space left on device"):
        run_experiment(config)
    assert not list(workspace.home.rglob(".results.*")), "nothing half-written"
    disk.clear()
    result = run_experiment(config)
    assert [row.reused for row in result.leaderboard.rows] == [True]
    document = json.loads((result.folder / "results.json").read_text(encoding="utf-8"))
    assert len(document["rows"]) == 1


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="finds open files as Linux does")
def test_a_disk_that_is_full_beside_the_tracker_leaves_no_finished_trial_failed(workspace, disk):
    config = parse_config(
        {**BASE, "models": ["sgd"], "dataset": {"source": "digits", "cv_below": 0}}
    )
    workbench = open_workbench(config, None, settings=load_settings(), observer=NullObserver())
    with workbench as opened:
        (trial,) = expand_grid(config)
        disk.add(opened.sweep.unit(trial).keys[0])
    with pytest.raises(StorageError, match="No space left on device"):
        run_experiment(config)
    assert "FINISHED" not in statuses(workspace)
    assert "RUNNING" not in statuses(workspace)


def test_a_later_experiment_names_the_trials_that_it_found_finished(here, workspace):
    run_experiment(parse_config({**BASE, "name": "later", "refit": "none"}))
    client = MlflowClient(tracking_uri=workspace.tracking_uri)
    ids = [found.experiment_id for found in client.search_experiments()]
    found = client.search_runs(ids)
    trials = {run.info.run_id for run in found if "tenfold.key" in run.data.tags}
    (parent,) = (run for run in found if run.info.run_name == "later")
    assert set(parent.data.tags["tenfold.reused"].split()) == trials
