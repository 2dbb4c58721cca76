"""What trained networks show of themselves."""

import numpy as np
import pytest
import torch
from torch import nn

from tenfold.config.params import PARAMS
from tenfold.errors import ModelInputError
from tenfold.models import build_model
from tenfold.models.torch.networks import NETWORKS, build_network
from tenfold.models.torch.networks.vit import Attention
from tenfold.models.torch.views import look_inside

DENSE = {"mlp", "fcnn"}


def look(name, shape=(8, 8), *, n=3, **params):
    torch.manual_seed(0)
    network = build_network(name, PARAMS[name](**params), shape, 3)
    rows = torch.randint(0, 256, (n, shape[0] * shape[1]), dtype=torch.uint8)
    return network, rows, look_inside(network, rows, shape)


@pytest.mark.parametrize("name", sorted(set(NETWORKS) - DENSE))
def test_a_network_that_convolves_pixels_shows_its_filters_largest_first(name):
    network, _, found = look(name)
    first = next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    assert found["n_filters"] == len(first.weight)
    filters = found["filters"].astype(float)
    norms = np.square(filters).sum(axis=(1, 2))
    assert (np.diff(norms) <= 1e-3).all()
    weights = first.weight.detach()[:, 0].numpy()
    assert norms[0] == pytest.approx(np.square(weights).sum(axis=(1, 2)).max(), rel=1e-2)
    assert filters.shape == (min(64, len(weights)), *weights.shape[1:])


@pytest.mark.parametrize("name", sorted(DENSE))
def test_a_network_without_convolution_and_attention_shows_nothing(name):
    assert look(name)[2] == {}


@pytest.mark.parametrize(
    ("shape", "patch", "grid"), [((8, 8), 4, (2, 2)), ((9, 5), 4, (3, 2)), ((8, 8), 3, (3, 3))]
)
def test_attention_has_a_map_for_each_image_and_head_and_one_through_all_blocks(shape, patch, grid):
    _, _, found = look("vit", shape, patch_size=patch, width=24, heads=3, depth=2)
    assert found["patch_size"] == patch
    assert found["attention"].shape == (3, 3, *grid)
    assert found["rollout"].shape == (3, *grid)
    for maps in (found["attention"], found["rollout"]):
        assert (maps >= 0).all()
        assert np.allclose(maps.astype(float).sum(axis=(-2, -1)), 1, atol=2e-3)


def test_attention_is_what_the_network_computes_with():
    network, rows, found = look("vit", patch_size=4, width=8, heads=2, depth=2)
    network.eval()
    blocks = network[2:4]
    with torch.no_grad():
        seen = network[1](network[0](rows))
        weights = []
        for block in blocks:
            attention = next(part for part in block.look if isinstance(part, Attention))
            weights.append(attention.weights(block.look[0](seen)))
            seen = block(seen)
    last = weights[1].mean(dim=2).view(3, 2, 2, 2)
    assert np.allclose(found["attention"], last.numpy(), atol=1e-3)
    kept = [0.5 * one.mean(dim=1) + 0.5 * torch.eye(4) for one in weights]
    rolled = (kept[1] @ kept[0]).mean(dim=1).view(3, 2, 2)
    assert np.allclose(found["rollout"], rolled.numpy(), atol=1e-3)


def test_each_image_has_its_own_maps_whatever_is_shown_beside_it():
    network, rows, together = look("vit", patch_size=2)
    alone = look_inside(network, rows[1:2], (8, 8))
    assert np.array_equal(alone["attention"][0], together["attention"][1])
    assert not np.array_equal(together["attention"][0], together["attention"][1])


def test_looking_leaves_the_network_as_it_was():
    network, rows, _ = look("vit", dropout=0.5)
    before = network.eval()(rows)
    network.train()
    first, second = look_inside(network, rows, (8, 8)), look_inside(network, rows, (8, 8))
    assert np.array_equal(first["attention"], second["attention"])
    assert torch.equal(network.eval()(rows), before)
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_wide_networks_and_large_patches_stay_small():
    _, _, found = look("vit", (56, 56), patch_size=28, width=128, heads=1, depth=1)
    assert found["n_filters"] == 128
    assert found["filters"].nbytes <= 100_000
    assert len(found["filters"]) == 63


def test_the_estimator_is_asked_with_images_as_it_predicts_them(digits):
    images, labels = digits
    model = build_model("vit", {"epochs": 1, "width": 8, "depth": 1}).fit(images, labels)
    found = model.look_inside(images[:2].astype(np.float64))
    assert found["attention"].shape[:2] == (2, 4)
    with pytest.raises(ModelInputError, match="columns"):
        model.look_inside(images[:, :9])
