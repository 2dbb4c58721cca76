"""Support vector machines as graphs."""

import numpy as np
import pytest

from tenfold.errors import ExportError
from tenfold.export import distances, export_onnx
from tenfold.models import build_model, svm


@pytest.mark.parametrize("pca", [None, 10])
@pytest.mark.parametrize("kernel", ["rbf", "poly", "linear"])
@pytest.mark.parametrize("classes", [(0, 1), (3, 5, 8), range(10)])
def test_every_kernel_answers_as_its_graph(digits, same, kernel, pca, classes):
    images, labels = digits
    some = np.isin(labels, classes)
    params = {"kernel": kernel, "pca": pca, "degree": 2, "C": 3}
    estimator = build_model("svm", params).fit(images[some], labels[some])
    same(export_onnx(estimator), estimator, images, tolerance=1e-5)


@pytest.mark.parametrize("gamma", ["auto", 0.5, 20.0])
def test_any_width_of_the_kernel(digits, same, gamma):
    images, labels = digits
    estimator = build_model("svm", {"gamma": gamma}).fit(images[:300], labels[:300])
    same(export_onnx(estimator), estimator, images, tolerance=1e-5)


def test_where_votes_and_scores_disagree_the_votes_decide(digits, same):
    # Margins of few rows: the pairs contradict each other often.
    images, labels = digits
    estimator = build_model("svm", {"C": 0.1}).fit(images[:40], labels[:40])
    noise = np.random.default_rng(0).integers(0, 256, (500, 64)).astype(np.uint8)
    same(export_onnx(estimator), estimator, noise, tolerance=1e-5)


def test_images_too_large_for_32_bits_are_counted_in_64(same, monkeypatch):
    monkeypatch.setattr(distances, "_WIDEST_INT32", 24)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 64)).astype(np.uint8)
    estimator = build_model("svm").fit(images, np.arange(60) % 3)
    same(export_onnx(estimator), estimator, images, tolerance=1e-5)


@pytest.mark.parametrize("kernel", ["rbf", "poly", "linear"])
def test_what_a_library_learned_from_floats_answers_as_its_graph(digits, same, kernel, monkeypatch):
    monkeypatch.setattr(svm, "_MOST_PAIR_ROWS", 0)
    images, labels = digits
    estimator = build_model("svm", {"kernel": kernel, "degree": 2}).fit(images, labels)
    same(export_onnx(estimator), estimator, images, tolerance=1e-5)


def test_support_vectors_that_are_no_pixels_are_refused(digits, monkeypatch):
    monkeypatch.setattr(svm, "_MOST_PAIR_ROWS", 0)
    estimator = build_model("svm").fit(*digits)
    estimator.model_.support_vectors_[:] *= 0.37
    with pytest.raises(ExportError, match=r"no pixels of 0\.\.1"):
        export_onnx(estimator)
