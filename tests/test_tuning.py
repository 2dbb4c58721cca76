"""Tuning from configuration to report: judged on select rows, pruned, resumed, remembered."""

import csv
import json
import math
import sys
import time
from datetime import UTC, datetime

import numpy as np
import optuna
import pytest
from mlflow import MlflowClient

import tenfold.fitting
import tenfold.reporting
import tenfold.searching
from tenfold.bundling import export_bundle
from tenfold.config import load_settings, parse_config
from tenfold.data import open_sealed_test
from tenfold.errors import ConfigError, StudyError, TrialError
from tenfold.experiment import run_experiment
from tenfold.searching import NullStudyObserver
from tenfold.tuning import run_tuning

MLP = {
    "model": "mlp",
    "params": {"hidden_layers": [16], "epochs": 3},
    "space": {"batch_size": [32], "learning_rate": {"low": 1e-4, "high": 1e-1}},
}
OWN_ESTIMATOR = """
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

class Picky(ClassifierMixin, BaseEstimator):
    def __init__(self, taste=1, seed=0):
        self.taste = taste
        self.seed = seed

    def fit(self, X, y):
        if self.taste == 13:
            raise ValueError("13 is unlucky")
        if self.taste == 7:
            raise KeyboardInterrupt
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return np.eye(len(self.classes_))[np.full(len(X), self.taste % len(self.classes_))]
"""


@pytest.fixture
def pictures():
    """Ask for the report's pictures, which take longer than what most tests here are about."""


@pytest.fixture(autouse=True)
def fewer_pictures(request, monkeypatch):
    """Draw nothing unless a test asks for it."""
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr(tenfold.reporting, "draw_figures", lambda content: ())
        monkeypatch.setattr(tenfold.reporting, "draw_row", lambda row, content, test: ())


@pytest.fixture
def config(hold_out):
    """Return a function that makes a configuration."""

    def made(model, *, tune=None, **changes):
        raw = {"name": "tuned", "dataset": hold_out, "threads": 1, "units_at_once": 0}
        return parse_config({**raw, "models": [model], "tune": tune, **changes})

    return made


@pytest.fixture
def picky(tmp_path, monkeypatch):
    """Return the entry of an estimator that fails for 13 and is interrupted at 7."""
    (tmp_path / "picky.py").write_text(OWN_ESTIMATOR)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "picky", raising=False)

    def entry(*tastes):
        return {"model": "picky:Picky", "space": {"taste": list(tastes)}}

    return entry


@pytest.fixture
def runs(studies):
    """Return a function that gives the MLflow runs."""
    client = MlflowClient(tracking_uri=studies.tracking_uri)

    def find():
        ids = [found.experiment_id for found in client.search_experiments()]
        return client.search_runs(ids, max_results=1000)

    return find


class Recorder(NullStudyObserver):
    """Remembers how the study stood after each trial, and what began."""

    def __init__(self):
        self.histories, self.numbers, self.fitted = [], [], []

    def begun(self, history):
        self.histories.append(history)

    def judged(self, history, number):
        self.histories.append(history)
        self.numbers.append(number)

    def started(self, unit):
        self.fitted.append(unit.name)


class Hearing(Recorder):
    """Remembers what was said too."""

    def __init__(self):
        super().__init__()
        self.heard = []

    def said(self, text):
        self.heard.append(text)


class Late(Hearing):
    """Lets the clock jump by a minute when a trial starts, once so many have ended."""

    def __init__(self, monkeypatch, *, after):
        super().__init__()
        self.after, now = after, time.monotonic
        monkeypatch.setattr("time.monotonic", lambda: now() + 60 * self.is_late)

    is_late = False

    def judged(self, history, number):
        super().judged(history, number)
        self.is_late = len(self.numbers) >= self.after > 0

    def started(self, unit):
        super().started(unit)
        self.is_late = len(self.numbers) >= self.after


