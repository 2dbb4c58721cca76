"""The classical models against the libraries that they stand for."""

import importlib
import logging
import sys
import warnings

import numpy as np
import pytest
import sklearn.linear_model
import sklearn.svm
from sklearn.ensemble import RandomForestClassifier

from tenfold.errors import MissingExtraError, ModelInputError
from tenfold.models import build_model, classical
from tenfold.models.classical import fit_pca, pairwise_scores


@pytest.fixture
def without_intel(monkeypatch):
    real = importlib.import_module

    def refuse(name, *rest):
        if name.startswith("sklearnex"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", refuse)


def test_svm_gives_stock_scikit_learns_labels(digits):
    images, labels = digits
    stock = sklearn.svm.SVC(C=10).fit(images[:200] / 255, labels[:200])
    model = build_model("svm", threads=2).fit(images[:200], labels[:200])
    assert (model.predict(images) == stock.predict(images / 255)).mean() >= 0.999


@pytest.mark.parametrize("kernel", ["rbf", "linear", "poly"])
def test_svm_without_intels_extension_is_stock_scikit_learns(digits, kernel, without_intel):
    images, labels = digits
    model = build_model("svm", {"kernel": kernel}).fit(images[:200], labels[:200])
    assert type(model.model_) is sklearn.svm.SVC
    stock = sklearn.svm.SVC(C=10, kernel=kernel).fit(images[:200] / 255, labels[:200])
    assert (model.predict(images) == stock.predict(images / 255)).all()


def test_intels_margins_agree_with_stock_scikit_learns(digits):
    pytest.importorskip("sklearnex")
    images, labels = digits
    model = build_model("svm").fit(images, labels)
    assert type(model.model_) is not sklearn.svm.SVC
    stock = sklearn.svm.SVC(C=10, decision_function_shape="ovo").fit(images / 255, labels)
    ours = model.model_.decision_function((images / 255).astype(np.float32))
    assert ours == pytest.approx(stock.decision_function(images / 255), abs=5e-3)


def test_logistic_regression_is_as_good_with_and_without_intels_extension(digits, request):
    images, labels = digits
    accelerated = build_model("logistic_regression").fit(images[:200], labels[:200])
    request.getfixturevalue("without_intel")
    stock = build_model("logistic_regression").fit(images[:200], labels[:200])
    assert type(stock.model_) is sklearn.linear_model.LogisticRegression
    agree = accelerated.predict(images[200:]) == stock.predict(images[200:])
    assert agree.mean() >= 0.99


def test_a_svm_of_two_classes_has_one_score_above_zero_for_the_second(digits):
    images, labels = digits
    model = build_model("svm").fit(images, labels == 5)
    scores = model.decision_function(images)
    assert scores.shape == (300,)
    assert ((scores > 0) == (labels == 5)).all()


def test_pairwise_scores_put_the_class_with_most_votes_first():
    rng = np.random.default_rng(0)
    margins = rng.normal(size=(500, 10))
    votes = np.zeros((500, 5), dtype=int)
    for column, (i, j) in enumerate(zip(*np.triu_indices(5, 1), strict=True)):
        votes[:, i] += margins[:, column] > 0
        votes[:, j] += margins[:, column] <= 0
    assert (pairwise_scores(margins, 5).argmax(axis=1) == votes.argmax(axis=1)).all()


def test_pairwise_scores_of_huge_margins_are_finite():
    assert np.isfinite(pairwise_scores(np.full((1, 3), 1e6), 3)).all()


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
