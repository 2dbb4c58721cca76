"""Killed studies: only a kill within a trial counts, and nothing wrong goes unseen."""

import json
import sys

import pytest

from tenfold.config import canonical_params
from tenfold.records import Trial
from tenfold.tracking import MlflowTracker

#: A study of one trial in the place of `tenfold tune`: its first process never ends the trial.
STUDY = """
import json, os, shutil, sys, threading
from pathlib import Path
from tenfold.config import canonical_params, parse_config
from tenfold.search import Study, StudyPlan, StudyStorage, resolve_space
from tenfold.workspace import Workspace

workspace = Workspace(Path(os.environ["TENFOLD_HOME"])).open()
config = parse_config({"models": ["knn"], "tune": {"n_trials": 1}})
plan = StudyPlan(name="killed", model="knn", title="KNN", base=canonical_params("knn", {}),
                 space=resolve_space(config.models[0]), tune=config.tune, seed=0,
                 fingerprint="data", split="split")
study = Study(plan, StudyStorage(None, workspace), owner=str(os.getpid()))
study.release_stale(lambda owner: False, lambda params: None)
mark = workspace.home / "mark"
is_first = not mark.exists()
mark.touch()  # before a trial can be seen running: the kill may come right after
while asked := study.ask():
    if sys.argv[2] == "waits" and is_first:
        threading.Event().wait()
    study.finish(asked, {"accuracy": 0.5, "log_loss": 1.0, "latency": 3.0})
shutil.copy(sys.argv[1], workspace.home)
"""


@pytest.fixture
def study_kills(load, monkeypatch, empty_database):
    """Return the module, for which `command` starts the small study."""
    module = load("study_kills")

    def run(way, script=STUDY):
        words = [sys.executable, "-c", script, str(empty_database), way]
        monkeypatch.setattr(module, "command", lambda arguments: words)
        return module.main(["kills", "--kills", "1", "--trials", "1"])

    module.run = run
    return module


def test_a_study_is_killed_within_a_trial_and_is_whole_afterwards(study_kills, capsys):
    assert study_kills.run("waits") == 0
    out = capsys.readouterr().out
    assert "killed with 0 trials ended: trial 0 was running; 1 RUNNING" in out
    assert "1 trials of 1; not ended: []; failed: []; parameter sets tried more than once: 0" in out
    assert "its process ended; queued again" in out


def test_a_study_that_ends_before_it_is_killed_proves_nothing(study_kills, capsys):
    script = STUDY.replace("study.ask()", "None")
    assert study_kills.run("ends", script) == 1
    assert "NO KILL met a running trial" in capsys.readouterr().out


def test_a_command_that_fails_before_it_is_killed_ends_the_measurement(study_kills):
    with pytest.raises(SystemExit, match="failed with exit code 3"):
        study_kills.run("fails", "raise SystemExit(3)")


@pytest.mark.parametrize("ways", [["finish"], ["finish", "fail"], ["leave"], ["finish", "finish"]])
def test_a_run_left_running_or_a_trial_finished_twice_is_seen(load, workspace, tmp_path, ways):
    tracker = MlflowTracker(workspace, "tuned")
    parent = tracker.begin("tuned", lock="tuned", params={}, tags={})
    trial = Trial("knn", canonical_params("knn", {}), "KNN", "", seed=0)
    (tmp_path / "trial").mkdir()
    (tmp_path / "trial" / "trial.json").write_text(json.dumps({}))
    for way in ways:
        run = tracker.start(trial, "key", parent=parent)
        if way == "finish":
            tracker.finish(run, tmp_path / "trial", {})
        elif way == "fail":
            tracker.fail(run, "given up", status="KILLED")
    tracker.end(parent, {}, [])
    once = ways in (["finish"], ["finish", "fail"])
    assert load("study_kills").is_tracked_once(workspace) == once
