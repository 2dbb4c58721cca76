"""The networks by name, and the smallest and largest image that each takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from torch import nn

from tenfold.errors import ModelInputError
from tenfold.models.torch.networks.classic import (
    build_bn_cnn,
    build_keras_cnn,
    build_simple_conv_net,
)
from tenfold.models.torch.networks.compact import build_cnn, build_deep_cnn, build_pca_cnn
from tenfold.models.torch.networks.dense import build_fcnn, build_mlp
from tenfold.models.torch.networks.vit import build_vit


@dataclass(frozen=True)
class NetworkSpec:
    """How a network is built, and which images it takes.

    Args:
        build: Function of the parameters, the image's height and width, the number of classes.
        smallest: Least height and width.
        most_pixels: Of an image; None: as many as the memory holds.
    """

    build: Callable[[Any, tuple[int, int], int], nn.Module]
    smallest: int = 1
    most_pixels: int | None = None


NETWORKS: Mapping[str, NetworkSpec] = MappingProxyType(
    {
        "mlp": NetworkSpec(build_mlp),
        "keras_cnn": NetworkSpec(build_keras_cnn, smallest=4),
        "cnn": NetworkSpec(build_cnn),
        "fcnn": NetworkSpec(build_fcnn),
        "simple_conv_net": NetworkSpec(build_simple_conv_net, smallest=6),
        "bn_cnn": NetworkSpec(build_bn_cnn, smallest=2),
        # The covariance of so many takes 0.7 GB, and taking it apart as much again, and more.
        "pca_cnn": NetworkSpec(build_pca_cnn, most_pixels=96 * 96),
        "deep_cnn": NetworkSpec(build_deep_cnn),
        "vit": NetworkSpec(build_vit),
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
        ModelInputError: The images are too small or too large; the message says what works.
    """
    spec = NETWORKS[name]
    height, width = image_shape
    if min(height, width) < spec.smallest:
        raise ModelInputError(
            f"{name} takes images of at least {spec.smallest}x{spec.smallest} pixels; "
            f"got {height}x{width}. Enlarge the images or take mlp."
        )
    if spec.most_pixels is not None and height * width > spec.most_pixels:
        side = math.isqrt(spec.most_pixels)
        raise ModelInputError(
            f"{name} takes images of at most {spec.most_pixels:,} pixels, such as {side}x{side}; "
            f"got {height}x{width}. Make the images smaller or take cnn."
        )
    return spec.build(params, image_shape, n_classes)
