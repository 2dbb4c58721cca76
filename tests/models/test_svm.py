"""The support vector machine is scikit-learn's, to the bit, however it is solved."""

import importlib

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.svm import SVC

from tenfold.data import load_dataset, make_split
from tenfold.models import build_model, model_bytes, svm
from tenfold.models.pairs import PairwiseSvc
from tenfold.models.svm import pairwise_scores


def stock_of(images, labels, **params):
    return SVC(decision_function_shape="ovo", **params).fit(images / 255, labels)


@pytest.mark.parametrize("kernel", ["rbf", "linear", "poly"])
@pytest.mark.parametrize("classes", [(3, 8), (1, 4, 7), range(10)])
@pytest.mark.parametrize("gamma", ["scale", "auto", 0.05])
def test_it_learns_what_stock_scikit_learn_learns(digits, kernel, classes, gamma):
    images, labels = digits
    some = np.isin(labels, classes)
    images, labels = images[some], labels[some]
    params = {"C": 3.0, "kernel": kernel, "gamma": gamma, "degree": 2}
    model = build_model("svm", params, threads=2).fit(images[:150], labels[:150])
    stock = stock_of(images[:150], labels[:150], **params)
    assert model.model_.gamma_ == pytest.approx(stock._gamma, rel=1e-12)
    assert np.array_equal(model.model_.support_, stock.support_)
    assert np.array_equal(model.model_.n_support_, stock.n_support_)
    assert model.model_.dual_coef_ == pytest.approx(stock.dual_coef_, rel=1e-6, abs=1e-9)
    assert model.model_.intercept_ == pytest.approx(stock.intercept_, rel=1e-6, abs=1e-9)
    margins = model.model_.decision_function(images)
    assert margins == pytest.approx(stock.decision_function(images / 255), abs=1e-6)
    assert (model.predict(images) == stock.predict(images / 255)).all()


@pytest.mark.parametrize("params", [{}, {"kernel": "poly", "gamma": 0.1}])
def test_a_path_ends_as_separate_fits(digits, params):
    images, labels = digits
    *smaller, last = (build_model("svm", {"C": C, **params}, threads=2) for C in (0.1, 2, 50))
    ready = []
    assert last.fit_path(images[:200], labels[:200], smaller, on_ready=ready.extend) is last
    assert ready == [*smaller, last]
    for estimator in ready:
        own = clone(estimator).fit(images[:200], labels[:200])
        assert np.array_equal(estimator.model_.dual_coef_, own.model_.dual_coef_)
        assert np.array_equal(estimator.decision_function(images), own.decision_function(images))
        assert np.array_equal(estimator.predict_proba(images), own.predict_proba(images))
    counts = [len(estimator.model_.support_) for estimator in ready]
    assert counts[0] > counts[1]
    ready[0].calibrator_ = None  # each has one of its own
    assert last.calibrator_ is not None


def test_threads_and_blocks_do_not_change_the_result(digits, monkeypatch):
    images, labels = digits
    whole = build_model("svm").fit(images[:200], labels[:200])
    monkeypatch.setattr("tenfold.models.pairs._BLOCK_ROWS", 7)
    parts = build_model("svm", threads=3).fit(images[:200], labels[:200])
    assert np.array_equal(whole.model_.dual_coef_, parts.model_.dual_coef_)
    # Sums of blocks are rounded in another order.
    assert parts.decision_function(images) == pytest.approx(whole.decision_function(images))


def test_images_of_many_pixels_are_learned_exactly():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 16_500), dtype=np.uint8)
    labels = rng.integers(0, 3, 40)
    model = build_model("svm", {"C": 1}).fit(images, labels)
    stock = stock_of(images, labels, C=1)
    assert np.array_equal(model.model_.support_, stock.support_)
    assert model.model_.dual_coef_ == pytest.approx(stock.dual_coef_, abs=1e-6)


def test_images_that_are_all_the_same_are_no_trouble():
    images = np.full((20, 9), 7, dtype=np.uint8)
    model = build_model("svm").fit(images, np.arange(20) % 2)
    assert model.model_.gamma_ == 1.0
    assert np.isfinite(model.predict_proba(images)).all()


def test_labels_may_be_words(digits):
    images, labels = digits
    names = np.array(["zero", "one", "two"])
    few = labels < 3
    model = build_model("svm").fit(images[few], names[labels[few]])
    assert model.score(images[few], names[labels[few]]) == 1.0


@pytest.mark.parametrize("params", [{"pca": 12}, {}])
def test_where_no_kernel_can_be_held_a_library_learns_from_floats(digits, params, monkeypatch):
    images, labels = digits
    if not params:
        monkeypatch.setattr(svm, "_MOST_PAIR_ROWS", 10)
    *smaller, last = (build_model("svm", {"C": C, **params}) for C in (1, 10))
    ready = []
    last.fit_path(images[:200], labels[:200], smaller, on_ready=ready.append)
    assert ready == [[*smaller], [last]]
    assert not isinstance(last.model_, PairwiseSvc)
    assert last.score(images[200:], labels[200:]) > 0.9
    assert model_bytes(last) > np.asarray(last.model_.support_vectors_).nbytes


def test_intels_margins_agree_with_stock_scikit_learns(digits, monkeypatch):
    pytest.importorskip("sklearnex")
    monkeypatch.setattr(svm, "_MOST_PAIR_ROWS", 0)
    images, labels = digits
    model = build_model("svm").fit(images, labels)
    assert type(model.model_) is not SVC
    ours = model.model_.decision_function((images / 255).astype(np.float32))
    stock = stock_of(images, labels, C=10)
    assert ours == pytest.approx(stock.decision_function(images / 255), abs=5e-3)


def test_without_intels_extension_the_library_is_scikit_learn(digits, monkeypatch):
    real = importlib.import_module

    def refuse(name, *rest):
        if name.startswith("sklearnex"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", refuse)
    monkeypatch.setattr(svm, "_MOST_PAIR_ROWS", 0)
    images, labels = digits
    model = build_model("svm").fit(images[:200], labels[:200])
    assert type(model.model_) is SVC
    stock = stock_of(images[:200], labels[:200], C=10)
    assert (model.predict(images) == stock.predict(images / 255)).all()


def test_two_classes_have_one_score_above_zero_for_the_second(digits):
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


@pytest.mark.mnist
@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist"])
def test_labels_on_real_images_are_stock_scikit_learns(data_dir, dataset):
    split = make_split(load_dataset(dataset, data_dir=data_dir))
    images, labels, queries = split.images[:1500], split.labels[:1500], split.images[-400:]
    *smaller, last = (build_model("svm", {"C": C}, threads=2) for C in (1, 10, 100))
    last.fit_path(images, labels, smaller, on_ready=lambda ready: None)
    for estimator in (*smaller, last):
        stock = stock_of(images, labels, C=estimator.C)
        assert np.array_equal(estimator.model_.support_, stock.support_)
        assert (estimator.predict(queries) == stock.predict(queries / 255)).all()
