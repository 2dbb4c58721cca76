"""The classic convolutional networks: two convolutions and one dense layer.

Max-pool and ReLU may change places without changing a number; pooled first, ReLU sees a quarter.
"""

from __future__ import annotations

from torch import nn

from tenfold.config.network_params import BnCnnParams, KerasCnnParams, SimpleConvNetParams
from tenfold.models.torch.networks.layers import (
    Dropout,
    FlattenByPixel,
    Pixels,
    start_like_keras,
)

# Of MNIST's training pixels (https://github.com/pytorch/examples/tree/main/mnist).
_MNIST_MEAN, _MNIST_SPREAD = 0.1307, 0.3081


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
        nn.MaxPool2d(2),
        nn.ReLU(inplace=True),
        nn.Conv2d(32, 64, 3, padding=padding),
        nn.MaxPool2d(2),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(64 * height * width, 128),
        nn.ReLU(),
        nn.Linear(128, n_classes),
    )
    network.apply(start_like_keras)
    return network


_SMALLEST_VALID = 10


def _after_pools(side: int, padding: int) -> int:
    """Return what two 3×3 convolutions, each with a pool of 2, leave of a side."""
    for _ in range(2):
        side = (side - 2 + 2 * padding) // 2
    return side


def build_simple_conv_net(
    params: SimpleConvNetParams,  # noqa: ARG001  # every builder has the same arguments
    image_shape: tuple[int, int],
    n_classes: int,
) -> nn.Module:
    """Return the classic PyTorch network: 1,199,882 parameters for 28×28 pixels and 10 classes.

    Pixels normalised as the example does it, convolution 32 3×3, ReLU, convolution 64 3×3, ReLU,
    max-pool 2, dropout 0.25, dense 128, ReLU, dropout 0.5, dense to the classes; the convolutions
    are "valid".
    """
    height, width = ((side - 4) // 2 for side in image_shape)
    return nn.Sequential(
        Pixels(image_shape, mean=_MNIST_MEAN, spread=_MNIST_SPREAD),
        nn.Conv2d(1, 32, 3),
        nn.ReLU(inplace=True),
        nn.Conv2d(32, 64, 3),
        nn.MaxPool2d(2),
        nn.ReLU(inplace=True),
        Dropout(0.25),
        FlattenByPixel(),
        nn.Linear(64 * height * width, 128),
        nn.ReLU(),
        Dropout(0.5),
        nn.Linear(128, n_classes),
    )


def build_bn_cnn(
    params: BnCnnParams,  # noqa: ARG001  # every builder has the same arguments
    image_shape: tuple[int, int],
    n_classes: int,
) -> nn.Module:
    """Return two normed convolutions: 1,626,058 parameters for 28×28 pixels and 10 classes.

    Convolution 32 3×3, batch norm, ReLU, convolution 64 3×3, batch norm, ReLU, max-pool 2, dropout
    0.25, dense 128, ReLU, dropout 0.25, dense to the classes; the convolutions are "same".
    """
    height, width = (side // 2 for side in image_shape)
    return nn.Sequential(
        Pixels(image_shape),
        nn.Conv2d(1, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(inplace=True),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.BatchNorm2d(64),
        nn.MaxPool2d(2),
        nn.ReLU(inplace=True),
        Dropout(0.25),
        FlattenByPixel(),
        nn.Linear(64 * height * width, 128),
        nn.ReLU(),
        Dropout(0.25),
        nn.Linear(128, n_classes),
    )
