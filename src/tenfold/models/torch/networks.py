"""The networks: small modules from uint8 pixels to logits, built by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from tenfold.config.params import KerasCnnParams, MlpParams
from tenfold.errors import ModelInputError


class Pixels(nn.Module):
    """Turn rows of uint8 pixels into what a network computes with: 0..1, flat or as pictures.

    Args:
        image_shape: Height and width; None keeps the rows flat.
    """

    def __init__(self, image_shape: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.image_shape = image_shape

    def forward(self, rows: Tensor) -> Tensor:
        """Return ``(n, pixels)`` or ``(n, 1, height, width)`` float32, values 0 to 1.

        Args:
            rows: ``(n, height * width)`` uint8.
        """
        scaled = rows.to(torch.float32) / 255
        if self.image_shape is None:
            return scaled
        pictures = scaled.view(-1, 1, *self.image_shape)
        return pictures.contiguous(memory_format=torch.channels_last)


def build_mlp(params: MlpParams, image_shape: tuple[int, int], n_classes: int) -> nn.Module:
    """Return a multi-layer perceptron: per layer linear, batch norm, ReLU, dropout."""
    layers: list[nn.Module] = [Pixels()]
    width = image_shape[0] * image_shape[1]
    for units in params.hidden_layers:
        layers.append(nn.Linear(width, units, bias=not params.batch_norm))
        if params.batch_norm:
            layers.append(nn.BatchNorm1d(units))
        layers.append(nn.ReLU())
        if params.dropout:
            layers.append(nn.Dropout(params.dropout))
        width = units
    layers.append(nn.Linear(width, n_classes))
    return nn.Sequential(*layers)


def build_keras_cnn(
    params: KerasCnnParams,  # noqa: ARG001  # every builder has the same arguments
    image_shape: tuple[int, int],
    n_classes: int,
) -> nn.Module:
    """Return the classic Keras network: 225,034 parameters for 28×28 pixels and 10 classes.

    Convolution 32 3×3, ReLU, max-pool 2, convolution 64 3×3, ReLU, max-pool 2, dense 128, ReLU,
    dense to the classes; weights start Glorot-uniform, biases at zero, as Keras does it. The
    convolutions are "valid". Images with a side below 10 pixels leave such a layout nothing to
    pool: for them the convolutions are "same", which carries down to 4×4.
    """
    padding = 1 if min(image_shape) < _SMALLEST_VALID else 0
    height, width = (_after_pools(side, padding) for side in image_shape)
    network = nn.Sequential(
        Pixels(image_shape),
        nn.Conv2d(1, 32, 3, padding=padding),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=padding),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * height * width, 128),
        nn.ReLU(),
        nn.Linear(128, n_classes),
    )
    network.apply(_start_like_keras)
    return network


_SMALLEST_VALID = 10


def _after_pools(side: int, padding: int) -> int:
    """Return what two 3×3 convolutions, each with a pool of 2, leave of a side."""
    for _ in range(2):
        side = (side - 2 + 2 * padding) // 2
    return side


def _start_like_keras(module: nn.Module) -> None:
    """Fill weights with Glorot's uniform numbers and biases with zeros."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        assert module.bias is not None
        nn.init.zeros_(module.bias)


@dataclass(frozen=True)
class NetworkSpec:
    """How a network is built, and the smallest image that it takes.

    Args:
        build: Function of the parameters, the image's height and width, the number of classes.
        smallest: Least height and width.
    """

    build: Callable[[Any, tuple[int, int], int], nn.Module]
    smallest: int = 1


NETWORKS: Mapping[str, NetworkSpec] = MappingProxyType(
    {
        "mlp": NetworkSpec(build_mlp),
        "keras_cnn": NetworkSpec(build_keras_cnn, smallest=4),
    }
)


def build_network(
    name: str, params: Any, image_shape: tuple[int, int], n_classes: int
) -> nn.Module:
    """Return a network with fresh weights from PyTorch's global generator.

    Args:
        name: A key of `NETWORKS`.
        params: Its checked parameters.
        image_shape: Height and width in pixels.
        n_classes: Number of classes, at least 2.

    Returns:
        A module from ``(n, height * width)`` uint8 to ``(n, n_classes)`` logits.

    Raises:
        ModelInputError: The images are too small; the message says the smallest that works.
    """
    spec = NETWORKS[name]
    height, width = image_shape
    if min(height, width) < spec.smallest:
        raise ModelInputError(
            f"{name} takes images of at least {spec.smallest}x{spec.smallest} pixels; "
            f"got {height}x{width}. Enlarge the images or take mlp."
        )
    return spec.build(params, image_shape, n_classes)
