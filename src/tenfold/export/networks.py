"""Graphs of networks: each layer as the ONNX operators that compute the same."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from tenfold.errors import ExportError
from tenfold.export.answers import Given
from tenfold.export.attention import add_attention, add_patches
from tenfold.export.graph import Graph
from tenfold.models.torch.networks.layers import Dropout, FlattenByPixel, Pixels, Residual
from tenfold.models.torch.networks.principal import PrincipalComponents
from tenfold.models.torch.networks.vit import Attention, Block, MeanOfPatches, Patches

Floats = npt.NDArray[np.float32]

_BLOCK_ROWS = 128  # the processor's caches hold what the layers give for so many


def add_network(graph: Graph, estimator: Any) -> Given:
    """Add a trained network; its features are what the last dense layer sees."""
    body, head = _parts(estimator)
    features = _add_layer(graph, "images", body)
    return Given("logits", _add_layer(graph, features, head), features)


@torch.inference_mode()
def network_features(estimator: Any, images: npt.NDArray[np.uint8]) -> Floats:
    """Return ``(n, n_features)`` of what the last dense layer of a network sees.

    Args:
        estimator: A fitted network.
        images: ``(n, height * width)`` uint8.
    """
    body, _ = _parts(estimator)
    found: Floats | None = None
    for start in range(0, len(images), _BLOCK_ROWS):
        part = body(torch.tensor(images[start : start + _BLOCK_ROWS])).numpy()
        if found is None:  # filled bit by bit: parts to be joined would take as much again
            found = np.empty((len(images), part.shape[1]), dtype=part.dtype)
        found[start : start + len(part)] = part
    assert found is not None, "there are images"
    return found


def _parts(estimator: Any) -> tuple[nn.Module, nn.Linear]:
    """Return copies of a network's body and its last dense layer, on the processor."""
    network = copy.deepcopy(estimator.network_).cpu().float().eval()
    if not (isinstance(network, nn.Sequential) and isinstance(network[-1], nn.Linear)):
        raise ExportError(
            f"A network to export is an nn.Sequential that ends with nn.Linear; got {network!r}."
        )
    return network[:-1], network[-1]


def _add_layer(graph: Graph, value: str, layer: nn.Module) -> str:
    """Add one layer and return the name of what it gives.

    Raises:
        ExportError: There is no rule for such a layer.
    """
    rule = _RULES.get(type(layer))
    if rule is None:
        raise ExportError(
            f"No rule says how to export a layer of type {type(layer).__name__}; known are "
            f"{', '.join(sorted(known.__name__ for known in _RULES))}. Add one to "
            "tenfold/export/networks.py."
        )
    return rule(graph, value, layer)


def _sequential(graph: Graph, value: str, layer: nn.Sequential) -> str:
    for part in _fused(layer):
        value = _add_layer(graph, value, part)
    return value


def _fused(layers: Iterable[nn.Module]) -> list[nn.Module]:
    """Return the layers with each batch norm merged into the weights before it."""
    fused: list[nn.Module] = []
    for layer in layers:
        if isinstance(layer, nn.BatchNorm2d) and isinstance(fused[-1], nn.Conv2d):
            fused[-1] = fuse_conv_bn_eval(fused[-1], layer)
        elif isinstance(layer, nn.BatchNorm1d) and isinstance(fused[-1], nn.Linear):
            fused[-1] = fuse_linear_bn_eval(fused[-1], layer)
        else:
            fused.append(layer)
    return fused


def _pixels(graph: Graph, _: str, layer: Pixels) -> str:
    scaled = graph.unit_pixels()
    if layer.spread != 1:
        centred = graph.add("Sub", scaled, np.float32(layer.mean))
        scaled = graph.add("Div", centred, np.float32(layer.spread))
    return scaled if layer.image_shape is None else graph.reshape(scaled, -1, 1, *layer.image_shape)


def _principal_components(graph: Graph, _: str, layer: PrincipalComponents) -> str:
    components = graph.constant(layer.components.numpy())
    centred = graph.add("Sub", graph.unit_pixels(), layer.mean.numpy())
    scores = graph.add("Gemm", centred, components, transB=1)
    rebuilt = graph.add("Gemm", scores, components, layer.mean.numpy())
    return graph.reshape(rebuilt, -1, 1, *layer.image_shape)


def _conv(graph: Graph, value: str, layer: nn.Conv2d) -> str:
    assert not isinstance(layer.padding, str)
    down, across = layer.padding
    constants = [item.detach().numpy() for item in (layer.weight, layer.bias) if item is not None]
    return graph.add(
        "Conv",
        value,
        *constants,
        kernel_shape=layer.kernel_size,
        strides=layer.stride,
        pads=[down, across, down, across],
    )


def _batch_norm(graph: Graph, value: str, layer: nn.BatchNorm2d) -> str:
    """Add a norm that has no weights before it to be merged into."""
    assert layer.running_mean is not None
    assert layer.running_var is not None
    parts = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
    constants = [item.detach().numpy() for item in parts]
    return graph.add("BatchNormalization", value, *constants, epsilon=layer.eps)


def _max_pool(graph: Graph, value: str, layer: nn.MaxPool2d) -> str:
    size, step = (
        list(item) if isinstance(item, tuple) else [item, item]
        for item in (layer.kernel_size, layer.stride)
    )
    ceil = int(layer.ceil_mode)
    return graph.add("MaxPool", value, kernel_shape=size, strides=step, ceil_mode=ceil)


def _flatten_by_pixel(graph: Graph, value: str, _: FlattenByPixel) -> str:
    return graph.add("Flatten", graph.add("Transpose", value, perm=[0, 2, 3, 1]), axis=1)


def _linear(graph: Graph, value: str, layer: nn.Linear) -> str:
    product = graph.add("MatMul", value, layer.weight.detach().numpy().T)
    return graph.add("Add", product, layer.bias.detach().numpy())


def _layer_norm(graph: Graph, value: str, layer: nn.LayerNorm) -> str:
    weights = (layer.weight.detach().numpy(), layer.bias.detach().numpy())
    return graph.add("LayerNormalization", value, *weights, axis=-1, epsilon=layer.eps)


def _residual(graph: Graph, value: str, layer: Residual) -> str:
    changed = _add_layer(graph, value, layer.body)
    return graph.add("Relu", graph.add("Add", changed, value))


def _block(graph: Graph, value: str, layer: Block) -> str:
    seen = graph.add("Add", value, _add_layer(graph, value, layer.look))
    return graph.add("Add", seen, _add_layer(graph, seen, layer.think))


def _plain(operator: str, **attributes: Any) -> Callable[[Graph, str, Any], str]:
    """Return the rule of a layer that is one operator without weights."""
    return lambda graph, value, _: graph.add(operator, value, **attributes)


_RULES: dict[type[nn.Module], Callable[[Graph, str, Any], str]] = {
    nn.BatchNorm2d: _batch_norm,
    nn.Conv2d: _conv,
    nn.Flatten: _plain("Flatten", axis=1),
    nn.GELU: _plain("Gelu"),
    nn.LayerNorm: _layer_norm,
    nn.Linear: _linear,
    nn.MaxPool2d: _max_pool,
    nn.ReLU: _plain("Relu"),
    nn.Sequential: _sequential,
    Attention: add_attention,
    Block: _block,
    Dropout: lambda _graph, value, _layer: value,
    FlattenByPixel: _flatten_by_pixel,
    MeanOfPatches: lambda graph, value, _: graph.reduce("ReduceMean", value, 1),
    Patches: add_patches,
    Pixels: _pixels,
    PrincipalComponents: _principal_components,
    Residual: _residual,
}
