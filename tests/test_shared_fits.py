"""Several rows by one fit: what a fit of its own would give each, ready as soon as it is."""

import csv
import json
import time

import numpy as np
import pytest

from tenfold.config import parse_config
from tenfold.errors import TrialMemoryError, TrialTimeoutError
from tenfold.evaluation import TIME_COLUMNS
from tenfold.experiment import run_experiment
from tenfold.fitting import fit_unit, open_split, read_folder
from tenfold.models.spec import FitPath
from tenfold.runner import NullObserver
from tenfold.worker import InlineCaller

TIMES = ("fit_s", "predict_us_per_image", "fitted_with")
PARAMETERS = {
    "knn": ("n_neighbors", (1, 3, 6)),
    "random_forest": ("n_estimators", (1, 4, 6)),
    "xgboost": ("n_estimators", (1, 2, 3)),
    "keras_cnn": ("epochs", (1, 2, 4)),
}
HOLD_OUT, CROSS_VALIDATED = {"cv_below": 0}, {"cv_repeats": 2, "cv_folds": 2}

pytestmark = pytest.mark.usefixtures("every_epoch_is_kept")


class EndedError(Exception):
    pass


def config(**changes):
    fields = {"source": "digits", "max_images": 400, **changes.pop("dataset", HOLD_OUT)}
    return parse_config(
        {
            "name": "shared",
            "units_at_once": 0,
            "threads": 1,
            "precision": "float32",
            "device": "cpu",
            "dataset": fields,
            "models": [{"model": "keras_cnn", "grid": {"epochs": [4, 1, 2]}}],
            **changes,
        }
    )


def payload(folder, name, *, dataset=HOLD_OUT, only=(0, 1, 2), bases=(), data_dir=None):
    parameter, values = PARAMETERS[name]
    fields = config(dataset=dataset).dataset
    return {
        "dataset": fields.model_dump(mode="json"),
        "data_dir": data_dir,
        "fingerprint": open_split(fields, data_dir)[0].fingerprint,
        "sources": {},
        "numerics": {"device": "cpu", "precision": "float32", "threads": 1},
        "trials": [
            {
                "model": name,
                "params": {parameter: values[place]},
                "title": name,
                "label": "",
                "seed": 1,
                "refit": bool(bases),
            }
            for place in only
        ],
        "keys": [f"key-{place}" for place in only],
        "bases": [bases[place] for place in only] if bases else [],
        "folder": str(folder / "jobs"),
        "checkpoints": str(folder / "checkpoints"),
        "graphs": str(folder / "graphs"),
    }


def fit(folder, name, *, on_event=lambda event: None, **options):
    """Fit some rows; return what is kept of each, but for times."""
    answer = fit_unit(payload(folder, name, **options), on_event)
    assert answer["folders"] == [
        str(folder / "jobs" / f"key-{place}") for place in options.get("only", (0, 1, 2))
    ]
    return {place: kept(folder, place) for place in options.get("only", (0, 1, 2))}


def kept(folder, place):
    record, predictions, views = read_folder(folder / "jobs" / f"key-{place}")
    graph = folder / "graphs" / f"key-{place}" / "model.onnx"
    return {
        "record": {name: value for name, value in record.items() if name not in TIMES},
        "predictions": vars(predictions),
        "views": {} if views is None else vars(views),
        "graph": graph.read_bytes(),
    }


def assert_same(some, others):
    np.testing.assert_equal(some, others)  # to the bit, arrays inside included


@pytest.mark.parametrize("dataset", [HOLD_OUT, CROSS_VALIDATED], ids=["hold-out", "cv"])
@pytest.mark.parametrize("name", PARAMETERS)
def test_rows_of_one_fit_are_those_of_separate_fits(tmp_path, name, dataset):
    events = []
    together = fit(tmp_path / "one", name, dataset=dataset, on_event=events.append)
    alone = {}
    for place in range(3):
        alone |= fit(tmp_path / "each", name, dataset=dataset, only=(place,))
    assert_same(together, alone)
    assert [event["key"] for event in events if "done" in event] == ["key-0", "key-1", "key-2"]
    record = read_folder(tmp_path / "one" / "jobs" / "key-1")[0]
    assert record["fitted_with"] == ["key-0", "key-1", "key-2"]
    assert read_folder(tmp_path / "each" / "jobs" / "key-1")[0]["fitted_with"] == ["key-1"]


