"""Networks of dense layers alone."""

from __future__ import annotations

from torch import nn

from tenfold.config.network_params import FcnnParams, MlpParams
from tenfold.models.torch.networks.layers import Dropout, Pixels, start_like_keras


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
            layers.append(Dropout(params.dropout))
        width = units
    layers.append(nn.Linear(width, n_classes))
    return nn.Sequential(*layers)


def build_fcnn(
    params: FcnnParams,  # noqa: ARG001  # every builder has the same arguments
    image_shape: tuple[int, int],
    n_classes: int,
) -> nn.Module:
    """Return two dense layers: 118,282 parameters for 28×28 pixels and 10 classes.

    Dense 128, ReLU, dropout 0.1, dense 128, ReLU, dropout 0.25, dense to the classes; weights
    start Glorot-uniform, biases at zero, as Keras does it.
    """
    network = nn.Sequential(
        Pixels(),
        nn.Linear(image_shape[0] * image_shape[1], 128),
        nn.ReLU(),
        Dropout(0.1),
        nn.Linear(128, 128),
        nn.ReLU(),
        Dropout(0.25),
        nn.Linear(128, n_classes),
    )
    network.apply(start_like_keras)
    return network
