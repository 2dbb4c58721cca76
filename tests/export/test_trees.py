"""Forests and boosted trees as graphs: the same leaves and the same sums."""

import numpy as np
import pytest

from tenfold.export import export_onnx
from tenfold.inference import OnnxClassifier
from tenfold.models import build_model


@pytest.mark.parametrize("n_classes", [2, 10])
@pytest.mark.parametrize("pca", [None, 12])
@pytest.mark.parametrize(
    "params",
    [
        {"n_estimators": 1},
        {"n_estimators": 40},
        {"n_estimators": 40, "min_samples_leaf": 4},
        {"n_estimators": 40, "max_depth": 1, "criterion": "entropy"},
        {"n_estimators": 3, "min_samples_split": 1_000_000},
    ],
)
def test_a_forest_gives_the_estimators_votes_to_the_last_digit(digits, params, pca, n_classes):
    images, labels = digits
    some = labels < n_classes
    estimator = build_model("random_forest", {**params, "pca": pca})
    estimator.fit(images[some], labels[some])
    answers = OnnxClassifier(export_onnx(estimator)).answer(images)
    assert np.array_equal(answers.probabilities, estimator.predict_proba(images).astype(np.float32))
    assert (answers.labels == estimator.predict(images)).all()


def test_equal_votes_of_a_forest_go_to_the_lowest_class(digits):
    images, labels = digits
    estimator = build_model("random_forest", {"n_estimators": 4}).fit(images[:200], labels[:200])
    votes = estimator.predict_proba(images)
    tied = (votes == votes.max(axis=1, keepdims=True)).sum(axis=1) > 1
    assert tied.sum() > 10
    answers = OnnxClassifier(export_onnx(estimator)).answer(images)
    assert (answers.labels == votes.argmax(axis=1)).all()


@pytest.mark.parametrize("n_classes", [2, 10])
@pytest.mark.parametrize("pca", [None, 12])
@pytest.mark.parametrize(
    "params",
    [
        {"n_estimators": 1, "max_depth": 1},
        {"n_estimators": 12},
        {"n_estimators": 5, "tree_method": "exact", "subsample": 0.5},
        {"n_estimators": 2, "min_child_weight": 1e6},
    ],
)
def test_boosted_trees_answer_as_their_graph(digits, same, params, pca, n_classes):
    images, labels = digits
    some = labels < n_classes
    estimator = build_model("xgboost", {**params, "pca": pca}).fit(images[some], labels[some])
    same(export_onnx(estimator), estimator, images)


@pytest.mark.parametrize("name", ["random_forest", "xgboost"])
def test_every_grey_level_falls_on_the_estimators_side_of_every_bound(same, name):
    levels = np.arange(256, dtype=np.uint8)[:, None]
    labels = np.random.default_rng(0).integers(0, 3, 256)
    estimator = build_model(name, {"n_estimators": 30}).fit(levels, labels)
    same(export_onnx(estimator), estimator, levels)
