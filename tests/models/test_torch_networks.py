"""The networks' layouts."""

import pytest
import torch
from torch import nn

from tenfold.config.params import PARAMS
from tenfold.errors import ModelInputError
from tenfold.models.torch.networks import NETWORKS, build_network
from tenfold.models.torch.networks.layers import Dropout, FlattenByPixel

KerasCnnParams, MlpParams = PARAMS["keras_cnn"], PARAMS["mlp"]


def count(network):
    return sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("mlp", 235_530),
        ("fcnn", 118_282),
        ("cnn", 75_946),
        ("keras_cnn", 225_034),
        ("bn_cnn", 1_626_058),
        ("simple_conv_net", 1_199_882),
        ("pca_cnn", 75_946),
        ("deep_cnn", 266_266),
        ("vit", 539_914),
    ],
)
def test_parameters_are_counted(name, parameters):
    network = build_network(name, PARAMS[name](), (28, 28), 10)
    assert count(network) == parameters


def test_every_network_is_counted_and_has_a_schema():
    assert len(NETWORKS) == 9
    assert set(NETWORKS) <= set(PARAMS)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shape", [(28, 28), (8, 8), (6, 8), (13, 7), None])
def test_a_network_takes_any_shape_and_number_of_classes(name, shape):
    height, width = shape or (NETWORKS[name].smallest,) * 2
    network = build_network(name, PARAMS[name](), (height, width), 3)
    rows = torch.randint(0, 256, (4, height * width), dtype=torch.uint8)
    network(rows).sum().backward()
    logits = network.eval()(rows)
    assert logits.shape == (4, 3)
    assert torch.allclose(network(rows.float()), logits)


@pytest.mark.parametrize(
    ("name", "smallest"), [("keras_cnn", 4), ("simple_conv_net", 6), ("bn_cnn", 2)]
)
def test_the_smallest_image_that_works_is_named(name, smallest):
    message = f"{name} takes images of at least {smallest}x{smallest} pixels; got 9x{smallest - 1}"
    with pytest.raises(ModelInputError, match=message):
        build_network(name, PARAMS[name](), (9, smallest - 1), 10)


def test_the_largest_image_that_works_is_named():
    assert build_network("pca_cnn", PARAMS["pca_cnn"](), (96, 96), 10)
    message = "pca_cnn takes images of at most 9,216 pixels, such as 96x96; got 96x97"
    with pytest.raises(ModelInputError, match=message):
        build_network("pca_cnn", PARAMS["pca_cnn"](), (96, 97), 10)


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


@pytest.mark.parametrize("chance", [0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_dropout_drops_by_chance_and_keeps_the_mean(chance, layout):
    torch.manual_seed(0)
    values = torch.ones((50, 7, 21, 19), requires_grad=True)
    held = values.to(memory_format=layout)
    dropped = Dropout(chance)(held)
    assert dropped.is_contiguous(memory_format=layout)
    kept = dropped != 0
    n = values.numel()
    assert abs(float((~kept).sum()) - chance * n) < 4 * (n * chance * (1 - chance)) ** 0.5
    assert torch.allclose(dropped[kept], torch.tensor(1 / (1 - chance)))
    dropped.sum().backward()
    assert torch.equal(values.grad, dropped.detach())


@pytest.mark.parametrize("chance", [0.4, 0.5])
def test_dropout_drops_neighbours_apart_though_they_share_a_random_number(chance):
    torch.manual_seed(0)
    kept = (Dropout(chance)(torch.ones(100_000)) != 0).float()
    for apart in range(1, 8):
        pairs = torch.stack([kept[:-apart], kept[apart:]])
        assert abs(float(torch.corrcoef(pairs)[0, 1])) < 4 / 100_000**0.5


def test_dropout_takes_any_strides_and_rests_outside_training():
    wide = torch.ones((6, 8)).t()[:, ::2]
    assert Dropout(0.5)(wide).shape == (8, 3)
    assert Dropout(0.5).eval()(wide) is wide
    assert Dropout(0.0)(wide) is wide
    assert Dropout(0.999_999)(wide).shape == (8, 3)


def test_pixels_by_pixel_and_channel_by_channel_hold_the_same():
    pictures = torch.arange(24.0).reshape(2, 3, 2, 2)
    rows = FlattenByPixel()(pictures)
    assert rows[0].tolist() == [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]
    last = pictures.contiguous(memory_format=torch.channels_last)
    assert FlattenByPixel()(last).data_ptr() == last.data_ptr()


def test_pooling_before_relu_changes_neither_numbers_nor_gradients():
    torch.manual_seed(0)
    pictures = torch.randn((3, 4, 8, 8)).round(decimals=1)  # with ties
    found = []
    for layers in ((nn.ReLU(), nn.MaxPool2d(2)), (nn.MaxPool2d(2), nn.ReLU())):
        seen = pictures.clone().requires_grad_()
        out = nn.Sequential(*layers)(seen)
        (out * torch.arange(out.numel()).reshape(out.shape)).sum().backward()
        found.append((out.detach(), seen.grad))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def test_pixels_are_scaled_inside_the_network():
    network = build_network("mlp", MlpParams(hidden_layers=(4,)), (1, 2), 2)
    scaled = network[0](torch.tensor([[0, 255]], dtype=torch.uint8))
    assert scaled.tolist() == [[0.0, 1.0]]


def test_a_transformers_patches_are_square_and_never_mix():
    params = PARAMS["vit"](patch_size=4, width=8, heads=2)
    patches = build_network("vit", params, (8, 12), 10)[1]
    dark = torch.zeros((1, 1, 8, 12))
    lit = dark.clone()
    lit[:, :, 4:, 4:8] = 1
    changed = (patches(lit) != patches(dark)).any(dim=2)
    assert changed.tolist() == [[False, False, False, False, True, False]]


def test_a_transformer_pads_evenly_to_whole_patches():
    params = PARAMS["vit"](patch_size=7, width=8, heads=2)
    patches = build_network("vit", params, (8, 14), 10)[1]
    assert patches.padding == (0, 0, 3, 3)
    assert patches(torch.zeros((2, 1, 8, 14))).shape == (2, 4, 8)


def test_attention_is_shared_out_over_the_patches():
    params = PARAMS["vit"](patch_size=4, width=8, heads=2, dropout=0.5)
    network = build_network("vit", params, (8, 8), 10).eval()
    attention = network[2].look[1]
    weights = attention.weights(torch.randn((3, 4, 8)))
    assert weights.shape == (3, 2, 4, 4)
    assert torch.allclose(weights.sum(dim=-1), torch.ones((3, 2, 4)))


def test_attention_is_that_of_pytorch():
    network = build_network("vit", PARAMS["vit"](width=8, heads=2), (8, 8), 10)
    attention, patches = network[2].look[1], torch.randn((3, 4, 8))
    query, key, value = attention.ask(patches).view(3, 4, 3, 2, 4).permute(2, 0, 3, 1, 4)
    seen = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    expected = attention.merge(seen.transpose(1, 2).reshape(3, 4, 8))
    assert torch.allclose(attention(patches), expected, atol=1e-6)
