"""Graphs that wait in the workspace: each experiment drops its own, and no other's."""

import os
import time

import pytest

from tenfold.config import load_settings, parse_config
from tenfold.experiment import run_experiment
from tenfold.graphs import GRAPH_FILES
from tenfold.runner import NullObserver
from tenfold.search import expand_grid
from tenfold.tracking import MlflowTracker
from tenfold.workbench import open_workbench

DATASET = {"source": "digits", "cv_below": 0, "max_images": 400}
SGD = {"model": "sgd", "params": {}}
KNN = {"model": "knn", "params": {"n_neighbors": 60}}
BETTER = {"model": "knn", "params": {"n_neighbors": 1}}


def config(name, *models):
    fields = {"units_at_once": 0, "threads": 1, "refit": "none", "dataset": DATASET}
    return parse_config({"name": name, "models": list(models), **fields})


class Sweeping:
    """An experiment that has fitted its trials, and not chosen yet."""

    def __init__(self, made):
        self._opened = open_workbench(made, None, settings=load_settings(), observer=NullObserver())
        self.workbench = self._opened.__enter__()
        self.results = self.workbench.sweep.fit(expand_grid(made))

    def choose(self):
        """Keep the best graph of each model and end."""
        _, best = self.workbench.choose(self.results)
        self.workbench.runner.keep_graphs(self.results, kept=set(best.values()))
        self._opened.__exit__(None, None, None)


def has_graph(workspace, result):
    return set(GRAPH_FILES) <= set(MlflowTracker(workspace, None).names(result.run_id))


def waiting(workspace):
    return {folder.name for folder in workspace.graphs.iterdir()}


def test_what_another_experiment_made_waits_for_it(workspace, caplog):
    first = Sweeping(config("first", SGD, KNN))
    keys = {result.key for result in first.results}
    assert waiting(workspace) == keys
    run_experiment(config("second", KNN, BETTER))  # finds one of them finished, and keeps another
    assert waiting(workspace) == keys
    first.choose()
    assert all(has_graph(workspace, result) for result in first.results)
    assert waiting(workspace) == set()
    assert not caplog.messages


def test_what_is_not_kept_is_dropped_by_who_made_it(workspace):
    sweeping = Sweeping(config("first", KNN, BETTER))
    sweeping.choose()
    assert [has_graph(workspace, result) for result in sweeping.results] == [False, True]
    assert waiting(workspace) == set()


def test_a_graph_that_is_lost_is_told(workspace, caplog):
    Sweeping(config("first", KNN, BETTER)).choose()
    again = config("again", KNN)
    run_experiment(again)
    assert [text for text in caplog.messages if "KNN n_neighbors=60 has no graph" in text]
    caplog.clear()
    run_experiment(again, fresh=True)
    run_experiment(again)
    assert not caplog.messages


@pytest.mark.parametrize(("days", "stays"), [(1, True), (31, False)])
def test_only_what_nobody_has_wanted_for_long_is_dropped_by_others(workspace, days, stays):
    left = workspace.graphs / "of-a-killed-experiment"
    left.mkdir(parents=True)
    written = time.time() - days * 86_400
    os.utime(left, (written, written))
    run_experiment(config("mine", SGD))
    assert left.exists() == stays
