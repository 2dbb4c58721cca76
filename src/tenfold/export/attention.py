"""The parts of a vision transformer as ONNX operators."""

from __future__ import annotations

import numpy as np
from torch import nn

from tenfold.export.graph import Graph
from tenfold.models.torch.networks.vit import Attention, Patches


def add_patches(graph: Graph, value: str, layer: Patches) -> str:
    """Add the cut into described patches: ``(n, 1, height, width)`` to ``(n, patches, width)``."""
    left, right, top, bottom = layer.padding
    described = graph.add(
        "Conv",
        value,
        *_weights(layer.describe),
        kernel_shape=layer.describe.kernel_size,
        strides=layer.describe.stride,
        pads=[top, left, bottom, right],
    )
    position = layer.position.detach().numpy()
    _, count, width = position.shape
    rows = graph.add("Transpose", graph.reshape(described, -1, width, count), perm=[0, 2, 1])
    return graph.add("Add", rows, position)


def add_attention(graph: Graph, value: str, layer: Attention) -> str:
    """Add the look of every patch at every other one: ``(n, patches, width)`` to the same."""
    weight, bias = _weights(layer.ask)
    each = layer.ask.in_features // layer.heads
    asked = graph.add("Add", graph.add("MatMul", value, weight.T), bias)
    # (n, patches, 3, heads, each): queries, keys and values beside each other.
    parts = graph.split("Split", asked, n_outputs=3, axis=2, num_outputs=3)
    split = [graph.reshape(part, 0, 0, layer.heads, each) for part in parts]
    query, values = (graph.add("Transpose", split[i], perm=[0, 2, 1, 3]) for i in (0, 2))
    key = graph.add("Transpose", split[1], perm=[0, 2, 3, 1])
    scaled = graph.add("Mul", query, np.float32(each**-0.5))
    glances = graph.add("Softmax", graph.add("MatMul", scaled, key), axis=-1)
    seen = graph.add("Transpose", graph.add("MatMul", glances, values), perm=[0, 2, 1, 3])
    weight, bias = _weights(layer.merge)
    merged = graph.reshape(seen, 0, 0, layer.ask.in_features)
    return graph.add("Add", graph.add("MatMul", merged, weight.T), bias)


def _weights(layer: nn.Linear | nn.Conv2d) -> tuple[np.ndarray, np.ndarray]:
    assert layer.bias is not None
    return layer.weight.detach().numpy(), layer.bias.detach().numpy()
