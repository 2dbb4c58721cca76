"""Muon for the matrices inside a network, AdamW for all that is no such matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class MuonAdamW(torch.optim.Optimizer):
    """Orthogonal steps (Jordan et al. 2024) for matrices, AdamW for the other weights.

    Matrices are the weights of dense layers and of convolutions, these with one row for each
    output channel; those of the first and of the last layer belong to AdamW, as in the source.
    Steps are as large as AdamW's (Liu et al. 2025), so that one learning rate serves both.

    Args:
        network: What is trained.
        lr: Step size.
        weight_decay: Decoupled from the gradient.
        momentum: Of Muon, below 1.
        fused: Compute AdamW's steps by its fused kernel.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        lr: float,
        weight_decay: float,
        momentum: float,
        fused: bool,
    ) -> None:
        weights = list(network.parameters())
        inner = [weight for weight in weights if weight.dim() in {2, 4}][1:-1]
        chosen = {id(weight) for weight in inner}
        outer = [weight for weight in weights if id(weight) not in chosen]
        self._inner = inner
        self._matrices = [_as_matrix(weight.detach()) for weight in inner]
        groups: list[dict[str, Any]] = [{"params": outer}]
        if inner:
            groups.append({"params": self._matrices})
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay})
        self._parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(outer, lr=lr, weight_decay=weight_decay, fused=fused)
        ]
        if inner:
            self._parts.append(
                torch.optim.Muon(
                    self._matrices,
                    lr=lr,
                    weight_decay=weight_decay,
                    momentum=momentum,
                    adjust_lr_fn="match_rms_adamw",
                )
            )
        self._share()

    def _share(self) -> None:
        """Let the parts read the rates and keep the memory of this optimizer."""
        for part, group in zip(self._parts, self.param_groups, strict=True):
            part.state = self.state
            part.param_groups[0]["params"] = group["params"]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Change the weights by their gradients.

        Args:
            closure: Not used.
        """
        assert closure is None, "the trainer computes the loss itself"
        for matrix, weight in zip(self._matrices, self._inner, strict=True):
            matrix.grad = None if weight.grad is None else _as_matrix(weight.grad)
        for part, group in zip(self._parts, self.param_groups, strict=True):
            part.param_groups[0]["lr"] = group["lr"]
            part.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        super().zero_grad(set_to_none=set_to_none)
        for weight in self._inner:
            weight.grad = None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Remember what another one's `state_dict` holds."""
        super().load_state_dict(state_dict)
        self._share()


def _as_matrix(weight: Tensor) -> Tensor:
    """Return a weight or its gradient as a matrix, one row for each output; no copy of a weight."""
    if weight.dim() == 2:
        return weight
    if weight.is_contiguous():
        return weight.flatten(1)
    return weight.permute(0, 2, 3, 1).flatten(1)
