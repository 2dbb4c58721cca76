"""Which trials share a fit, and what of them is run."""

from dataclasses import replace

import pytest

from tenfold.config import ExperimentConfig
from tenfold.costs import DataSize
from tenfold.records import Numerics, TrialResult
from tenfold.search import expand_grid
from tenfold.sweep import Sweep

NUMERICS = Numerics("cpu", "bfloat16", 2)


class Memory:
    """Stands for the runner: knows finished trials and can tell what was asked of it."""

    fresh = False
    payload = {"sources": {"sklearn.neighbors:KNeighborsClassifier": "0" * 64}}  # noqa: RUF012

    def __init__(self):
        self.known, self.records, self.plans = {}, {}, []
        self.tracker, self.observer = self, self

    def finished(self):
        return self.known

    def read(self, trial, key, run_id):
        return TrialResult(trial, key, "finished", run_id=run_id, reused=True)

    def planned(self, trials, *, reused):
        self.plans.append((trials, reused))


class Noting:
    """Stands for an executor: notes the units, which all finish at once, the last first."""

    def __init__(self):
        self.units = []

    def run(self, units, fit):
        self.units = list(units)
        for unit in reversed(self.units):
            fit.records |= {key: {"chosen": {}} for key in unit.keys}
            yield tuple(
                TrialResult(trial, key, "finished")
                for trial, key in zip(unit.trials, unit.keys, strict=True)
            )


def made():
    return Sweep(Memory(), Noting(), "fingerprint", "split", DataSize(1000, 64, 10), NUMERICS)


@pytest.fixture
def sweep():
    return made()


def trials(*models, **changes):
    return expand_grid(ExperimentConfig(name="paths", models=list(models), **changes))


def names(sweep):
    return sorted(unit.name for unit in sweep.executor.units)


def test_trials_that_differ_by_their_path_are_one_unit_in_rising_order(sweep):
    grid = trials(
        {"model": "knn", "grid": {"n_neighbors": [5, 1, 3]}},
        "sgd",
        {"model": "keras_cnn", "grid": {"epochs": [15, 5]}},
        {"model": "xgboost", "grid": {"n_estimators": [10, 20]}},
    )
    results = sweep.fit(grid)
    assert tuple(result.trial for result in results) == grid
    assert names(sweep) == [
        "CNN epochs=5, 15",
        "KNN n_neighbors=1, 3, 5",
        "SGD",
        "XGBoost n_estimators=10, 20",
    ]
    assert sweep.runner.plans == [(8, 0)]


def test_whatever_else_differs_is_a_unit_of_its_own(sweep):
    sweep.fit(
        trials(
            {"model": "knn", "grid": {"n_neighbors": [1, 3], "weights": ["uniform", "distance"]}},
            {"model": "random_forest", "params": {"n_estimators": 30}, "timeout_s": 9},
            {"model": "random_forest", "params": {"n_estimators": 20}},
            {"model": "sklearn.neighbors:KNeighborsClassifier", "grid": {"n_neighbors": [1, 3]}},
        )
    )
    assert names(sweep) == [
        "KNN weights=distance, n_neighbors=1, 3",
        "KNN weights=uniform, n_neighbors=1, 3",
        "KNeighborsClassifier n_neighbors=1",
        "KNeighborsClassifier n_neighbors=3",
        "Random Forest n_estimators=20",
        "Random Forest n_estimators=30",
    ]


def test_repeats_are_units_of_their_own(sweep):
    results = sweep.fit(trials({"model": "knn", "grid": {"n_neighbors": [1, 3]}}, repeats=2))
    assert names(sweep) == ["KNN n_neighbors=1, 3"] * 2
    assert [unit.trials[0].seed for unit in sweep.executor.units] == [42, 43]
    assert [result.trial.seed for result in results] == [42, 43, 42, 43]


@pytest.mark.parametrize("params", [{"schedule": "one_cycle"}, {"patience": 2}], ids=str)
def test_networks_whose_epochs_depend_on_their_number_stay_alone(sweep, params):
    recipe = {"schedule": "constant"} | params
    sweep.fit(trials({"model": "mlp", "params": recipe, "grid": {"epochs": [2, 4]}}))
    assert len(names(sweep)) == 2


def test_networks_trained_by_several_processes_stay_alone(sweep):
    shared = replace(sweep, numerics=replace(NUMERICS, processes=2))
    grid = trials({"model": "keras_cnn", "grid": {"epochs": [2, 4]}}, "knn")
    shared.fit((*grid, replace(grid[-1], params={**grid[-1].params, "n_neighbors": 9})))
    assert names(shared) == ["CNN epochs=2", "CNN epochs=4", "KNN n_neighbors=5, 9"]


def test_only_what_is_not_finished_is_run(sweep):
    grid = trials({"model": "knn", "grid": {"n_neighbors": [1, 3, 5]}})
    keys = [result.key for result in sweep.fit(grid)]
    again = made()
    again.runner.known[keys[1]] = "run"
    results = again.fit(grid)
    assert names(again) == ["KNN n_neighbors=1, 5"]
    assert again.runner.plans == [(2, 1)]
    assert [result.key for result in results] == keys
    assert [result.reused for result in results] == [False, True, False]


def test_refits_share_a_fit_too_unless_a_train_fit_decided_something(sweep):
    results = sweep.fit(trials({"model": "knn", "grid": {"n_neighbors": [5, 1, 3]}}))
    sweep.refit(results)
    (unit,) = sweep.executor.units
    assert unit.name == "KNN n_neighbors=1, 3, 5 (refit)"
    assert unit.bases == tuple(results[place].key for place in (1, 2, 0))
    sweep.runner.records[results[0].key] = {"chosen": {"epochs": 3}}
    sweep.refit(results)
    assert names(sweep) == ["KNN n_neighbors=1, 3 (refit)", "KNN n_neighbors=5 (refit)"]


def test_the_longest_fits_start_first_and_results_keep_their_order(sweep):
    longest = replace(sweep, size=DataSize(rows=60_000, pixels=784, classes=10))
    grid = trials(
        "logistic_regression", "svm", {"model": "random_forest", "grid": {"n_estimators": [50, 99]}}
    )
    results = longest.fit(grid)
    assert [unit.trials[0].title for unit in longest.executor.units] == [
        "SVM",
        "Random Forest",
        "Logistic Regression",
    ]
    assert all(unit.cost.bytes > 0 for unit in longest.executor.units)
    assert tuple(result.trial for result in results) == grid
