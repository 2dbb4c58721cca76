"""Fit units: networks ended midway go on where they were; what cannot be scored fails alone."""

import functools
import json
import sys

import numpy as np
import pytest

from tenfold.config import load_settings, parse_config
from tenfold.errors import ConfigError, PredictionError
from tenfold.experiment import run_experiment
from tenfold.fitting import fit_unit, open_split, read_folder
from tenfold.models.torch.classifier import MlpClassifier
from tenfold.runner import NullObserver
from tenfold.search import expand_grid
from tenfold.workbench import open_workbench
from tenfold.workspace import Workspace

EPOCHS, ENDED_AFTER = 4, 2
FAULTY = """
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

class Faulty(ClassifierMixin, BaseEstimator):
    "Gives each image the same value for each class."

    def __init__(self, value=0.1):
        self.value = value

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), float(self.value))
"""
#: Weight decay multiplies each weight by -9 at each step.
DIVERGED = {
    "model": "mlp",
    "params": {
        "hidden_layers": [16],
        "epochs": 10,
        "optimizer": "sgd",
        "learning_rate": 10,
        "weight_decay": 1,
        "batch_norm": False,
    },
}

pytestmark = pytest.mark.usefixtures("every_epoch_is_kept")


class EndedError(Exception):
    pass


def config(**dataset):
    return parse_config(
        {
            "name": "ended",
            "units_at_once": 0,
            "threads": 1,
            "precision": "float32",
            "device": "cpu",
            "models": [{"model": "mlp", "params": {"epochs": EPOCHS, "hidden_layers": [16]}}],
            "dataset": {"max_images": 600, "cv_repeats": 1, "cv_folds": 2, **dataset},
        }
    )


def payload(tmp_path, **dataset):
    fields = config(**dataset).dataset
    return {
        "dataset": fields.model_dump(mode="json"),
        "data_dir": None,
        "fingerprint": open_split(fields, None)[0].fingerprint,
        "sources": {},
        "numerics": {"device": "cpu", "precision": "float32", "threads": 1},
        "trials": [
            {
                "model": "mlp",
                "params": {"epochs": EPOCHS, "hidden_layers": [16]},
                "title": "MLP",
                "label": "",
                "seed": 1,
            }
        ],
        "keys": ["key"],
        "bases": [],
        "folder": str(tmp_path / "jobs"),
        "checkpoints": str(tmp_path / "checkpoints"),
        "graphs": str(tmp_path / "graphs"),
    }


def test_a_unit_ended_in_an_epoch_goes_on_there_and_its_history_is_whole(tmp_path, steps):
    given = payload(tmp_path, cv_below=0)

    def end(event):
        if event["step"] == ENDED_AFTER:
            raise EndedError

    fit_unit({**given, "checkpoints": str(tmp_path / "unused")}, lambda event: None)
    n_steps, whole = len(steps), read_folder(tmp_path / "jobs" / "key")
    with pytest.raises(EndedError):
        fit_unit(given, end)
    steps.clear()
    events = []
    fit_unit(given, events.append)
    assert len(steps) == n_steps * (EPOCHS - ENDED_AFTER) / EPOCHS
    record, predictions, _ = read_folder(tmp_path / "jobs" / "key")
    assert [event["step"] for event in events[:-1]] == list(range(1, EPOCHS + 1))
    assert events[-1] == {"key": "key", "done": True}
    assert record["history"] == whole[0]["history"]
    assert np.array_equal(predictions.test, whole[1].test)
    # It may be killed before anybody remembers it: nothing is trained a second time.
    steps.clear()
    fit_unit(given, events.append)
    assert not steps
    assert np.array_equal(read_folder(tmp_path / "jobs" / "key")[1].test, whole[1].test)


def test_a_network_is_trained_by_the_processes_of_its_unit(tmp_path):
    given = payload(tmp_path, cv_below=0)
    given["numerics"]["processes"] = 0
    with pytest.raises(ConfigError, match="processes is 0"):
        fit_unit(given, lambda event: None)


def test_each_round_and_the_final_fit_keep_checkpoints_of_their_own(tmp_path, monkeypatch):
    folders, fit = [], MlpClassifier.fit

    @functools.wraps(fit)
    def noted(estimator, *arguments, checkpoints, **options):
        folders.append(checkpoints)
        return fit(estimator, *arguments, checkpoints=checkpoints, **options)

    monkeypatch.setattr(MlpClassifier, "fit", noted)
    fit_unit(payload(tmp_path), lambda event: None)
    names = ["round-1", "round-2", "final"]
    assert folders == [tmp_path / "checkpoints" / "key" / name for name in names]


