"""Experiments from configuration to report: honest, repeatable, remembered."""

import copy
import csv
import json
import sys
from dataclasses import replace

import pytest
from mlflow import MlflowClient

import tenfold.fitting
import tenfold.workbench
from tenfold.config import load_settings, parse_config
from tenfold.errors import SealedTestError, StorageError, TrackingError, TrialError
from tenfold.evaluation import TIME_COLUMNS
from tenfold.executor import LocalExecutor
from tenfold.experiment import run_experiment
from tenfold.tracking import MlflowTracker

QUICK = {
    "name": "quick",
    "units_at_once": 0,
    "threads": 1,
    "dataset": {"cv_repeats": 1, "cv_folds": 3},
}
OWN_ESTIMATOR = """
import threading

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

class Majority(ClassifierMixin, BaseEstimator):
    def __init__(self, share=1.0, seed=0):
        self.share = share
        self.seed = seed

    def fit(self, X, y):
        if self.share < 0:
            raise ValueError("share must not be negative")
        if self.share > 1:
            threading.Event().wait()
        self.classes_, counts = np.unique(y, return_counts=True)
        self.counts_ = counts / counts.sum()
        return self

    def predict_proba(self, X):
        return np.tile(self.counts_, (len(X), 1))

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]
"""


def config(**changes):
    return parse_config({"models": ["logistic_regression", "sgd"], **QUICK, **changes})


def read_rows(result):
    with (result.folder / "results.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def without_times(result):
    return [
        {name: cell for name, cell in row.items() if name not in TIME_COLUMNS}
        for row in read_rows(result)
    ]


@pytest.fixture
def runs(workspace):
    """Return a function that gives the MLflow runs by their names."""
    client = MlflowClient(tracking_uri=workspace.tracking_uri)

    def find():
        ids = [found.experiment_id for found in client.search_experiments()]
        return {run.info.run_name: run for run in client.search_runs(ids)}

    return find


@pytest.fixture
def own_source(tmp_path, monkeypatch):
    """Return the source file of an estimator that can be imported as majority:Majority."""
    path = tmp_path / "majority.py"
    path.write_text(OWN_ESTIMATOR)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "majority", raising=False)
    return path


def test_an_experiment_writes_its_four_results(workspace):
    result = run_experiment(config())
    assert result.failed == ()
    assert result.report.read_text(encoding="utf-8").startswith("<!doctype html>")
    rows = read_rows(result)
    assert list(rows[0])[:4] == ["Model", "Parameter", "Accuracy", "F1 Score"]
    assert [row["Model"] for row in rows] == ["Logistic Regression", "SGD"]
    document = json.loads((result.folder / "results.json").read_text(encoding="utf-8"))
    assert document["config"]["threads"] == 1
    assert document["winner"] == result.leaderboard.winner.key
    assert any((result.folder / "figures").iterdir())
    assert float(rows[0]["Accuracy"]) > 0.9


def test_runs_are_nested_and_finished_and_have_scores_and_figures(workspace, runs):
    run_experiment(config())
    found = runs()
    parent = found["quick"]
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    child = found["SGD"]
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert child.data.params["alpha"] == "0.0001"
    assert child.data.metrics["test_accuracy"] > 0.9
    assert child.data.metrics["select_accuracy"] > 0.9
    client = MlflowClient(tracking_uri=workspace.tracking_uri)
    names = {item.path for item in client.list_artifacts(child.info.run_id)}
    assert names == {"predictions.npz", "trial.json", "model.onnx", "proof.npz", "figures"}
    assert {item.path for item in client.list_artifacts(parent.info.run_id)} >= {"report.html"}


