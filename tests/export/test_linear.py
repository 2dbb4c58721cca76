"""Linear models as graphs."""

import numpy as np
import pytest

from tenfold.export import export_onnx
from tenfold.models import build_model


@pytest.mark.parametrize("pca", [None, 0.9, 5])
@pytest.mark.parametrize("name", ["logistic_regression", "sgd"])
@pytest.mark.parametrize("n_classes", [2, 10])
def test_a_linear_model_answers_as_its_graph(digits, same, name, n_classes, pca):
    images, labels = digits
    some = labels < n_classes
    estimator = build_model(name, {"pca": pca}).fit(images[some], labels[some])
    same(export_onnx(estimator), estimator, images, tolerance=1e-5)


def test_scores_far_out_do_not_overflow(digits, same):
    images, labels = digits
    params = {"alpha": 1e-6, "loss": "modified_huber", "tol": 0, "max_iter": 5}
    estimator = build_model("sgd", params).fit(images, labels)
    assert np.abs(estimator.decision_function(images)).max() > 100
    same(export_onnx(estimator), estimator, images, tolerance=1e-4)
