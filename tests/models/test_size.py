"""Bytes of what a model learned."""

import numpy as np
import pytest

from tenfold.models import build_model, model_bytes


def test_arrays_count_as_they_lie_in_memory(digits):
    images, labels = digits
    knn = build_model("knn").fit(images, labels)
    assert model_bytes(knn) >= images.nbytes
    assert model_bytes(knn) < images.nbytes + 10_000


def test_support_vectors_count_with_either_solver(digits):
    images, labels = digits
    svm = build_model("svm").fit(images, labels)
    vectors = np.asarray(svm.model_.support_vectors_)
    assert model_bytes(svm) > vectors.nbytes


@pytest.mark.parametrize("name", ["random_forest", "xgboost"])
def test_more_trees_are_more_bytes(digits, name):
    images, labels = digits
    few, many = (
        model_bytes(build_model(name, {"n_estimators": n}).fit(images, labels)) for n in (2, 20)
    )
    assert 5 * few < many < 20 * few


def test_a_network_counts_four_bytes_a_parameter(digits):
    images, labels = digits
    cnn = build_model("keras_cnn", {"epochs": 1}).fit(images, labels)
    n_parameters = sum(weight.numel() for weight in cnn.network_.parameters())
    assert 4 * n_parameters <= model_bytes(cnn) < 4 * n_parameters + 2000


def test_what_is_held_twice_counts_once():
    class Fitted:
        def __init__(self):
            self.first_ = self.second_ = np.zeros(100)
            self.both_ = {"again": self.first_, "more": [self.second_, None, "text"]}
            self.setting = np.zeros(100)

    assert model_bytes(Fitted()) == 800