def test_the_test_labels_are_out_of_reach_until_every_choice_is_made(
    workspace, runs, monkeypatch, hold_out
):
    honest = run_experiment(config(dataset=hold_out, refit="all", name="honest"))
    real = tenfold.fitting.open_split

    def without_test_labels(*args):
        dataset, split = real(*args)
        return dataset, replace(split, test=copy.copy(split.test))  # labels are never copied

    monkeypatch.setattr(tenfold.workbench, "open_split", without_test_labels)
    monkeypatch.setattr(tenfold.fitting, "open_split", without_test_labels)
    tenfold.fitting._opened.cache_clear()
    told = []
    monkeypatch.setattr(
        tenfold.workbench,
        "open_sealed_test",
        lambda split, choices: told.append(choices) or real_open(split, choices=choices),
    )
    with pytest.raises(SealedTestError):
        run_experiment(config(dataset=hold_out, refit="all", name="sealed"), fresh=True)
    tenfold.fitting._opened.cache_clear()
    assert told == [{"winner": honest.leaderboard.winner_key, "refit": "all"}]
    finished = [run for run in runs().values() if run.info.status == "FINISHED"]
    assert {run.info.run_name for run in finished} >= {"SGD", "SGD refit"}


real_open = tenfold.workbench.open_sealed_test


def test_the_same_seed_gives_the_same_table_also_with_two_at_a_time(workspace):
    wanted = without_times(run_experiment(config(name="one")))
    again = run_experiment(config(name="two"), fresh=True)
    at_once = run_experiment(config(name="three"), LocalExecutor(2), fresh=True)
    assert without_times(again) == wanted
    assert without_times(at_once) == wanted


def test_finished_trials_are_not_run_again(workspace, monkeypatch):
    first = run_experiment(config())
    assert not any(row.reused for row in first.leaderboard.rows)
    monkeypatch.setattr(tenfold.fitting, "fit_unit", None)
    second = run_experiment(config())
    assert all(row.reused for row in second.leaderboard.rows)
    assert without_times(second) == without_times(first)


def test_a_trial_whose_files_are_gone_is_run_again(workspace):
    run_experiment(config())
    for path in workspace.artifacts.rglob("predictions.npz"):
        path.write_bytes(b"torn")
    result = run_experiment(config())
    assert not any(row.reused for row in result.leaderboard.rows)


def test_refits_see_train_and_validation_rows(workspace, hold_out):
    result = run_experiment(config(dataset=hold_out))
    fitted = {row.name: row.fitted_on for row in result.leaderboard.rows}
    winner = result.leaderboard.winner.name
    assert fitted.pop(winner) == "train + validation"
    assert set(fitted.values()) == {"train"}
    everyone = run_experiment(config(dataset=hold_out, refit="all"))
    assert {row.fitted_on for row in everyone.leaderboard.rows} == {"train + validation"}
    nobody = run_experiment(config(dataset=hold_out, refit="none"))
    assert {row.fitted_on for row in nobody.leaderboard.rows} == {"train"}


def test_repeats_make_one_row_with_its_spread(workspace):
    result = run_experiment(config(models=["sgd"], repeats=3))
    (row,) = result.leaderboard.rows
    assert row.repeats == 3
    assert row.seeds == (42, 43, 44)
    assert row.accuracy_sd is not None


def test_an_own_estimator_takes_part_by_its_dotted_path(workspace, own_source):
    entry = {"model": "majority:Majority", "params": {"share": 0.5}}
    result = run_experiment(config(models=["sgd", entry]))
    row = result.leaderboard.rows[1]
    assert (row.title, row.label) == ("Majority", "share=0.5")
    own_source.write_text(OWN_ESTIMATOR + "\n# changed\n")
    again = run_experiment(config(models=["sgd", entry]))
    assert [row.reused for row in again.leaderboard.rows] == [True, False]


def test_scikit_learns_own_estimators_take_part_and_margins_are_calibrated(workspace):
    models = ["sklearn.svm:LinearSVC", "sklearn.linear_model:Perceptron", "sklearn.svm:SVR"]
    result = run_experiment(config(models=models, seed=1))
    assert [row.status for row in result.leaderboard.rows] == ["finished", "finished", "failed"]
    assert result.leaderboard.rows[0].calibration["kind"] == "temperature"
    assert "neither predict_proba nor decision_function" in result.failed[0].error


