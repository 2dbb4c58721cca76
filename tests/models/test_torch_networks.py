"""The networks' layouts."""

import pytest
import torch
from torch import nn

from tenfold.config.params import KerasCnnParams, MlpParams
from tenfold.errors import ModelInputError
from tenfold.models.torch.networks import build_network


def count(network):
    return sum(weight.numel() for weight in network.parameters())


def test_keras_cnn_has_225_034_parameters():
    network = build_network("keras_cnn", KerasCnnParams(), (28, 28), 10)
    assert count(network) == 225_034


def test_keras_cnn_starts_as_keras_does():
    torch.manual_seed(0)
    network = build_network("keras_cnn", KerasCnnParams(), (28, 28), 10)
    layers = [layer for layer in network if isinstance(layer, nn.Conv2d | nn.Linear)]
    limits = [(6 / (9 + 288)) ** 0.5, (6 / (288 + 576)) ** 0.5, (6 / (1600 + 128)) ** 0.5]
    for layer, limit in zip(layers, limits, strict=False):
        assert (layer.bias == 0).all()
        assert 0.9 * limit < layer.weight.abs().max() <= limit


@pytest.mark.parametrize(
    ("shape", "dense_inputs"),
    [((28, 28), 1600), ((10, 10), 64), ((10, 28), 320), ((9, 9), 256), ((8, 8), 256), ((4, 4), 64)],
)
def test_keras_cnn_pads_only_images_too_small_for_valid_convolutions(shape, dense_inputs):
    network = build_network("keras_cnn", KerasCnnParams(), shape, 3)
    dense = next(layer for layer in network if isinstance(layer, nn.Linear))
    assert dense.in_features == dense_inputs
    rows = torch.zeros((2, shape[0] * shape[1]), dtype=torch.uint8)
    assert network(rows).shape == (2, 3)


@pytest.mark.parametrize("shape", [(3, 3), (28, 3)])
def test_an_image_too_small_is_answered_with_the_smallest_that_works(shape):
    with pytest.raises(ModelInputError, match="at least 4x4 pixels; got"):
        build_network("keras_cnn", KerasCnnParams(), shape, 10)


@pytest.mark.parametrize("batch_norm", [True, False])
def test_mlp_has_the_layers_asked_for(batch_norm):
    params = MlpParams(hidden_layers=(64, 32), batch_norm=batch_norm, dropout=0.2)
    network = build_network("mlp", params, (28, 28), 10)
    sizes = [layer.out_features for layer in network if isinstance(layer, nn.Linear)]
    assert sizes == [64, 32, 10]
    assert sum(isinstance(layer, nn.Dropout) for layer in network) == 2
    assert sum(isinstance(layer, nn.BatchNorm1d) for layer in network) == 2 * batch_norm
    biases = 10 + (2 * (64 + 32) if batch_norm else 64 + 32)
    assert count(network) == 784 * 64 + 64 * 32 + 32 * 10 + biases


def test_pixels_are_scaled_inside_the_network():
    network = build_network("mlp", MlpParams(hidden_layers=(4,)), (1, 2), 2)
    scaled = network[0](torch.tensor([[0, 255]], dtype=torch.uint8))
    assert scaled.tolist() == [[0.0, 1.0]]
