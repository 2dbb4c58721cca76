"""Grids become trials with complete parameters, labels and keys."""

from dataclasses import replace

import pytest

from tenfold.config import parse_config
from tenfold.errors import ConfigError
from tenfold.models import get_spec
from tenfold.records import Numerics
from tenfold.search import expand_grid, trial_key

NUMERICS = Numerics("cpu", "float32", 1)


def key(trial, **changes):
    parts = {"fingerprint": "f", "split": "s", "fitting_version": 1, "numerics": NUMERICS}
    return trial_key(trial, **{**parts, **changes}).digest


def trials(*models, **rest):
    return expand_grid(parse_config({"models": list(models), **rest}))


def test_a_grid_is_expanded_in_order_with_readable_labels():
    made = trials({"model": "svm", "grid": {"C": [1, 10], "gamma": [0.1, "scale"]}}, "knn")
    assert [trial.label for trial in made] == [
        "C=1, gamma=0.1",
        "C=1, gamma=scale",
        "C=10, gamma=0.1",
        "C=10, gamma=scale",
        "",
    ]
    assert made[0].params["kernel"] == "rbf"
    assert made[-1].title == "KNN"


def test_labels_are_those_of_the_classic_table():
    (trial,) = trials({"model": "mlp", "grid": {"hidden_layers": [[64, 32]]}})
    assert (trial.title, trial.label) == ("MLP", "hidden_layers=(64, 32)")
    (trial,) = trials({"model": "random_forest", "grid": {"max_depth": [None]}})
    assert trial.label == "max_depth=null"
    (trial,) = trials({"model": "mlp", "params": {"hidden_layers": [64]}})
    assert trial.label == "hidden_layers=(64,)"


def test_repeats_have_seeds_of_their_own():
    made = trials("knn", seed=5, repeats=3)
    assert [(trial.seed, trial.repeat) for trial in made] == [(5, 0), (6, 1), (7, 2)]


def test_the_same_row_twice_is_refused():
    with pytest.raises(ConfigError, match="KNN n_neighbors=5 is asked for twice"):
        trials("knn", {"model": "knn", "params": {"n_neighbors": 5}})


def test_equal_recipes_have_equal_keys_however_they_are_written():
    (one,) = trials({"model": "svm", "params": {"C": 10}})
    (other,) = trials("svm")
    assert key(one) == key(other)


def test_whatever_a_result_depends_on_changes_the_key():
    (trial,) = trials("svm")
    others = [
        key(replace(trial, seed=1)),
        key(replace(trial, refit=True)),
        key(replace(trial, params={**trial.params, "C": 11.0})),
        key(replace(trial, model="sgd")),
        key(trial, fingerprint="g"),
        key(trial, split="t"),
        key(trial, fitting_version=2),
        key(trial, numerics=replace(NUMERICS, threads=2)),
        key(trial, numerics=replace(NUMERICS, precision="bfloat16")),
        key(trial, numerics=replace(NUMERICS, device="cuda")),
        key(trial, numerics=replace(NUMERICS, processes=2)),
    ]
    assert len({key(trial), *others}) == len(others) + 1


def test_a_new_version_of_a_model_changes_the_key(monkeypatch):
    (trial,) = trials("svm")
    before = key(trial)
    spec = get_spec("svm")
    monkeypatch.setattr(
        "tenfold.search.grid.get_spec", lambda name: replace(spec, version=spec.version + 1)
    )
    assert key(trial) != before


def test_limits_do_not_change_the_key():
    (trial,) = trials("svm")
    assert key(trial) == key(replace(trial, timeout_s=5.0))


def test_an_own_estimators_key_follows_its_source():
    (trial,) = trials("mine:Mine")
    assert key(trial, source_sha256="a" * 64) != key(trial, source_sha256="b" * 64)
