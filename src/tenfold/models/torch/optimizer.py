"""Optimizers, their state and their learning rates."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from tenfold.config.network_params import NetworkParams
from tenfold.models.torch.muon import MuonAdamW

_WARM_UP = 0.3


def make_optimizer(network: nn.Module, params: NetworkParams) -> torch.optim.Optimizer:
    """Return the optimizer that the recipe names, in its fused form where there is one."""
    weights = list(network.parameters())
    rate, decay = params.learning_rate, params.weight_decay
    fused = weights[0].device.type in {"cpu", "cuda"}
    if params.optimizer == "adam":
        return torch.optim.Adam(weights, lr=rate, weight_decay=decay, fused=fused)
    if params.optimizer == "adamw":
        return torch.optim.AdamW(weights, lr=rate, weight_decay=decay, fused=fused)
    momentum = params.momentum
    if params.optimizer == "sgd":
        return torch.optim.SGD(weights, lr=rate, weight_decay=decay, momentum=momentum, fused=fused)
    if params.optimizer == "muon":
        return MuonAdamW(network, lr=rate, weight_decay=decay, momentum=momentum, fused=fused)
    return torch.optim.RMSprop(weights, lr=rate, weight_decay=decay, momentum=momentum)


def rate_factor(schedule: str, step: int, n_steps: int) -> float:
    """Return the learning rate of a step as a fraction of its peak, 0 to 1.

    Args:
        schedule: ``"constant"``, ``"cosine"`` or ``"one_cycle"`` (Smith 2018): up along a line for
            30 % of the steps, then down along half a cosine.
        step: Number of the step, from 0.
        n_steps: Steps of the whole training.
    """
    if schedule == "constant":
        return 1.0
    done = (step + 0.5) / n_steps
    if schedule == "one_cycle":
        if done < _WARM_UP:
            return done / _WARM_UP
        done = (done - _WARM_UP) / (1 - _WARM_UP)
    return 0.5 * (1 + math.cos(math.pi * done))


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return what an optimizer remembers, by the number of the weight and the name of the thing.

    Returns:
        For example ``{"0.exp_avg": ..., "0.step": ...}``: its own tensors, no copies. Nothing
        before its first step.
    """
    return {
        f"{number}.{name}": value
        for number, memory in optimizer.state_dict()["state"].items()
        for name, value in memory.items()
    }


def rehearsed_tensors(network: nn.Module, params: NetworkParams) -> dict[str, Tensor]:
    """Return what a recipe's optimizer remembers after a step, with values of no meaning.

    A copy of the network takes the step. The shapes, types and memory layouts are those that the
    optimizer itself would make, and the fused ones read memory without looking at its layout.
    """
    twin = copy.deepcopy(network)
    for weight in twin.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer = make_optimizer(twin, params)
    optimizer.step()
    return optimizer_tensors(optimizer)


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Make an optimizer remember what `optimizer_tensors` returned; it takes the tensors over."""
    state: dict[int, dict[str, Tensor]] = {}
    for place, value in tensors.items():
        number, _, name = place.partition(".")
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
