"""Nearest neighbours as graphs: exact distances and the same votes."""

import numpy as np
import pytest

from tenfold.export import distances, export_onnx
from tenfold.inference import OnnxClassifier
from tenfold.models import build_model


@pytest.mark.parametrize("weights", ["uniform", "distance"])
@pytest.mark.parametrize("k", [1, 3, 5, 300])
@pytest.mark.parametrize("pca", [None, 10])
def test_neighbours_vote_as_in_the_estimator(digits, same, k, weights, pca):
    images, labels = digits
    params = {"n_neighbors": k, "weights": weights, "pca": pca}
    estimator = build_model("knn", params).fit(images[:300], labels[:300])
    # The first rows are training images: at distance zero, where those alone vote.
    same(export_onnx(estimator), estimator, images, tolerance=1e-5)


def test_distances_are_exact_where_single_precision_would_round():
    # 3,000 white pixels against black ones: the squared distances have 28 bits and differ by few.
    train = np.full((3, 3000), 255, dtype=np.uint8)
    train[1, 0], train[2, 0] = 254, 253
    estimator = build_model("knn", {"n_neighbors": 1}).fit(train, [0, 1, 2])
    black = np.zeros((1, 3000), dtype=np.uint8)
    assert OnnxClassifier(export_onnx(estimator)).predict(black).tolist() == [2]
    assert OnnxClassifier(export_onnx(estimator)).predict(train).tolist() == [0, 1, 2]


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_images_too_large_for_32_bits_are_counted_in_64(weights):
    n_pixels = 40_000
    train = np.full((3, n_pixels), 255, dtype=np.uint8)
    train[1, :9] = 0
    train[2, :10] = 0
    params = {"n_neighbors": 2, "weights": weights}
    estimator = build_model("knn", params).fit(train, [0, 1, 2])
    black = np.zeros((1, n_pixels), dtype=np.uint8)
    answers = OnnxClassifier(export_onnx(estimator)).answer(black)
    assert answers.probabilities == pytest.approx(estimator.predict_proba(black), abs=1e-7)
    assert distances.whole_number(n_pixels) is np.int64


def test_of_rows_that_tie_for_the_last_place_the_lowest_vote():
    train = np.array([[10], [30], [10], [30], [10]], dtype=np.uint8)
    estimator = build_model("knn", {"n_neighbors": 3}).fit(train, [1, 0, 1, 0, 1])
    answers = OnnxClassifier(export_onnx(estimator)).answer(np.array([[20]], dtype=np.uint8))
    assert answers.probabilities[0] == pytest.approx([1 / 3, 2 / 3])  # rows 0, 1 and 2


@pytest.mark.parametrize("weights", ["uniform", "distance"])
@pytest.mark.parametrize("train", [np.zeros((3, 4)), np.eye(4) * 200, np.eye(3, 4) * 9])
def test_pixels_that_no_training_image_uses_still_count(same, train, weights):
    estimator = build_model("knn", {"n_neighbors": 2, "weights": weights})
    estimator.fit(train, np.arange(len(train)) % 2)
    images = np.array([[0, 0, 0, 0], [0, 0, 0, 255], [9, 0, 0, 7], [255, 255, 255, 255]])
    same(export_onnx(estimator), estimator, images)


@pytest.mark.parametrize("n_levels", [2, 3])
def test_equal_votes_go_to_the_lowest_class_as_in_the_estimator(same, n_levels):
    rng = np.random.default_rng(n_levels)
    levels = np.linspace(0, 255, n_levels).astype(np.uint8)
    images = np.unique(levels[rng.integers(0, n_levels, (300, 7))], axis=0)
    # All rows vote, so that none ties for the last place, and many votes are equal.
    params = {"n_neighbors": len(images), "weights": "distance"}
    estimator = build_model("knn", params).fit(images, rng.integers(0, 4, len(images)))
    same(export_onnx(estimator), estimator, images)