@pytest.mark.parametrize("name", PARAMETERS)
def test_refits_of_one_fit_are_those_of_separate_refits(tmp_path, name):
    fit(tmp_path / "train", name)
    bases = [read_folder(tmp_path / "train" / "jobs" / f"key-{place}")[0] for place in range(3)]
    together = fit(tmp_path / "one", name, bases=bases)
    alone = {}
    for place in range(3):
        alone |= fit(tmp_path / "each", name, bases=bases, only=(place,))
    assert_same(together, alone)


@pytest.mark.mnist
@pytest.mark.parametrize("name", ["knn", "random_forest", "xgboost"])
def test_rows_on_real_digits_are_those_of_separate_fits(tmp_path, name, data_dir):
    options = {"dataset": {"source": "mnist", **HOLD_OUT}, "data_dir": str(data_dir)}
    together = fit(tmp_path / "one", name, only=(0, 2), **options)
    alone = {}
    for place in (0, 2):
        alone |= fit(tmp_path / "each", name, only=(place,), **options)
    assert_same(together, alone)


def test_each_row_is_told_its_own_epochs_and_nothing_after_it_is_done(tmp_path):
    events = []
    fit(tmp_path, "keras_cnn", on_event=events.append)
    for place, epochs in enumerate(PARAMETERS["keras_cnn"][1]):
        mine = [event for event in events if event["key"] == f"key-{place}"]
        assert [event.get("step") for event in mine] == [*range(1, epochs + 1), None]
        assert {event["steps"] for event in mine[:-1]} == {epochs}
        record = read_folder(tmp_path / "jobs" / f"key-{place}")[0]
        told = [{"step": event["step"], **event["metrics"]} for event in mine[:-1]]
        assert told == record["history"]


