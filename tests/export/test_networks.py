"""Networks as graphs: every layer, every size of image."""

import numpy as np
import pytest
import torch
from torch import nn

from tenfold.errors import ExportError
from tenfold.export import export_onnx
from tenfold.export.networks import network_features
from tenfold.models import build_model


@pytest.fixture
def noise():
    rng = np.random.default_rng(0)
    return lambda shape, n=40: rng.integers(0, 256, (n, shape[0] * shape[1])).astype(np.uint8)


def fitted(name, images, shape, **params):
    params = {"epochs": 1, "batch_size": 16, "learning_rate": 1e-3, **params}
    return build_model(name, params, image_shape=shape).fit(images, np.arange(len(images)) % 3)


@pytest.mark.parametrize("shape", [(6, 6), (9, 13), (28, 28)])
@pytest.mark.parametrize(
    "name", ["cnn", "deep_cnn", "keras_cnn", "simple_conv_net", "bn_cnn", "pca_cnn", "mlp", "fcnn"]
)
def test_sizes_of_images(noise, same, name, shape):
    images = noise(shape)
    same(export_onnx(estimator := fitted(name, images, shape)), estimator, images)


@pytest.mark.parametrize(("shape", "patch_size"), [((8, 8), 4), ((9, 14), 4), ((3, 5), 7)])
def test_patches_that_do_not_fit_are_padded_evenly(noise, same, shape, patch_size):
    images = noise(shape)
    params = {"patch_size": patch_size, "width": 12, "heads": 3, "depth": 2, "mlp_ratio": 0.5}
    estimator = fitted("vit", images, shape, **params)
    same(export_onnx(estimator), estimator, images)


@pytest.mark.parametrize(
    "params", [{"batch_norm": False}, {"dropout": 0.5}, {"hidden_layers": [7, 5, 3]}]
)
def test_forms_of_the_perceptron(noise, same, params):
    images = noise((5, 5))
    estimator = fitted("mlp", images, (5, 5), **params)
    same(export_onnx(estimator), estimator, images)


def test_a_norm_behind_a_pool_is_kept_where_it_is(noise, same):
    images = noise((8, 8))
    estimator = fitted("cnn", images, (8, 8), width=4)
    with torch.no_grad():  # negative factors do not commute with a maximum
        for layer in estimator.network_.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.weight.copy_(torch.linspace(-1, 1, len(layer.weight)))
    same(export_onnx(estimator), estimator, images)


def test_exporting_leaves_the_network_as_it_was(noise):
    images = noise((8, 8))
    estimator = fitted("cnn", images, (8, 8), width=4)
    before = {name: value.clone() for name, value in estimator.network_.state_dict().items()}
    export_onnx(estimator)
    after = estimator.network_.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_features_are_what_the_last_layer_sees(noise):
    images = noise((8, 8))
    estimator = fitted("fcnn", images, (8, 8))
    features = network_features(estimator, images)
    head = estimator.network_[-1]
    with torch.inference_mode():
        logits = head(torch.tensor(features)).numpy()
    assert (logits.argmax(axis=1) == estimator.predict(images)).all()
    assert features.shape == (40, 128)


def test_a_layer_without_a_rule_is_named(noise):
    images = noise((4, 4))
    estimator = fitted("fcnn", images, (4, 4))
    estimator.network_[2] = nn.Softsign()
    with pytest.raises(ExportError, match=r"layer of type Softsign; known are .*BatchNorm2d"):
        export_onnx(estimator)


def test_a_network_without_a_dense_end_is_refused(noise):
    images = noise((4, 4))
    estimator = fitted("fcnn", images, (4, 4))
    estimator.network_ = estimator.network_[:-1]
    with pytest.raises(ExportError, match=r"ends with nn\.Linear; got Sequential"):
        export_onnx(estimator)
