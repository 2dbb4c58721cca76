"""Estimated costs: in the right order, and no smaller than what was measured."""

import pytest

from tenfold.config import parse_config
from tenfold.costs import DataSize, estimate_cost
from tenfold.models import list_models
from tenfold.records import FitUnit, Numerics
from tenfold.search import expand_grid

MNIST = DataSize(rows=60_000, pixels=784, classes=10)
DIGITS = DataSize(rows=1_437, pixels=64, classes=10)
MIB = 1 << 20
# The most memory, in MiB, that a worker held: rows, model, parameters; `benchmarks/costs.py`.
MEASURED = [
    (20_000, "logistic_regression", {}, 408),
    (20_000, "knn", {}, 455),
    (20_000, "svm", {}, 500),
    (20_000, "random_forest", {}, 469),
    (20_000, "xgboost", {}, 475),
    (20_000, "sgd", {}, 385),
    (20_000, "mlp", {}, 569),
    (20_000, "fcnn", {}, 570),
    (20_000, "keras_cnn", {}, 725),
    (20_000, "cnn", {}, 737),
    (20_000, "pca_cnn", {}, 777),
    (20_000, "simple_conv_net", {}, 871),
    (20_000, "bn_cnn", {}, 1082),
    (20_000, "vit", {}, 702),
    (5_000, "deep_cnn", {}, 844),
    (5_000, "keras_cnn", {"batch_size": 1024}, 911),
    (5_000, "bn_cnn", {"batch_size": 1024}, 1760),
    (5_000, "vit", {"batch_size": 1024}, 1146),
    (5_000, "deep_cnn", {"batch_size": 1024}, 1070),
]


def unit(model, params=None, **numerics):
    config = parse_config({"models": [{"model": model, "params": params or {}}]})
    settings = {"device": "cpu", "precision": "float32", "threads": 1, **numerics}
    return FitUnit(expand_grid(config), ("key",), Numerics(**settings))


def cost(model, params=None, size=MNIST, **numerics):
    return estimate_cost(unit(model, params, **numerics), size)


@pytest.mark.parametrize(("rows", "model", "params", "measured_mib"), MEASURED)
def test_no_estimate_is_smaller_than_what_was_measured(rows, model, params, measured_mib):
    estimated = cost(model, params, DataSize(rows, 784, 10)).bytes / MIB
    assert measured_mib <= estimated <= 2 * measured_mib


@pytest.mark.parametrize("model", list_models())
def test_every_model_costs_more_on_more_data(model):
    small, large = cost(model, size=DIGITS), cost(model)
    assert 0 < small.seconds < large.seconds
    assert 0 < small.bytes < large.bytes


@pytest.mark.parametrize(
    ("model", "less", "more"),
    [
        ("logistic_regression", {"max_iter": 10}, {"max_iter": 100}),
        ("random_forest", {"n_estimators": 50}, {"n_estimators": 200}),
        ("random_forest", {}, {"bootstrap": False}),
        ("xgboost", {"max_depth": 3}, {"max_depth": 6}),
        ("keras_cnn", {"epochs": 5}, {"epochs": 15}),
        ("cnn", {"width": 16}, {"width": 32}),
        ("mlp", {"hidden_layers": [64, 32]}, {"hidden_layers": [256, 128]}),
        ("vit", {"depth": 2}, {"depth": 6}),
    ],
)
def test_a_larger_recipe_takes_longer(model, less, more):
    assert cost(model, less).seconds < cost(model, more).seconds


def test_the_slow_families_of_the_classic_grid_start_first():
    names = ("mlp", "logistic_regression", "keras_cnn", "svm", "random_forest")
    order = sorted(names, key=lambda name: cost(name).seconds, reverse=True)
    assert order == ["keras_cnn", "svm", "random_forest", "mlp", "logistic_regression"]


def test_a_unit_costs_what_its_largest_trial_costs():
    grid = {"model": "random_forest", "grid": {"n_estimators": [50, 100, 200]}}
    trials = expand_grid(parse_config({"models": [grid]}))
    together = FitUnit(trials, ("a", "b", "c"), Numerics("cpu", "float32", 1))
    assert estimate_cost(together, MNIST) == cost("random_forest", {"n_estimators": 200})


def test_of_an_own_estimator_much_is_expected():
    own = cost("package.module:Mine")
    assert own.seconds > max(cost(name).seconds for name in ("svm", "keras_cnn", "xgboost"))
    assert own.bytes > max(cost(name).bytes for name in list_models())


def test_a_gpu_is_faster_and_each_process_holds_its_libraries():
    here, there = cost("cnn"), cost("cnn", device="cuda")
    assert there.seconds < here.seconds
    assert there.bytes > here.bytes
    assert cost("cnn", device="cuda", processes=2).bytes == 2 * there.bytes
