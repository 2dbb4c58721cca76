"""What every model with a path keeps to: one fit gives each value what a fit of its own gives."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits

from tenfold.data import load_dataset
from tenfold.errors import ModelInputError
from tenfold.export import export_onnx, fit_outlier_rule
from tenfold.models import build_model, get_spec, list_models, model_bytes

PATHS = {name: path for name in list_models() if (path := get_spec(name).path) is not None}
# Beside the path's conditions: few and small steps; one that is not named takes its defaults.
QUICK = {
    "xgboost": {"max_depth": 3},
    "mlp": {"hidden_layers": [16]},
    "cnn": {"width": 8},
    "pca_cnn": {"width": 8},
    "deep_cnn": {"width": 8, "batch_size": 64},
    "vit": {"patch_size": 4, "width": 16, "heads": 2, "depth": 1},
}
# Whatever else draws random numbers, or keeps something from step to step.
OTHERWISE = [
    ("knn", {"weights": "distance"}),
    ("knn", {"pca": 10}),
    ("random_forest", {"criterion": "entropy", "max_features": 0.2, "pca": 0.9}),
    ("random_forest", {"bootstrap": False}),
    ("xgboost", {"subsample": 0.6, "colsample_bytree": 0.5, "pca": 12}),
    ("xgboost", {"tree_method": "approx", "subsample": 0.6}),
    ("xgboost", {"tree_method": "exact"}),
    ("keras_cnn", {"ema": 0.9, "shift_px": 4, "rotate_deg": 10.0, "erase": 0.5}),
    ("mlp", {"dropout": 0.3, "optimizer": "muon", "class_weights": "balanced", "ema": 0.5}),
    ("fcnn", {"optimizer": "sgd", "label_smoothing": 0.1, "flip": True}),
]
CASES = [*((name, {}) for name in PATHS), *OTHERWISE]
VALUES = (2, 3, 6)


@pytest.fixture(scope="module")
def digits():
    bunch = load_digits()
    return np.rint(bunch.data[:300] * 255 / 16).astype(np.uint8), bunch.target[:300]


def built(name, params, value, **settings):
    path = PATHS[name]
    recipe = QUICK.get(name, {}) | dict(path.where) | params | {path.parameter: value}
    return build_model(name, recipe, seed=3, **settings)


def together(name, params, data, *, values=VALUES, **settings):
    """Fit all values as one; return the estimators in the order in which they were given out."""
    estimators = [built(name, params, value, **settings) for value in values]
    given = []
    *smaller, largest = estimators
    assert largest.fit_path(*data, smaller, on_ready=given.extend) is largest
    assert [id(one) for one in given] == [id(one) for one in estimators]
    return given


def assert_alike(one, other, images, labels):
    assert np.array_equal(one.predict_proba(images), other.predict_proba(images))
    assert one.get_params() == other.get_params()
    assert clone(one).get_params() == other.get_params()
    assert {name for name in vars(one) if name.endswith("_")} == {
        name for name in vars(other) if name.endswith("_")
    }
    assert one.chosen_ == other.chosen_ == {}
    assert model_bytes(one) == model_bytes(other)
    graphs = [
        export_onnx(each, outlier=fit_outlier_rule(each, images[:200], labels[:200], images[200:]))
        for each in (one, other)
    ]
    assert graphs[0] == graphs[1]


@pytest.mark.parametrize(("name", "params"), CASES, ids=str)
def test_each_value_is_answered_as_by_a_fit_of_its_own(name, params, digits):
    images, labels = digits
    for one in together(name, params, (images[:200], labels[:200])):
        value = getattr(one, PATHS[name].parameter)
        alone = built(name, params, value).fit(images[:200], labels[:200])
        assert_alike(one, alone, images, labels)


@pytest.mark.parametrize("name", PATHS)
def test_estimators_ready_at_once_are_predicted_as_each_alone(name, digits):
    images, labels = digits
    given = together(name, {}, (images[:200], labels[:200]))
    each = type(given[0]).predict_proba_each(given, images)
    for one, probabilities in zip(given, each, strict=True):
        assert np.array_equal(probabilities, one.predict_proba(images))


@pytest.mark.parametrize("name", ["random_forest", "xgboost", "keras_cnn"])
def test_what_was_given_out_can_be_fitted_again_and_leaves_the_others_alone(name, digits):
    images, labels = digits
    first, _, last = together(name, {}, (images[:200], labels[:200]))
    before = last.predict_proba(images)
    first.fit(images[200:], labels[200:])
    alone = built(name, {}, VALUES[0]).fit(images[200:], labels[200:])
    assert np.array_equal(first.predict_proba(images), alone.predict_proba(images))
    assert np.array_equal(last.predict_proba(images), before)


@pytest.mark.parametrize(
    "params", [{"schedule": "cosine"}, {"schedule": "one_cycle"}, {"patience": 2}], ids=str
)
def test_trainings_that_depend_on_their_length_are_no_path(params, digits):
    recipe = {"schedule": "constant", "patience": None} | params
    assert not PATHS["mlp"].joins(built("mlp", params, 2).get_params())
    with pytest.raises(ModelInputError, match="Fit each on its own"):
        together("mlp", recipe, digits)


def test_a_training_does_not_notice_what_is_done_with_the_networks_on_its_way(digits):
    images, labels = digits
    threads = []

    def disturb(estimators):
        if estimators[0] is largest:
            return
        threads.append(torch.get_num_threads())
        torch.manual_seed(len(threads))
        torch.set_num_threads(3)
        for one in estimators:
            one.predict_proba(images)
            torch.nn.init.zeros_(one.network_[-1].weight)

    *smaller, largest = (built("simple_conv_net", {}, epochs, threads=1) for epochs in VALUES)
    before = torch.get_num_threads()
    largest.fit_path(images, labels, smaller, on_ready=disturb)
    assert threads == [before] * 2
    alone = built("simple_conv_net", {}, VALUES[-1], threads=1).fit(images, labels)
    assert np.array_equal(largest.predict_proba(images), alone.predict_proba(images))


def test_several_processes_give_nothing_out_on_their_way(digits):
    with pytest.raises(ModelInputError, match="processes is 2"):
        together("mlp", {}, digits, processes=2)


@pytest.mark.mnist
@pytest.mark.parametrize("name", ["knn", "random_forest", "xgboost", "keras_cnn"])
def test_real_digits_are_answered_alike_on_two_threads(name, data_dir):
    dataset = load_dataset("mnist", data_dir=data_dir, max_images=1200)
    images, labels = dataset.images, dataset.labels
    fit_rows, others = slice(900), images[900:]
    for one in together(name, {}, (images[fit_rows], labels[fit_rows]), threads=2, values=(1, 3)):
        value = getattr(one, PATHS[name].parameter)
        alone = built(name, {}, value, threads=2).fit(images[fit_rows], labels[fit_rows])
        assert np.array_equal(one.predict_proba(others), alone.predict_proba(others))
