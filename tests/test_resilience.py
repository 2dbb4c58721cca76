"""Kills, interrupts and company: nothing is lost, nothing is done twice."""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

from tenfold.evaluation import TIME_COLUMNS

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


def test_an_interrupt_ends_cleanly_and_keeps_what_is_finished(gates, workspace):
    let(gates, 0)
    process = start(gates)
    wait_at(gates, process, 1)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert not any(child.is_running() for child in children)
    assert sorted(set(statuses(workspace))) == ["FINISHED", "KILLED"]


def test_two_at_once_both_finish_and_each_trial_is_run_once(gates, tmp_path):
    assert not Path(os.environ["TENFOLD_HOME"]).exists()
    let(gates, 0, 1, 2)
    both = [start(gates), start(gates)]
    for process in both:
        finish(process)
    assert sorted(fits(gates)) == ["0", "1", "2"]