@pytest.mark.parametrize("patience", [None, 1])
def test_a_fold_is_never_scored_by_the_rows_that_ended_its_fit(tmp_path, monkeypatch, patience):
    given = payload(tmp_path)
    given["trials"][0]["params"]["patience"] = patience
    fits, fit = [], MlpClassifier.fit

    @functools.wraps(fit)
    def noted(estimator, images, labels, *, validation=None, **options):
        fits.append((images, validation))
        return fit(estimator, images, labels, validation=validation, **options)

    monkeypatch.setattr(MlpClassifier, "fit", noted)
    fit_unit(given, lambda event: None)
    split = open_split(config().dataset, None)[1]
    *rounds, (all_images, nothing) = fits
    assert nothing is None
    assert len(all_images) == len(split.images)
    for part, (images, watched) in zip(split.rounds, rounds, strict=True):
        learned, stops = split.stopping(part)
        if patience is None:
            assert watched is None
            assert np.array_equal(images, split.images[part.fit_rows])
        else:
            assert np.array_equal(watched[0], split.images[stops])
            assert np.array_equal(images, split.images[learned])


class EndingObserver(NullObserver):
    def stepped(self, unit, step, _steps, _metrics):
        if unit.trials[0].refit and step == ENDED_AFTER:
            raise KeyboardInterrupt


def scores(result):
    rows = json.loads((result.folder / "results.json").read_text())["rows"]
    return [row["scores"] for row in rows]


@pytest.mark.parametrize("fresh", [False, True])
def test_an_experiment_ended_in_a_training_goes_on_there(steps, fresh):
    settings = load_settings()
    workspace = Workspace(settings.home)
    recipe = config(cv_below=0).model_copy(update={"tracking": "none"})
    whole = scores(run_experiment(recipe, settings=settings))
    n_steps = len(steps)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(recipe, settings=settings, observer=EndingObserver(), fresh=True)
    kept = list(workspace.checkpoints.rglob("*.safetensors"))
    assert kept
    steps.clear()
    assert scores(run_experiment(recipe, settings=settings, fresh=fresh)) == whole
    assert (len(steps) == n_steps) == fresh
    assert not list(workspace.checkpoints.iterdir())


def faulty(value):
    return {"model": "faulty:Faulty", "params": {"value": value}}


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (faulty("nan"), "of 80 images are not finite; look at what its predict_proba"),
        (
            faulty("inf"),
            "Faulty value=inf, validation rows: the probabilities of 80 of 80 images are not",
        ),
        (faulty(0), "are all 0"),
        (faulty(1e-9), "are all 0"),
        (faulty(-1), "are below 0"),
        (DIVERGED, "images are not finite; its training went astray: try a learning_rate below 10"),
    ],
)
def test_a_trial_whose_probabilities_cannot_be_scored_fails_alone(
    tmp_path, monkeypatch, entry, told
):
    (tmp_path / "faulty.py").write_text(FAULTY)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "faulty", raising=False)
    recipe = config(cv_below=0).model_dump() | {"models": ["sgd", entry], "tracking": "none"}
    made = parse_config(recipe)
    workbench = open_workbench(made, None, settings=load_settings(), observer=NullObserver())
    with workbench as opened:
        results = opened.sweep.fit(expand_grid(made))
        winner, best = opened.choose(results)
    whole, failed = results
    assert (whole.status, failed.status) == ("finished", "failed")
    assert failed.error.startswith(f"PredictionError: {failed.trial.name}, validation rows: the ")
    assert told in failed.error
    assert best == {"sgd": winner}


def test_a_refit_whose_probabilities_cannot_be_scored_is_refused(tmp_path, monkeypatch):
    predict = MlpClassifier.predict_proba

    def astray(estimator, images):
        return predict(estimator, images) * np.nan

    given = payload(tmp_path, cv_below=0)
    fit_unit(given, lambda event: None)
    record, _, _ = read_folder(tmp_path / "jobs" / "key")
    monkeypatch.setattr(MlpClassifier, "predict_proba", astray)
    again = {**given, "keys": ["again"], "bases": [record]}
    with pytest.raises(PredictionError, match=r"test rows: .* are not finite"):
        fit_unit(again, lambda event: None)
    assert not (tmp_path / "jobs" / "again").exists()
