"""The exact search gives scikit-learn's labels, ties included."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits

from tenfold.data import load_dataset, make_split
from tenfold.errors import ModelInputError
from tenfold.models import build_model
from tenfold.models.nearest import PixelIndex


def stock_labels(train, codes, queries, **params):
    # One thread: with more, scikit-learn may merge its heaps in another order for few queries.
    with threadpool_limits(1):
        model = KNeighborsClassifier(algorithm="brute", **params)
        return model.fit(train.astype(float), codes).predict(queries.astype(float))


@pytest.mark.parametrize("weights", ["uniform", "distance"])
@pytest.mark.parametrize("n_levels", [2, 3, 256])
@pytest.mark.parametrize("k", [1, 2, 3, 5, 10])
def test_labels_are_stock_scikit_learns_where_ties_are_many(k, n_levels, weights):
    rng = np.random.default_rng(k * n_levels)
    levels = np.linspace(0, 255, n_levels).astype(np.uint8)
    train = levels[rng.integers(0, n_levels, (700, 5))]
    queries = np.concatenate([train[:100], levels[rng.integers(0, n_levels, (200, 5))]])
    codes = rng.integers(0, 4, len(train))
    model = build_model("knn", {"n_neighbors": k, "weights": weights}, threads=2)
    ours = model.fit(train, codes).predict(queries)
    stock = stock_labels(train, codes, queries, n_neighbors=k, weights=weights)
    assert (ours == stock).all()


@pytest.mark.parametrize("params", [{}, {"weights": "distance"}, {"pca": 12}])
def test_a_path_predicts_what_separate_fits_predict(digits, params, monkeypatch):
    images, labels = digits
    searches = []
    search = PixelIndex.search

    def counted(self, queries, ks, **rest):
        searches.append(list(ks))
        return search(self, queries, ks, **rest)

    monkeypatch.setattr(PixelIndex, "search", counted)
    *smaller, last = (build_model("knn", {"n_neighbors": k, **params}) for k in (1, 4, 7))
    ready = []
    assert last.fit_path(images[:200], labels[:200], smaller, on_ready=ready.extend) is last
    assert ready == [*smaller, last]
    together = type(last).predict_proba_each(ready, images)
    assert searches == ([] if "pca" in params else [[1, 4, 7]])
    for estimator, probabilities in zip(ready, together, strict=True):
        own = clone(estimator).fit(images[:200], labels[:200])
        assert np.array_equal(probabilities, own.predict_proba(images))
        assert np.array_equal(estimator.predict_proba(images), probabilities)


def test_estimators_that_share_nothing_are_asked_one_by_one(digits):
    images, labels = digits
    apart = [
        build_model("knn", {"n_neighbors": 1}).fit(images[rows], labels[rows])
        for rows in (slice(100), slice(200, 300))
    ]
    found = type(apart[0]).predict_proba_each(apart, images)
    for estimator, probabilities in zip(apart, found, strict=True):
        assert np.array_equal(probabilities, estimator.predict_proba(images))


def test_images_that_are_all_the_same_are_no_trouble():
    train = np.zeros((50, 4), dtype=np.uint8)
    model = build_model("knn", {"n_neighbors": 7, "weights": "distance"})
    model.fit(train, np.arange(50) % 2)
    assert model.predict_proba(train[:1]).sum() == pytest.approx(1)
    same = stock_labels(train, np.arange(50) % 2, train[:1], n_neighbors=7)
    assert model.predict(train[:1]) == same


def test_more_neighbours_than_images_are_refused(digits):
    images, labels = digits
    with pytest.raises(ModelInputError, match="n_neighbors is 11 and there are only 10"):
        build_model("knn", {"n_neighbors": 11}).fit(images[:10], labels[:10])


def test_training_images_are_kept_apart_from_the_callers(digits):
    images, labels = digits
    mine = images.copy()
    model = build_model("knn").fit(mine, labels)
    before = model.predict(images)
    mine[:] = 0
    assert (model.predict(images) == before).all()


@pytest.mark.mnist
@pytest.mark.parametrize("dataset", ["mnist", "fashion-mnist"])
def test_labels_on_real_images_are_stock_scikit_learns(data_dir, dataset):
    split = make_split(load_dataset(dataset, data_dir=data_dir))
    train, codes, queries = split.images[:6000], split.labels[:6000], split.images[-400:]
    *smaller, last = (build_model("knn", {"n_neighbors": k}, threads=2) for k in (3, 5, 7))
    last.fit_path(train, codes, smaller, on_ready=lambda ready: None)
    together = type(last).predict_proba_each([*smaller, last], queries)
    for k, probabilities in zip((3, 5, 7), together, strict=True):
        stock = stock_labels(train, codes, queries, n_neighbors=k)
        assert (probabilities.argmax(axis=1) == stock).all()
