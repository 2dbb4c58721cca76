"""Grid search: scikit-learn's table, honest folds, fits shared, the best fitted and tested."""

import csv
import json
from datetime import UTC, datetime

import numpy as np
import pytest
from mlflow import MlflowClient
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier

import tenfold.fitting
import tenfold.reporting
from tenfold.bundling import export_bundle
from tenfold.config import load_settings, parse_config
from tenfold.errors import ConfigError, TrialError
from tenfold.executor import LocalExecutor
from tenfold.experiment import run_experiment
from tenfold.grid_search import run_grid_search
from tenfold.runner import NullObserver
from tenfold.tracking import MlflowTracker

KNN = {"model": "knn", "grid": {"n_neighbors": [1, 3, 9], "weights": ["uniform", "distance"]}}


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """Draw nothing: the pictures have tests of their own."""
    monkeypatch.setattr(tenfold.reporting, "draw_figures", lambda content: ())
    monkeypatch.setattr(tenfold.reporting, "draw_row", lambda row, content, test: ())


@pytest.fixture
def config():
    """Return a function that makes a configuration on some of the digits."""

    def made(*models, **changes):
        raw = {"name": "grids", "dataset": {"source": "digits", "max_images": 400}}
        raw |= {"threads": 1, "units_at_once": 0, "models": models, **changes}
        return parse_config(raw)

    return made


class Fits(NullObserver):
    """Remembers what was fitted."""

    def __init__(self):
        self.names = []

    def started(self, unit):
        self.names.append(unit.name)


def record_of(workspace, run_id):
    tracker = MlflowTracker(workspace, None)
    with tracker.folder(run_id, only=("trial.json",)) as folder:
        return json.loads((folder / "trial.json").read_text(encoding="utf-8"))


def numbers_in(value):
    """Return the numbers of nested lists and objects, in order."""
    if isinstance(value, dict | list):
        parts = value.values() if isinstance(value, dict) else value
        return [number for part in parts for number in numbers_in(part)]
    return [value] if isinstance(value, int | float) else []


