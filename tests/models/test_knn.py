"""The exact search gives scikit-learn's labels, ties included."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits

from tenfold.data import load_dataset, make_split
from tenfold.errors import ModelInputError
from tenfold.models import build_model, knn


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


def test_distances_are_exact_where_float32_would_round():
    # 3,000 white pixels against black ones: the squared distance has 28 bits.
    train = np.zeros((3, 3000), dtype=np.uint8)
    train[0], train[1], train[2] = 255, 255, 255
    train[1, 0], train[2, 0] = 254, 253
    rows, far = knn.nearest_rows(train, np.zeros((1, 3000), dtype=np.uint8), 3)
    assert rows.tolist() == [[2, 1, 0]]
    assert far.tolist() == [[2999 * 255**2 + value**2 for value in (253, 254, 255)]]


def test_images_too_large_for_32_bits_are_counted_in_64():
    train = np.full((2, 40_000), 255, dtype=np.uint8)
    train[1, 0] = 254
    _, far = knn.nearest_rows(train, np.zeros((1, 40_000), dtype=np.uint8), 2)
    assert far.dtype == np.int64
    assert far[0, 1] == 40_000 * 255**2


def test_threads_and_chunks_do_not_change_the_result(digits, monkeypatch):
    images, _ = digits
    whole = knn.nearest_rows(images[:200], images[200:], 5)
    monkeypatch.setattr(knn, "_CHUNK_VALUES", 1400)
    parts = knn.nearest_rows(images[:200], images[200:], 5, threads=3)
    assert all(np.array_equal(a, b) for a, b in zip(whole, parts, strict=True))


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
def test_labels_on_real_digits_are_stock_scikit_learns(data_dir):
    split = make_split(load_dataset("mnist", data_dir=data_dir))
    train, queries = split.images[:6000], split.images[-400:]
    model = build_model("knn", {"n_neighbors": 3}, threads=2).fit(train, split.labels[:6000])
    stock = stock_labels(train, split.labels[:6000], queries, n_neighbors=3)
    assert (model.predict(queries) == stock).all()