def test_a_study_prunes_and_its_best_is_refitted_tested_and_reported(
    studies, config, runs, pictures
):
    result = run_tuning(config(MLP, tune={"n_trials": 8}))
    (history,) = result.histories
    pruned, finished = history.of("pruned"), history.of("finished")
    assert len(history.trials) == len(pruned) + len(finished) == 8
    assert pruned
    assert {max(trial.steps) for trial in finished} == {3}
    assert max(max(trial.steps) for trial in pruned) < 3
    assert history.start.number == 0
    assert history.best.values[0] > history.start.values[0]
    rows = {row.label: row for row in result.leaderboard.rows}
    assert rows.keys() == {history.start.label, history.best.label}
    winner = result.leaderboard.winner
    assert winner.label == history.best.label
    assert winner.fitted_on == "train + validation"
    found = runs()
    (parent,) = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    assert parent.info.status == "FINISHED"
    assert float(parent.data.params["best_learning_rate"]) == history.best.drawn["learning_rate"]
    assert parent.data.metrics["best_accuracy"] == history.best.values[0]
    nested = [run for run in found if run is not parent]
    assert {run.data.tags["mlflow.parentRunId"] for run in nested} == {parent.info.run_id}
    killed = [run for run in nested if run.info.status == "KILLED"]
    assert len(killed) == len(pruned)
    assert {run.data.tags["tenfold.reason"] for run in killed} <= {
        "pruned at step 1",
        "pruned at step 2",
    }
    assert list(studies.checkpoints.glob("*")) == []
    names = {
        item.path for item in MlflowClient(studies.tracking_uri).list_artifacts(parent.info.run_id)
    }
    assert {"study-mlp-history.svg", "study-mlp-steps.svg", "trials-mlp.csv"} <= names
    report = result.report.read_text(encoding="utf-8")
    assert "The search" in report
    assert "without tuning" in report
    with (result.folder / "trials-mlp.csv").open(newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 8
    document = json.loads((result.folder / "results.json").read_text(encoding="utf-8"))
    assert document["studies"][0]["best"] == history.best.number


def test_trials_are_judged_by_the_select_rows_and_nothing_else(studies, config, monkeypatch):
    opened = []
    monkeypatch.setattr(
        "tenfold.workbench.open_sealed_test",
        lambda split, choices: (
            opened.append(len(judged)) or open_sealed_test(split, choices=choices)
        ),
    )
    judged = []
    real = tenfold.searching.RANKINGS["accuracy"]
    ranked = {**tenfold.searching.RANKINGS, "accuracy": lambda y, p: judged.append(y) or real(y, p)}
    monkeypatch.setattr(tenfold.searching, "RANKINGS", ranked)
    made = config("sgd", tune={"n_trials": 3})
    result = run_tuning(made)
    _, split = tenfold.fitting.open_split(made.dataset, load_settings().data_dir)
    select = split.labels[split.validation_rows[split.select]]
    assert all(np.array_equal(labels, select) for labels in judged)
    assert opened == [3]  # once, after the last trial
    assert result.leaderboard.n_select == len(select)


def test_the_same_command_goes_on_and_finished_trials_are_not_fitted_again(studies, config):
    first, second = Recorder(), Recorder()
    run_tuning(config("sgd", tune={"n_trials": 3}), observer=first)
    result = run_tuning(config("sgd", tune={"n_trials": 5}), observer=second)
    assert second.numbers == [3, 4]
    assert len(second.histories[0].trials) == 3
    assert len(result.histories[0].trials) == 5
    assert sum("alpha" in name for name in second.fitted) >= 2
    third = Recorder()
    run_tuning(config("sgd", tune={"n_trials": 5}), observer=third)
    assert third.fitted == []


def test_trials_of_a_lost_study_are_found_in_mlflow(studies, config):
    run_tuning(config("sgd", tune={"n_trials": 3}))
    observer = Recorder()
    result = run_tuning(
        config("sgd", tune={"n_trials": 3, "study_name": "again"}), observer=observer
    )
    assert [name for name in observer.fitted if "refit" not in name] == []
    assert len(result.histories[0].of("finished")) == 3


def test_what_is_remembered_is_judged_as_if_it_were_run(studies, config):
    first = run_tuning(config(MLP, tune={"n_trials": 6})).histories[0]
    whole = {**MLP["params"], "batch_size": 32}
    rates = [trial.drawn["learning_rate"] for trial in first.of("pruned")]
    plain = [{"model": "mlp", "params": {**whole, "learning_rate": rate}} for rate in rates]
    run_experiment(parse_config({**config("mlp").model_dump(), "models": plain}))
    again = run_tuning(config(MLP, tune={"n_trials": 6, "study_name": "again"})).histories[0]
    told = [(trial.drawn, trial.state, trial.steps) for trial in again.trials]
    assert told == [(trial.drawn, trial.state, trial.steps) for trial in first.trials]


def test_when_the_experiments_time_is_up_no_trial_is_used_up(studies, config, monkeypatch):
    changes = {"time_limit_s": 50, "refit": "none"}
    made = config("sgd", tune={"n_trials": 3}, **changes)
    with monkeypatch.context() as patched:
        (history,) = run_tuning(made, observer=Late(patched, after=1)).histories
    assert [trial.state for trial in history.trials] == ["finished"]
    (history,) = run_tuning(made).histories
    assert [trial.state for trial in history.trials] == ["finished"] * 3


def test_a_trial_that_the_experiments_time_cut_off_is_run_the_next_time(
    studies, config, picky, monkeypatch
):
    made = config(picky(13), tune={"n_trials": 1}, time_limit_s=50)
    with (
        monkeypatch.context() as patched,
        pytest.raises(TrialError, match="the time was up before the first trial"),
    ):
        run_tuning(made, observer=Late(patched, after=0))
    with pytest.raises(TrialError, match="not one of 1 trials .* 13 is unlucky"):
        run_tuning(made)


def test_a_study_without_time_for_a_trial_leaves_the_others_their_result(
    studies, config, monkeypatch
):
    made = config("sgd", tune={"n_trials": 2}, time_limit_s=50, refit="none")
    both = parse_config({**made.model_dump(), "models": ["sgd", "knn"]})
    observer = Late(monkeypatch, after=2)
    result = run_tuning(both, observer=observer)
    assert [history.name for history in result.histories] == ["tuned-sgd"]
    assert "study tuned-knn: the time was up before its first trial" in observer.heard


def test_where_the_space_leaves_the_defaults_out_nothing_is_called_untuned(studies, config):
    space = {"C": {"low": 50, "high": 90}}
    svm = {"model": "svm", "space": space}
    result = run_tuning(config(svm, tune={"n_trials": 1, "default_space": False}))
    (history,) = result.histories
    assert history.trials[0].drawn == {"C": 50.0}
    assert history.start is None
    assert "without tuning" not in result.report.read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore:Query string argument")  # SQLite needs no password
def test_a_databases_password_is_in_no_file(studies, config, tmp_path):
    address = f"sqlite:///{tmp_path}/s.db?password=secret"
    result = run_tuning(config("sgd", tune={"n_trials": 1, "storage": address}))
    for name in ("report.html", "results.json"):
        text = (result.folder / name).read_text(encoding="utf-8")
        assert "secret" not in text
        assert "s.db?password=***" in text


def test_more_adds_to_what_there_is(studies, config):
    run_tuning(config("sgd", tune={"n_trials": 2}))
    result = run_tuning(config("sgd", tune={"n_trials": 2}), more=1)
    assert len(result.histories[0].trials) == 3


def test_what_a_killed_process_left_is_told_or_run_again(studies, config):
    whole = run_tuning(config("sgd", tune={"n_trials": 3})).histories[0]
    study = optuna.load_study(study_name="tuned", storage=f"sqlite:///{studies.home}/studies.db")
    identity = study.user_attrs["tenfold"]
    left = optuna.create_study(study_name="left", storage=study._storage, direction="maximize")
    left.set_user_attr("tenfold", identity)
    finished, unfinished = whole.trials[1], {"alpha": 1e-3, "loss": "log_loss"}
    for drawn, params in (
        (dict(finished.drawn), dict(finished.params)),
        (unfinished, {**finished.params, **unfinished}),
    ):
        left.enqueue_trial(drawn)
        trial = left.ask()
        for name, part in study.trials[0].distributions.items():
            trial._suggest(name, part)
        trial.set_user_attr("owner", f"{studies.identity}|experiment-of-a-killed-process")
        trial.set_user_attr("params", params)
    observer = Recorder()
    result = run_tuning(
        config("sgd", tune={"n_trials": 2, "study_name": "left"}), observer=observer
    )
    (history,) = result.histories
    assert [trial.state for trial in history.trials] == ["finished", "finished"]
    assert history.trials[0].values == finished.values
    assert history.trials[1].drawn == unfinished
    assert len([name for name in observer.fitted if "refit" not in name]) == 1


def test_a_failing_trial_is_recorded_and_the_study_goes_on(studies, config, picky, runs):
    result = run_tuning(config(picky(1, 2, 13), tune={"n_trials": 3}))
    (history,) = result.histories
    assert len(history.of("finished")) == 2
    (failed,) = history.of("failed")
    assert failed.reason == "ValueError: 13 is unlucky"
    assert "13 is unlucky" in result.report.read_text(encoding="utf-8")
    assert "FAILED" in {run.info.status for run in runs()}


def test_a_study_without_a_finished_trial_says_why(studies, config, picky):
    with pytest.raises(
        TrialError, match="not one of 1 trials of study 'tuned' finished; the first"
    ):
        run_tuning(config(picky(13), tune={"n_trials": 1}))


def test_ctrl_c_leaves_nothing_running_and_the_trial_comes_first_again(studies, config, picky):
    with pytest.raises(KeyboardInterrupt):
        run_tuning(config(picky(7), tune={"n_trials": 1}))
    study = optuna.load_study(study_name="tuned", storage=f"sqlite:///{studies.home}/studies.db")
    states = [trial.state.name for trial in study.trials]
    assert states == ["FAIL", "WAITING"]
    assert study.trials[0].user_attrs["not counted"] == "was interrupted; queued again"


def test_without_a_tracker_the_results_of_this_call_are_at_hand(studies, config):
    observer = Recorder()
    result = run_tuning(config("sgd", tune={"n_trials": 2}, tracking="none"), observer=observer)
    assert result.leaderboard.winner is not None
    assert len([name for name in observer.fitted if "refit" not in name]) == 2


def test_several_models_have_a_study_each_and_one_winner(studies, config):
    made = config("sgd", tune={"n_trials": 2})
    both = parse_config({**made.model_dump(), "models": ["sgd", "knn"]})
    result = run_tuning(both)
    assert [history.name for history in result.histories] == ["tuned-sgd", "tuned-knn"]
    assert {row.model for row in result.leaderboard.rows} == {"sgd", "knn"}


def test_boosted_trees_are_pruned_by_what_they_report(studies, config):
    rates = {"low": 1e-4, "high": 1, "log": True}
    model = {
        "model": "xgboost",
        "params": {"n_estimators": 25, "max_depth": 2},
        "space": {"learning_rate": rates},
    }
    halving = {"n_trials": 12, "reduction_factor": 2}
    (history,) = run_tuning(config(model, tune=halving)).histories
    assert {tuple(trial.steps) for trial in history.of("finished")} == {(10, 20)}
    # Of what was reported so far after 10 trees the better half goes on.
    first = [trial.steps[10] for trial in history.trials]
    least = [sorted(first[: n + 1])[-max(1, (n + 1) // 2)] for n in range(len(first))]
    goes_on = [value >= bound for value, bound in zip(first, least, strict=True)]
    assert [20 in trial.steps for trial in history.trials] == goes_on
    assert False in goes_on


def test_what_is_searched_for_is_what_the_winner_is_chosen_by_everywhere(studies, config, tmp_path):
    made = config("sgd", tune={"n_trials": 3, "objectives": ["log_loss"]}, refit="none")
    result = run_tuning(made)
    (history,) = result.histories
    board = result.leaderboard
    assert board.rank_by == "log_loss"
    assert board.winner.label == history.best.label
    losses = [row.scores.log_loss.value for row in board.ranked]
    assert losses == sorted(losses)
    document = json.loads((result.folder / "results.json").read_text(encoding="utf-8"))
    assert document["rank_by"] == "log_loss"
    assert "chosen by its log loss" in result.report.read_text(encoding="utf-8")
    bundle = export_bundle(
        "tuned", tmp_path / "out", created=datetime.now(UTC), settings=load_settings()
    )
    assert bundle.info.chosen_by.startswith("It is the best of 3 by log_loss on ")


def test_an_earlier_runs_tables_are_neither_kept_nor_tracked(studies, config, runs):
    earlier = run_tuning(config("sgd", tune={"n_trials": 1}, refit="none"))
    (earlier.folder / "cv-sgd.csv").write_text("of a grid search under the same name")
    result = run_tuning(config("knn", tune={"n_trials": 1, "study_name": "other"}, refit="none"))
    assert [path.name for path in result.folder.glob("*-*.csv")] == ["trials-knn.csv"]
    client = MlflowClient(studies.tracking_uri)
    parents = [run for run in runs() if "mlflow.parentRunId" not in run.data.tags]
    tracked = [
        {item.path for item in client.list_artifacts(run.info.run_id) if "trials" in item.path}
        for run in sorted(parents, key=lambda run: run.info.start_time)
    ]
    assert tracked == [{"trials-sgd.csv"}, {"trials-knn.csv"}]


def test_why_a_study_ends_before_it_has_its_trials_is_said(studies, config):
    observer = Hearing()
    knn = {"model": "knn", "params": {"weights": "uniform"}, "space": {"n_neighbors": [1, 5]}}
    run_tuning(config(knn, tune={"n_trials": 5}), observer=observer)
    assert "study tuned: every parameter set was tried" in observer.heard
    space = {"alpha": {"low": 0.5, "high": math.nextafter(0.5, 1)}, "loss": None}
    sgd = {"model": "sgd", "space": space}
    run_tuning(config(sgd, tune={"n_trials": 5, "study_name": "b"}), observer=observer)
    said = "study b: 50 draws in a row were tried already or break a rule"
    assert said in observer.heard


def test_accuracy_against_time_keeps_a_front_and_prunes_nothing(studies, config):
    tune = {"n_trials": 4, "objectives": ["accuracy", "latency"]}
    result = run_tuning(config(MLP, tune=tune))
    (history,) = result.histories
    assert len(history.of("finished")) == 4
    assert all(len(trial.values) == 2 for trial in history.trials)
    assert {trial.label for trial in history.front} <= {r.label for r in result.leaderboard.rows}


def test_the_prediction_time_is_measured_on_select_images_with_no_fit_beside(studies, config):
    class Company(NullStudyObserver):
        now = most = 0

        def started(self, _unit):
            self.now += 1
            self.most = max(self.most, self.now)

        def ended(self, _unit, _results):
            self.now -= 1

    tune = {"n_trials": 3, "objectives": ["accuracy", "latency"]}
    company = Company()
    (history,) = run_tuning(
        config("sgd", tune=tune, units_at_once=2, refit="none"), observer=company
    ).histories
    assert company.most == 1
    measured = [trial.scores["latency"] for trial in history.trials]
    assert len(set(measured)) == 3
    assert min(measured) > 0
    plain = run_tuning(config("sgd", name="plain", tune={"n_trials": 1}))
    assert "latency" not in plain.histories[0].trials[0].scores


def test_on_few_images_trials_are_judged_in_cross_validation_without_pruning(studies, config):
    few = {"source": "digits", "cv_folds": 2, "cv_repeats": 1, "max_images": 150}
    model = {**MLP, "params": {**MLP["params"], "epochs": 2}}
    observer = Hearing()
    result = run_tuning(config(model, tune={"n_trials": 3}, dataset=few), observer=observer)
    assert len(result.histories[0].of("finished")) == 3
    (said,) = [text for text in observer.heard if "no trial is ended early" in text]
    assert "fewer than 5,000 images (dataset.cv_below) are cross-validated" in said
    page = result.report.read_text(encoding="utf-8")
    assert "judged by cross-validation of the development images, so none was ended early" in page
    assert "on the select rows" not in page


def test_that_nothing_is_ended_early_is_said_only_where_something_would_be(studies, config):
    few = {"source": "digits", "cv_folds": 2, "cv_repeats": 1, "max_images": 150}
    observer = Hearing()
    run_tuning(config("sgd", tune={"n_trials": 1}, dataset=few), observer=observer)
    unpruned = {"n_trials": 1, "pruner": "none", "study_name": "unpruned"}
    run_tuning(config(MLP, tune=unpruned, dataset=few), observer=observer)
    page = run_tuning(
        config(MLP, tune={"n_trials": 1, "study_name": "held out"}), observer=observer
    ).report.read_text(encoding="utf-8")
    assert not any("ended early" in text for text in observer.heard)
    assert "Trials were judged on the select rows of the validation images." in page


def test_a_study_of_other_data_under_the_same_name_is_refused(studies, config, tmp_path):
    run_tuning(config("sgd", tune={"n_trials": 1}))
    other = {"source": "digits", "max_images": 300}
    with pytest.raises(StudyError, match="is one of something else: data"):
        run_tuning(config("sgd", tune={"n_trials": 1}, dataset=other))


def test_a_wrong_space_is_told_before_anything_is_read(studies, config):
    missing = {"source": "no-such-data"}
    with pytest.raises(ConfigError, match="range 1000 to 100 is empty"):
        run_tuning(config({"model": "svm", "space": {"C": {"low": 1000}}}, dataset=missing))


def test_two_worker_processes_share_a_study_and_are_stopped_where_a_trial_is_pruned(
    studies, config
):
    (history,) = run_tuning(config(MLP, tune={"n_trials": 5}, units_at_once=2)).histories
    assert len(history.trials) == 5
    assert len({tuple(trial.drawn.items()) for trial in history.trials}) == 5
    assert history.of("pruned")


def test_n_jobs_means_fits_at_once_each_on_one_core(workspace, config):
    made = config("knn", tune={"n_trials": 2, "n_jobs": 2}, threads=None, units_at_once=None)
    resolved = run_tuning(made).config
    assert (resolved.units_at_once, resolved.threads) == (2, 1)