def test_seconds_are_those_of_the_training_until_the_row_was_ready(tmp_path, monkeypatch):
    real, away = time.perf_counter, [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: real() + away[0])

    def tell(event):
        away[0] += 1000 if "done" in event else 10  # remembering is slow, each epoch takes some

    fit(tmp_path, "keras_cnn", on_event=tell)
    records = [read_folder(tmp_path / "jobs" / f"key-{place}")[0] for place in range(3)]
    assert [record["fit_s"] // 10 for record in records] == [3, 5, 7]


@pytest.mark.parametrize(
    ("ended", "left", "taken"),
    [
        (("key-0", "done"), (1, 2), 3),  # a row is done: the others go on where it was
        (("key-2", 2), (1, 2), 2),  # at the checkpoint of an epoch that is wanted
        (("key-2", 3), (2,), 1),
        (("key-2", 3), (1, 2), 2),  # beyond an epoch that is wanted: the checkpoint before
        (("key-2", 3), (0, 1, 2), 4),  # both checkpoints are beyond: anew
    ],
)
def test_a_unit_that_was_ended_runs_what_is_left_and_gives_the_same(
    tmp_path, steps, ended, left, taken
):
    whole = fit(tmp_path / "whole", "keras_cnn")
    n_steps = len(steps) / 4

    def end(event):
        if ended in {(event["key"], event.get("step")), (event["key"], *event.keys() & {"done"})}:
            raise EndedError

    with pytest.raises(EndedError):
        fit(tmp_path / "ended", "keras_cnn", on_event=end)
    assert not list((tmp_path / "ended" / "checkpoints").rglob("key-[01]"))
    steps.clear()
    assert_same(
        fit(tmp_path / "ended", "keras_cnn", only=left), {place: whole[place] for place in left}
    )
    assert len(steps) == n_steps * taken


def rows(result):
    with (result.folder / "results.csv").open(newline="", encoding="utf-8") as file:
        return [
            {name: cell for name, cell in row.items() if name not in TIME_COLUMNS}
            for row in csv.DictReader(file)
        ]


def test_the_table_is_the_one_of_separate_fits(monkeypatch):
    models = [
        {"model": name, "grid": {parameter: list(reversed(values))}}
        for name, (parameter, values) in PARAMETERS.items()
    ]
    recipe = config(models=["sgd", *models], refit="all", tracking="none")
    shared = run_experiment(recipe)
    described = json.loads((shared.folder / "results.json").read_text())["rows"]
    assert [len(row["fitted_with"]) for row in described] == [1, *[3] * 12]
    assert {row["test_key"] in row["fitted_with"] for row in described} == {True}
    counted = shared.leaderboard.fit_s
    assert counted < sum(row.fit_s for row in shared.leaderboard.rows)
    shared = rows(shared)
    monkeypatch.setattr(FitPath, "joins", lambda path, params: False)
    alone = run_experiment(recipe)
    assert [row.fitted_with for row in alone.leaderboard.rows] == [
        (row.test_key,) for row in alone.leaderboard.rows
    ]
    assert rows(alone) == shared


class EndingObserver(NullObserver):
    """Ends the experiment after an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def stepped(self, _unit, step, _steps, _metrics):
        if step == self.epoch:
            raise KeyboardInterrupt


class CountingObserver(NullObserver):
    def __init__(self):
        self.plans, self.names = [], []

    def planned(self, trials, *, reused):
        self.plans.append((trials, reused))

    def started(self, unit):
        self.names.append(unit.name)


def test_an_experiment_ended_after_a_row_remembers_it_and_runs_the_others(workspace, steps):
    recipe = config(refit="none")
    whole = rows(run_experiment(recipe.model_copy(update={"tracking": "none"})))
    n_steps = len(steps) / 4
    with pytest.raises(KeyboardInterrupt):
        run_experiment(recipe, observer=EndingObserver(3))
    steps.clear()
    observer = CountingObserver()
    result = run_experiment(recipe, observer=observer)
    assert (observer.plans, observer.names) == ([(1, 2)], ["CNN epochs=4"])
    assert len(steps) == n_steps
    assert rows(result) == whole
    assert not list(workspace.checkpoints.rglob("*"))
    assert not list(workspace.jobs.iterdir())


class EndingCaller:
    """Calls here; after the first row is done the worker ends with an error."""

    def __init__(self, error):
        self.error, self.calls = error, []

    def call(self, function, payload, *, on_event, **limits):
        def tell(event):
            on_event(event)
            if "done" in event and len(payload["keys"]) > 1:
                raise self.error

        if function.endswith("fit_unit"):
            self.calls.append((len(payload["keys"]), limits["timeout_s"]))
        return InlineCaller().call(function, payload, on_event=tell)

    def run(self, units, fit):
        for unit in units:
            yield fit(unit, self)


def test_a_timeout_ends_the_unit_and_rows_that_are_done_stay():
    caller = EndingCaller(TrialTimeoutError("ran longer than timeout_s=6"))
    result = run_experiment(config(refit="none", tracking="none", timeout_s=2), caller)
    assert {row.label: row.status for row in result.leaderboard.rows} == {
        "epochs=1": "finished",
        "epochs=2": "failed",
        "epochs=4": "failed",
    }
    assert caller.calls == [(3, 6)]
    assert "timeout_s=6" in result.failed[0].error


def test_where_a_shared_fit_fails_each_row_that_is_left_is_tried_alone(tmp_path):
    caller = EndingCaller(TrialMemoryError("took 9 MiB"))
    result = run_experiment(config(refit="none", tracking="none"), caller)
    assert not result.failed
    assert [count for count, _ in caller.calls] == [3, 1, 1]
    assert not list((tmp_path / "workspace" / "checkpoints").rglob("*"))


def test_a_row_that_cannot_be_fitted_costs_the_others_nothing():
    models = [{"model": "knn", "grid": {"n_neighbors": [1, 9999, 3]}}]
    result = run_experiment(config(models=models, refit="none", tracking="none"))
    assert [row.label for row in result.failed] == ["n_neighbors=9999"]
    assert "only" in result.failed[0].error