def test_probabilities_are_calibrated_and_those_of_a_refit_as_of_its_train_fit(workspace):
    changes = {"models": ["random_forest"], "dataset": {"cv_below": 0}}
    train, refit = (
        run_experiment(config(**changes, refit=refit)).leaderboard.rows[0]
        for refit in ("none", "winner")
    )
    assert train.calibration["kind"] == "probabilities"
    assert train.calibration["temperature"] < 0.7  # trees vote for many classes: unsure by far
    assert refit.calibration == train.calibration
    assert refit.key == train.key
    assert train.scores.ece.value < 0.05 > refit.scores.ece.value


def test_no_run_is_left_running_where_a_later_trial_of_its_fit_cannot_start(
    workspace, runs, monkeypatch
):
    start = MlflowTracker.start

    def refused(self, trial, key, **options):
        if trial.params["n_neighbors"] == 3:
            raise TrackingError("MLflow is gone")
        return start(self, trial, key, **options)

    monkeypatch.setattr(MlflowTracker, "start", refused)
    with pytest.raises(TrackingError, match="MLflow is gone"):
        run_experiment(config(models=[{"model": "knn", "grid": {"n_neighbors": [1, 3]}}]))
    monkeypatch.undo()
    assert runs()["KNN n_neighbors=1"].info.status == "KILLED"


def test_a_failing_trial_is_a_failed_row_and_the_others_go_on(workspace, runs, own_source):
    entry = {"model": "majority:Majority", "params": {"share": -1}}
    result = run_experiment(config(models=[entry, "sgd"]))
    (failed,) = result.failed
    assert failed.error == "ValueError: share must not be negative"
    assert [row["Status"] for row in read_rows(result)] == ["failed", "finished"]
    run = runs()["Majority share=-1"]
    assert run.info.status == "FAILED"
    assert "Traceback" in run.data.tags["tenfold.reason"]


def test_when_every_trial_fails_the_first_reason_is_told(workspace, runs, own_source):
    with pytest.raises(TrialError, match="not one of 1 trials finished.*must not be negative"):
        run_experiment(config(models=[{"model": "majority:Majority", "params": {"share": -1}}]))
    assert {run.info.status for run in runs().values()} == {"FAILED"}


def test_limits_end_what_runs_and_the_rest_is_reported(workspace, runs, own_source):
    executor = LocalExecutor(1, environ={"PYTHONPATH": str(own_source.parent)})
    hanging = {"model": "majority:Majority", "grid": {"share": [2, 3]}}
    models = ["sgd", {**hanging, "timeout_s": 1}, "logistic_regression"]
    result = run_experiment(config(models=models), executor)
    assert [row.status for row in result.leaderboard.rows] == [
        "finished",
        "failed",
        "failed",
        "finished",
    ]
    assert "timeout_s=1" in result.failed[0].error
    models = ["sgd", hanging]
    result = run_experiment(config(models=models, time_limit_s=5), executor)
    assert [row.error for row in result.failed] == [
        "ended: the experiment's time_limit_s was up",
        "not run: the experiment's time_limit_s was up",
    ]
    assert {run.info.status for run in runs().values()} == {"FINISHED", "FAILED"}


def test_results_that_cannot_be_written_are_told_and_trials_are_kept(workspace, runs):
    workspace.results("quick").parent.mkdir()
    workspace.results("quick").write_text("in the way")
    with pytest.raises(StorageError, match="cannot write"):
        run_experiment(config(models=["sgd"]))
    found = {name: run.info.status for name, run in runs().items()}
    assert found == {"quick": "FAILED", "SGD": "FINISHED"}


def test_nothing_is_tracked_when_nobody_wants_it(tmp_path):
    result = run_experiment(config(models=["sgd"], tracking="none"))
    assert result.report.exists()
    assert not (tmp_path / "workspace" / "mlflow.db").exists()


def test_a_binary_task_reports_a_threshold_chosen_before_the_test(workspace):
    result = run_experiment(
        config(models=["sgd"], dataset={**QUICK["dataset"], "target": "5"}, wanted_precision=0.8)
    )
    assert result.leaderboard.class_names == ("not 5", "5")
    assert "precision" in result.report.read_text(encoding="utf-8").lower()


def test_settings_and_resolution_are_recorded(workspace):
    result = run_experiment(config(models=["sgd"]), settings=load_settings())
    assert (result.config.device, result.config.precision) == ("cpu", "float32")