def table_of(result, model):
    with (result.folder / f"cv-{model}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_table_has_the_columns_and_the_scores_of_scikit_learn(workspace, config):
    made = config(KNN, tune={"cv": 3})
    result = run_grid_search(made)
    rows = table_of(result, "knn")
    _, split = tenfold.fitting.open_split(result.config.dataset, load_settings().data_dir)
    assert split.cross_validated
    folds = [(part.fit_rows, part.held_rows) for part in split.rounds]
    stock = GridSearchCV(KNeighborsClassifier(algorithm="brute"), KNN["grid"], cv=folds)
    stock.fit(split.images.astype(np.float64), split.labels)
    assert set(rows[0]) == set(stock.cv_results_)
    ours = {(row["param_n_neighbors"], row["param_weights"]): row for row in rows}
    for place, params in enumerate(stock.cv_results_["params"]):
        row = ours[str(params["n_neighbors"]), params["weights"]]
        for name in ("split0_test_score", "mean_test_score", "std_test_score", "rank_test_score"):
            assert float(row[name]) == pytest.approx(stock.cv_results_[name][place])


def test_every_development_row_is_held_out_once_with_every_class_in_each_fold(workspace, config):
    made = config(KNN, tune={"cv": 4})
    _, split = tenfold.fitting.open_split(
        run_grid_search(made).config.dataset, load_settings().data_dir
    )
    assert len(split.rounds) == 4
    assert sorted(split.validation_rows) == list(range(len(split.labels)))
    assert all(len(np.unique(split.labels[part.held_rows])) == 10 for part in split.rounds)


def test_combinations_that_one_fit_answers_share_it_and_no_model_is_fitted_for_the_rest(
    workspace, config
):
    fits = Fits()
    result = run_grid_search(config(KNN), observer=fits)
    assert len(fits.names) == 3  # two kinds of votes, each for three numbers; then the best
    assert fits.names[-1].endswith("(refit)")
    (row,) = result.leaderboard.rows
    assert row.label == result.tables[0].best.label
    again = Fits()
    run_grid_search(config(KNN), observer=again)
    assert again.names == []


@pytest.mark.parametrize(
    "model",
    [
        {"model": "svm", "grid": {"C": [1, 10], "gamma": ["scale", 0.1]}},
        {"model": "sgd", "grid": {"alpha": [1e-4, 1e-3]}},
        {"model": "fcnn", "grid": {"epochs": [1, 2]}},
    ],
    ids=lambda model: model["model"],
)
def test_the_best_is_what_a_cross_validated_fit_of_its_own_comes_to(workspace, config, model):
    """Its folds are not fitted again: calibration and limits are those of the grid's folds."""
    searched = run_grid_search(config(model, name="searched"))
    (found,) = searched.leaderboard.rows
    alone = {name: [value] for name, value in searched.tables[0].best.params.items()}
    dataset = searched.config.dataset.model_dump(mode="json")
    compared = config(
        {"model": model["model"], "grid": alone}, name="compared", dataset=dataset, refit="none"
    )
    (whole,) = run_experiment(compared).leaderboard.rows
    assert (found.params, found.fitted_on) == (whole.params, "all development rows")
    assert found.scores.accuracy == whole.scores.accuracy
    assert found.scores.log_loss.value == pytest.approx(whole.scores.log_loss.value, rel=1e-3)
    assert found.validation == whole.validation
    assert found.history == whole.history
    records = [record_of(workspace, row.run_id) for row in (found, whole)]
    for name in ("calibration", "outlier"):
        wanted = numbers_in(records[1][name])
        assert numbers_in(records[0][name]) == pytest.approx(wanted, rel=1e-3)


WHOLE = """
from sklearn.neighbors import KNeighborsClassifier

class Whole(KNeighborsClassifier):
    "Fits folds, and refuses all rows."

    def fit(self, X, y):
        if len(X) > 300:
            raise MemoryError("too much")
        return super().fit(X, y)
"""


def test_where_the_best_cannot_be_fitted_on_all_rows_its_row_says_so(
    workspace, config, tmp_path, monkeypatch
):
    (tmp_path / "whole.py").write_text(WHOLE)
    monkeypatch.syspath_prepend(tmp_path)
    own = {"model": "whole:Whole"}
    with pytest.raises(TrialError, match="not one of 1 trials finished; the first: .*too much"):
        run_grid_search(config(own))
    result = run_grid_search(config(own, KNN))
    failed, knn = result.leaderboard.rows
    assert (failed.status, knn.status) == ("failed", "finished")
    assert "too much" in failed.error
    assert result.leaderboard.winner is knn


def test_the_best_of_each_model_is_tested_and_tracked(workspace, config):
    sgd = {"model": "sgd", "grid": {"alpha": [1e-4, 1e-3]}}
    result = run_grid_search(config(KNN, sgd))
    assert {row.model for row in result.leaderboard.rows} == {"knn", "sgd"}
    assert not any("graph" in warning for warning in result.warnings)
    best = [table.best for table in result.tables]
    assert [row.rank for row in best] == [1, 1]
    client = MlflowClient(tracking_uri=workspace.tracking_uri)
    ids = [found.experiment_id for found in client.search_experiments()]
    runs = client.search_runs(ids)
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert parent.data.params["best_sgd_alpha"] == str(best[1].params["alpha"])
    assert parent.data.metrics["best_knn_cv_accuracy"] == pytest.approx(best[0].mean)
    assert {"cv-knn.csv", "cv-sgd.csv"} <= {
        item.path for item in client.list_artifacts(parent.info.run_id)
    }
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert "6 combinations, 3 folds" in result.report.read_text(encoding="utf-8")


def test_a_bundle_says_of_how_many_combinations_it_is_the_best(workspace, config, tmp_path):
    sgd = {"model": "sgd", "grid": {"alpha": [1e-4, 1e-3]}}
    run_grid_search(config(KNN, sgd))
    told = {}
    for model in ("knn", "sgd"):
        bundle = export_bundle(
            "grids",
            tmp_path / model,
            created=datetime.now(UTC),
            settings=load_settings(),
            model=model,
        )
        told[model] = bundle.info.chosen_by
    assert told["knn"].startswith("It is the best of 8 by accuracy in 3-fold cross-validation of ")
    assert told["sgd"].startswith("It is the best SGD, not the best of all, of 2 by accuracy in ")


def test_a_combination_that_fails_costs_its_row_alone(workspace, config):
    result = run_grid_search(config({"model": "knn", "grid": {"n_neighbors": [1, 9999]}}))
    first, second = table_of(result, "knn")
    assert (first["rank_test_score"], second["rank_test_score"]) == ("1", "2")
    assert second["mean_test_score"] == "nan"
    assert "only 2" in result.tables[0].rows[1].error


def test_a_grid_of_which_nothing_finishes_says_why(workspace, config):
    with pytest.raises(TrialError, match="not one of 1 combinations of KNN finished; the first:"):
        run_grid_search(config({"model": "knn", "grid": {"n_neighbors": [9999]}}))


def test_n_jobs_means_fits_at_once_each_on_one_core(workspace, config):
    made = config(KNN, tune={"n_jobs": 2}, threads=None, units_at_once=None)
    result = run_grid_search(made, LocalExecutor(0))
    assert (result.config.units_at_once, result.config.threads) == (2, 1)


def test_what_a_grid_search_has_no_use_for_is_refused(workspace, config):
    with pytest.raises(ConfigError, match=r"models.0.space: a grid search takes 'grid'"):
        run_grid_search(config({"model": "knn", "space": {"n_neighbors": [1, 2]}}))
    with pytest.raises(ConfigError, match=r"repeats: 3 is for `tenfold compare`"):
        run_grid_search(config(KNN, repeats=3))
    with pytest.raises(ConfigError, match=r"tune.timeout_s: only a study has a use for it"):
        run_grid_search(config(KNN, tune={"timeout_s": 5, "cv": 2}))
    with pytest.raises(ConfigError, match=r"models: knn stands there 2 times"):
        run_grid_search(config(KNN, {"model": "knn"}))
