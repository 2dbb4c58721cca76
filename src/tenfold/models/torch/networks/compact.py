"""Our own convolutional networks, made to reach the most accuracy in the least time."""

from __future__ import annotations

from torch import nn

from tenfold.config.network_params import CnnParams, DeepCnnParams, PcaCnnParams
from tenfold.models.torch.networks.layers import Dropout, Pixels, Residual, normed_conv
from tenfold.models.torch.networks.principal import PrincipalComponents


def build_cnn(params: CnnParams, image_shape: tuple[int, int], n_classes: int) -> nn.Module:
    """Return the small network: 75,946 parameters for 28×28 pixels and 10 classes.

    A 5×5 stem with stride 2, so that the other layers compute on a quarter of the pixels, and
    three 3×3 convolutions, each with batch norm and ReLU; max-pool 2 in the first and in the last
    of the three; one dense layer on what is left.
    """
    width = params.width
    height, length = (_halved(side, 3) for side in image_shape)
    return nn.Sequential(
        Pixels(image_shape),
        *normed_conv(1, width, size=5, stride=2),
        *normed_conv(width, width, pool=True),
        *normed_conv(width, 2 * width),
        *normed_conv(2 * width, 2 * width, pool=True),
        nn.Flatten(),
        nn.Linear(2 * width * height * length, n_classes),
    )


def build_pca_cnn(params: PcaCnnParams, image_shape: tuple[int, int], n_classes: int) -> nn.Module:
    """Return the small network on images rebuilt from their principal components.

    The components' scores have no neighbours: laid out as a picture or a line they give a
    convolution nothing local to see, which costs such a network three points of accuracy on MNIST.
    So the scores are mapped back to pixels first: what the dropped components held (mostly noise)
    is gone, and neighbourhood is kept.
    """
    network = build_cnn(params, image_shape, n_classes)
    assert isinstance(network, nn.Sequential)
    return nn.Sequential(PrincipalComponents(image_shape, params.pca), *list(network)[1:])


def build_deep_cnn(
    params: DeepCnnParams, image_shape: tuple[int, int], n_classes: int
) -> nn.Module:
    """Return the residual network: 266,266 parameters for 28×28 pixels and 10 classes.

    A 5×5 stem with stride 2 and a residual block of `width` channels; max-pool 2, a convolution to
    twice the channels and a residual block of these; max-pool 2, dropout, one dense layer.
    """
    width = params.width
    height, length = (_halved(side, 3) for side in image_shape)
    return nn.Sequential(
        Pixels(image_shape),
        *normed_conv(1, width, size=5, stride=2),
        Residual(width),
        nn.MaxPool2d(2, ceil_mode=True),
        *normed_conv(width, 2 * width),
        Residual(2 * width),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.Flatten(),
        Dropout(params.dropout),
        nn.Linear(2 * width * height * length, n_classes),
    )


def _halved(side: int, times: int) -> int:
    """Return what is left of a side that is halved some times, rounded up each time."""
    for _ in range(times):
        side = (side + 1) // 2
    return side
