"""A linear classifier made by hand as an ONNX graph, for tests of what holds and reads graphs."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper


def make_graph(*, weights=None, nodes=(), initializers=(), **opsets):
    """Return a linear classifier, by default of 12 pixels into 3 classes, as an ONNX model."""
    if weights is None:
        weights = np.random.default_rng(0).normal(size=(12, 3))
    n_pixels, n_classes = weights.shape
    made = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["pixels", "full"], ["scaled"]),
        helper.make_node("MatMul", ["scaled", "weights"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
        helper.make_node("ReduceMax", ["probabilities"], ["best"], axes=[1], keepdims=0),
        helper.make_node("Neg", ["best"], ["outlier_score"]),
    ]
    graph = helper.make_graph(
        [*made, *nodes],
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", n_pixels])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["n"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", n_classes]),
            helper.make_tensor_value_info("outlier_score", TensorProto.FLOAT, ["n"]),
        ],
        [
            numpy_helper.from_array(weights.astype(np.float32), "weights"),
            numpy_helper.from_array(np.float32(255.0), "full"),
            *initializers,
        ],
    )
    versions = opsets or {"": 17}
    imports = [helper.make_opsetid(domain, version) for domain, version in versions.items()]
    return helper.make_model(graph, opset_imports=imports, ir_version=9)


def answer(model, images):
    """Return labels and probabilities as the estimator behind a linear graph would."""
    weights = numpy_helper.to_array(model.graph.initializer[0]).astype(np.float64)
    scores = images / 255 @ weights
    exponent = np.exp(scores - scores.max(axis=1, keepdims=True))
    return scores.argmax(axis=1), exponent / exponent.sum(axis=1, keepdims=True)


def fit_weights(images, labels, n_classes):
    """Return the weights of a ridge regression on one column per class."""
    pixels = images / 255
    wanted = 8.0 * np.eye(n_classes)[labels]
    return np.linalg.solve(pixels.T @ pixels + np.eye(pixels.shape[1]), pixels.T @ wanted)
