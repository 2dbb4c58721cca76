"""PyTorch's global generators: dropout draws from them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def global_states(device: torch.device) -> dict[str, Tensor]:
    """Return the states of the processor's global generator and of the device's own.

    Args:
        device: Where a network is trained.

    Returns:
        uint8 tensors by the device's type, for example ``{"cpu": ..., "cuda": ...}``.
    """
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    if device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def set_global_states(device: torch.device, states: dict[str, Tensor]) -> None:
    """Let the generators go on from where `global_states` saw them.

    Raises:
        RuntimeError: A state is none of the generator's.
    """
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
    if device.type == "mps":
        torch.mps.set_rng_state(states["mps"])


def seed_global_states(device: torch.device, seed: int) -> None:
    """Let the same generators start from a seed, and no other: `torch.manual_seed` means every GPU.

    Args:
        device: Where a network computes.
        seed: 0 to 2**63 - 1.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    if device.type == "mps":
        torch.mps.manual_seed(seed)


@contextmanager
def drawing_apart(device: torch.device, rank: int) -> Iterator[None]:
    """Let a rank draw random numbers of its own in a block.

    The generators, alike on every rank before it, are alike again after it: the state of one rank
    is that of all.

    Args:
        device: Where this rank trains.
        rank: Its number.
    """
    seed = int(torch.randint(2**48, ()))
    states = global_states(device)
    seed_global_states(device, seed + rank)
    try:
        yield
    finally:
        set_global_states(device, states)
