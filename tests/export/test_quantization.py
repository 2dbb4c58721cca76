"""The int8 variant of networks."""

import logging

import numpy as np
import onnx
import pytest

from tenfold.errors import ExportError, ModelInputError
from tenfold.export import export_onnx, fit_outlier_rule, quantize_int8
from tenfold.inference import OnnxClassifier
from tenfold.models import build_model


@pytest.fixture(scope="module")
def network(digits):
    images, labels = digits
    params = {"width": 16, "epochs": 6, "batch_size": 32, "shift_px": 0}
    estimator = build_model("cnn", params, image_shape=(8, 8)).fit(images[:300], labels[:300])
    rule = fit_outlier_rule(estimator, images[:300], labels[:300], images[300:])
    return export_onnx(estimator, outlier=rule)


def test_it_answers_nearly_alike_in_less_space(digits, network):
    images, labels = digits
    small = quantize_int8(network, images[:300])
    assert len(small) < 0.8 * len(network)
    before, after = (OnnxClassifier(model).answer(images[300:]) for model in (network, small))
    right = (before.labels == labels[300:]).mean()
    assert right > 0.8
    assert (after.labels == labels[300:]).mean() > right - 0.05
    assert after.probabilities == pytest.approx(before.probabilities, abs=0.3)
    assert np.median(after.outlier_scores / before.outlier_scores) == pytest.approx(1, abs=0.1)


def test_it_is_a_plain_graph_of_onnx_alone(digits, network):
    proto = onnx.load_model_from_string(quantize_int8(network, digits[0][:100]))
    onnx.checker.check_model(proto, full_check=True)
    assert [item.domain for item in proto.opset_import] == [""]
    assert not proto.metadata_props
    assert not any(item.external_data for item in proto.graph.initializer)
    kept = [node.op_type for node in proto.graph.node if node.name.startswith("answers/")]
    assert "Softmax" in kept
    assert "QuantizeLinear" not in kept


def test_weights_stay_small_enough_for_any_processor(digits, network):
    proto = onnx.load_model_from_string(quantize_int8(network, digits[0][:100]))
    weights = [
        onnx.numpy_helper.to_array(item)
        for item in proto.graph.initializer
        if item.data_type == onnx.TensorProto.INT8 and len(item.dims) > 1
    ]
    assert weights
    assert all(np.abs(item.astype(int)).max() <= 64 for item in weights)


def test_it_says_nothing_to_the_root_logger(digits, network, caplog):
    before = list(logging.getLogger().handlers)
    quantize_int8(network, digits[0][:100])
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert logging.getLogger().handlers == before


def test_models_that_are_no_networks_are_refused(digits):
    for name in ("knn", "random_forest", "logistic_regression"):
        params = {"n_estimators": 3} if name == "random_forest" else {}
        model = export_onnx(build_model(name, params).fit(*digits))
        with pytest.raises(ExportError, match="Only networks have an int8 variant"):
            quantize_int8(model, digits[0])


def test_images_are_checked(network):
    with pytest.raises(ModelInputError, match="two-dimensional"):
        quantize_int8(network, np.zeros(64))
