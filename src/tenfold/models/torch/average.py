"""The moving average of a network's weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

_WARM_UP_STEPS = 10


class MovingAverage:
    """Follows a network's weights, each step keeping part of what it had (Polyak 1992).

    In the first steps the part kept is small, so that fresh random weights are soon forgotten.

    Args:
        network: The network that is trained.
        decay: Part kept at each step, 0 to 1; None: no average, `network` is the trained one.

    Attributes:
        network: The one to predict with.
        steps: Steps taken.
    """

    def __init__(self, network: nn.Module, decay: float | None) -> None:
        self.network = network if decay is None else copy.deepcopy(network)
        self._decay = decay
        self.steps = 0
        self._pairs = _pairs(self.network, network)

    @torch.no_grad()
    def update(self) -> None:
        """Take one step after the trained weights."""
        if self._decay is None:
            return
        self.steps += 1
        kept = min(self._decay, self.steps / (self.steps + _WARM_UP_STEPS))
        floats = [pair for pair in self._pairs if pair[0].is_floating_point()]
        averages, values = zip(*floats, strict=True)
        torch._foreach_lerp_(averages, values, 1 - kept)  # one fused call
        for average, value in self._pairs:
            if not average.is_floating_point():
                average.copy_(value)


def _pairs(average: nn.Module, network: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Return each weight and running statistic of the average, and the network's own."""
    theirs = network.state_dict(keep_vars=True)
    return [(mine.detach(), theirs[name]) for name, mine in average.state_dict().items()]
