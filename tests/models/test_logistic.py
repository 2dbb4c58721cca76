"""Logistic regression reaches scikit-learn's minimum, and one run gives every stop."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from tenfold.data import load_dataset, make_split
from tenfold.models import build_model, logistic


def objective_of(coefficients, intercepts, images, labels, C):
    """Return the loss that scikit-learn documents, divided by the number of images."""
    scores = images / 255 @ coefficients.T + intercepts
    if len(coefficients) == 1:
        scores = np.column_stack([np.zeros(len(scores)), scores])
    scores -= scores.max(axis=1, keepdims=True)
    losses = np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(len(labels)), labels]
    return losses.mean() + (coefficients**2).sum() / (2 * C * len(labels))


@pytest.mark.parametrize("C", [0.01, 1, 100])
@pytest.mark.parametrize("n_classes", [2, 10])
def test_it_reaches_the_minimum_of_stock_scikit_learn(digits, C, n_classes):
    images, labels = digits
    some = labels < n_classes
    images, labels = images[some], labels[some]
    model = build_model("logistic_regression", {"C": C, "max_iter": 1000}).fit(images, labels)
    stock = LogisticRegression(C=C, max_iter=10_000, tol=1e-6).fit(images / 255, labels)
    ours, least = (
        objective_of(one.coef_, one.intercept_, images, labels, C) for one in (model.model_, stock)
    )
    assert ours == pytest.approx(least, abs=5e-4)  # both stop at a gradient of 1e-4 at most
    assert model.model_.coef_.shape == stock.coef_.shape
    assert model.predict_proba(images) == pytest.approx(stock.predict_proba(images / 255), abs=0.02)
    assert (model.predict(images) == stock.predict(images / 255)).mean() >= 0.99


@pytest.mark.parametrize("params", [{}, {"C": 100}, {"pca": 10}])
@pytest.mark.parametrize("n_classes", [2, 10])
def test_a_path_ends_as_separate_fits_to_the_bit(digits, params, n_classes):
    images, labels = digits
    some = labels < n_classes
    images, labels = images[some], labels[some]
    stops = (1, 7, 20, 500, 1000)
    *smaller, last = (
        build_model("logistic_regression", {"max_iter": stop, **params}, threads=2)
        for stop in stops
    )
    ready = []
    assert last.fit_path(images, labels, smaller, on_ready=ready.extend) is last
    assert ready == [*smaller, last]
    for estimator in ready:
        own = clone(estimator).fit(images, labels)
        assert np.array_equal(estimator.model_.coef_, own.model_.coef_)
        assert np.array_equal(estimator.model_.intercept_, own.model_.intercept_)
        assert estimator.model_.n_iter_ == own.model_.n_iter_
        assert estimator.model_.max_iter == estimator.max_iter
        assert np.array_equal(estimator.predict_proba(images), own.predict_proba(images))
    reached = [estimator.model_.n_iter_ for estimator in ready]
    assert reached[:2] == [1, 7]
    assert reached[-2] == reached[-1] < 500  # which is what converged: the last two are the same
    assert not np.array_equal(ready[0].model_.coef_, ready[1].model_.coef_)


def test_a_path_leaves_nothing_to_the_next_fit(digits):
    images, labels = digits
    first, last = (build_model("logistic_regression", {"max_iter": n}) for n in (3, 6))
    last.fit_path(images, labels, [first], on_ready=lambda ready: None)
    last.set_params(max_iter=2).fit(images[:100], labels[:100])
    assert first.model_.n_iter_ == 3
    own = build_model("logistic_regression", {"max_iter": 3}).fit(images, labels)
    assert np.array_equal(first.model_.coef_, own.model_.coef_)


def test_threads_do_not_change_the_result(digits, monkeypatch):
    monkeypatch.setattr(logistic, "_PART_ROWS", 64)
    monkeypatch.setattr(logistic, "_BLOCK_ROWS", 24)
    images, labels = digits
    one, three = (
        build_model("logistic_regression", threads=threads).fit(images, labels)
        for threads in (1, 3)
    )
    assert np.array_equal(one.model_.coef_, three.model_.coef_)
    assert np.array_equal(one.predict_proba(images), three.predict_proba(images))


def test_pixels_without_ink_weigh_nothing(digits):
    images, labels = digits
    blank = images.copy()
    blank[:, [0, 63]] = 0
    model = build_model("logistic_regression").fit(blank, labels)
    assert (model.model_.coef_[:, [0, 63]] == 0).all()
    assert np.array_equal(model.predict(images), model.predict(blank))


def test_images_that_are_all_black_are_no_trouble():
    images = np.zeros((12, 9), dtype=np.uint8)
    model = build_model("logistic_regression").fit(images, np.arange(12) % 3)
    assert model.predict_proba(images) == pytest.approx(np.full((12, 3), 1 / 3), abs=1e-3)


@pytest.mark.mnist
def test_it_is_as_good_as_stock_scikit_learn_on_real_digits(data_dir):
    split = make_split(load_dataset("mnist", data_dir=data_dir))
    images, labels, queries = split.images[:1500], split.labels[:1500], split.images[-1000:]
    model = build_model("logistic_regression", threads=2).fit(images, labels)
    stock = LogisticRegression(max_iter=1000).fit(images / 255, labels)
    agree = model.predict(queries) == stock.predict(queries / 255)
    assert agree.mean() >= 0.99
