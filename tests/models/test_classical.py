"""The classical models against the libraries that they stand for."""

import logging
import sys
import warnings

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import log_loss

from tenfold.errors import MissingExtraError, ModelInputError
from tenfold.models import build_model, classical
from tenfold.models.classical import fit_pca


def test_forest_is_scikit_learns_and_its_sums_do_not_depend_on_threads(digits):
    images, labels = digits
    params = {"n_estimators": 12, "max_depth": 4}
    stock = RandomForestClassifier(random_state=3, **params)
    stock.fit((images / np.float32(255)), labels)
    one = build_model("random_forest", params, seed=3, threads=1).fit(images, labels)
    two = build_model("random_forest", params, seed=3, threads=2).fit(images, labels)
    assert np.array_equal(one.predict_proba(images), two.predict_proba(images))
    assert one.predict_proba(images) == pytest.approx(stock.predict_proba(images / 255))
    assert two.predict_proba(images[:1]).shape == (1, 10)


def test_pca_is_fitted_on_the_training_rows_alone(digits):
    images, labels = digits
    model = build_model("logistic_regression", {"pca": 0.95}).fit(images[:200], labels[:200])
    train = images[:200].astype(np.float64) / 255
    assert model.pca_.mean_ == pytest.approx(train.mean(axis=0), abs=1e-5)
    eigenvalues = np.linalg.eigvalsh(np.cov(train.T))[::-1]
    share = np.cumsum(eigenvalues) / eigenvalues.sum()
    assert model.pca_.n_components_ == np.searchsorted(share, 0.95) + 1


@pytest.mark.parametrize("name", ["knn", "random_forest", "sgd", "svm", "xgboost"])
def test_pca_takes_a_number_of_components(digits, name):
    images, labels = digits
    fast = {"n_estimators": 5} if name in {"random_forest", "xgboost"} else {}
    model = build_model(name, {"pca": 12, **fast}).fit(images[:200], labels[:200])
    assert model.pca_.n_components_ == 12
    assert model.score(images[200:], labels[200:]) > 0.6


def test_boosted_trees_report_on_validation_rows_and_do_not_learn_from_them(digits):
    images, labels = digits
    fit, held = (images[:200], labels[:200]), (images[200:], labels[200:])
    told = {}
    watched = build_model("xgboost", {"n_estimators": 25, "max_depth": 2})
    watched.fit(*fit, validation=held, on_trees=told.__setitem__)
    plain = build_model("xgboost", {"n_estimators": 25, "max_depth": 2}).fit(*fit)
    assert np.array_equal(watched.predict_proba(images), plain.predict_proba(images))
    assert list(told) == [10, 20]
    smaller = build_model("xgboost", {"n_estimators": 20, "max_depth": 2}).fit(*fit)
    given = smaller.predict_proba(held[0])
    assert told[20]["val_accuracy"] == smaller.score(*held)
    assert told[20]["val_loss"] == pytest.approx(log_loss(held[1], given), rel=1e-5)
    assert told[10]["val_loss"] > told[20]["val_loss"]


def test_boosted_trees_of_two_classes_report_too(digits):
    images, labels = digits
    is_five = np.where(labels == 5, "five", "other")
    told = {}
    model = build_model("xgboost", {"n_estimators": 10})
    model.fit(images, is_five, validation=(images, is_five), on_trees=told.__setitem__)
    assert told[10]["val_accuracy"] == model.score(images, is_five)


def test_pca_of_fewer_rows_than_pixels_works():
    pixels = np.random.default_rng(0).random((10, 30), dtype=np.float32)
    assert fit_pca(pixels, 4).n_components_ == 4


def test_pca_that_cannot_be_is_refused(digits):
    images, labels = digits
    with pytest.raises(ModelInputError, match=r"pca=65 asks for more .*; at most 64"):
        build_model("knn", {"pca": 65}).fit(images, labels)
    with pytest.raises(ModelInputError, match="all training images are equal"):
        build_model("knn", {"pca": 0.9}).fit(np.zeros((10, 4)), np.arange(10) % 2)


def test_a_solver_that_stops_early_says_so_without_a_warning(digits, caplog):
    images, labels = digits
    with warnings.catch_warnings(), caplog.at_level(logging.INFO):
        warnings.simplefilter("error")
        build_model("logistic_regression", {"max_iter": 2}).fit(images, labels)
    assert "LogisticRegressionClassifier stopped at max_iter=2" in caplog.text


def test_rows_are_predicted_in_blocks(digits, monkeypatch):
    images, labels = digits
    model = build_model("sgd").fit(images, labels)
    whole = model.decision_function(images)
    monkeypatch.setattr(classical, "_BLOCK_ROWS", 7)
    assert model.decision_function(images) == pytest.approx(whole, rel=1e-3)


def test_the_shells_leave_the_model_to_their_subclasses(digits):
    with pytest.raises(NotImplementedError):
        classical.ClassicalClassifier()._make(None)


def test_a_missing_library_is_named_with_its_extra_before_the_fit(monkeypatch):
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(MissingExtraError, match=r"xgboost is needed .*tenfold\[train\]"):
        build_model("xgboost")
