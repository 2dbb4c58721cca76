"""What a trained network shows of itself: first-layer filters and maps of attention."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tenfold.models.torch.networks.vit import Attention, Patches

Inside = dict[str, Any]

# Together they keep what is stored of a network small, however wide it is.
_MOST_FILTERS = 64
_MOST_WEIGHTS = 50_000


@torch.inference_mode()
def look_inside(network: nn.Module, images: Tensor, image_shape: tuple[int, int]) -> Inside:
    """Return what a network shows of itself; nothing of one without convolution and attention.

    Args:
        network: From uint8 rows to logits; it is left in evaluation mode.
        images: ``(n, height * width)`` uint8 on the network's device, n at least 1.
        image_shape: Height and width in pixels.

    Returns:
        Of a network that begins with a convolution ``filters``, ``(f, side, side)`` float16: the
        filters of the largest norm, largest first, at most 64; and ``n_filters``, how many it has.
        Of one with attention ``attention``, ``(n, heads, down, across)`` float16: how much each
        patch is looked at in the last block, on the mean over the patches that look; ``rollout``,
        ``(n, down, across)`` float16: the same through all heads and blocks; and ``patch_size``,
        a patch's side in pixels. Each map sums to 1.
    """
    network.eval()
    return _filters(network) | _attention(network, images, image_shape)


def _filters(network: nn.Module) -> Inside:
    """Return the weights of the convolution that sees the pixels."""
    first = next((m for m in network.modules() if isinstance(m, nn.Conv2d)), None)
    if first is None or first.in_channels != 1:
        return {}
    weights = first.weight[:, 0].float().cpu()
    shown = min(_MOST_FILTERS, _MOST_WEIGHTS // weights[0].numel())
    if not shown:
        return {}
    order = weights.flatten(1).norm(dim=1).argsort(descending=True, stable=True)[:shown]
    filters = weights[order].to(torch.float16).numpy()
    return {"filters": filters, "n_filters": len(weights)}


def _attention(network: nn.Module, images: Tensor, image_shape: tuple[int, int]) -> Inside:
    """Return the maps of attention of a vision transformer."""
    patches = next((m for m in network.modules() if isinstance(m, Patches)), None)
    if patches is None:
        return {}
    size = int(patches.describe.kernel_size[0])
    grid = [-(-side // size) for side in image_shape]
    # One image at a time: the weights of small patches are many.
    looked = [_looked_at(network, image[None]) for image in images]
    last, rolled = (torch.stack(maps).to(torch.float16).cpu() for maps in zip(*looked, strict=True))
    return {
        "attention": last.unflatten(-1, grid).numpy(),
        "rollout": rolled.unflatten(-1, grid).numpy(),
        "patch_size": size,
    }


def _looked_at(network: nn.Module, image: Tensor) -> tuple[Tensor, Tensor]:
    """Return how much each patch is looked at: by the last block's heads, and through all blocks.

    Through all blocks it is the attention rollout of Abnar and Zuidema (2020), "Quantifying
    attention flow in transformers": per block the mean over the heads and the identity, for what
    goes past them, in equal parts; multiplied from the first block to the last.

    Args:
        network: In evaluation mode.
        image: ``(1, height * width)`` uint8.

    Returns:
        ``(heads, patches)`` and ``(patches,)``, each row sums to 1.
    """
    weights: list[Tensor] = []

    def keep(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, Attention)
        weights.append(layer.weights(inputs[0])[0].float())

    layers = [module for module in network.modules() if isinstance(module, Attention)]
    hooks = [layer.register_forward_pre_hook(keep) for layer in layers]
    try:
        network(image)
    finally:
        for hook in hooks:
            hook.remove()
    passed = torch.eye(weights[0].shape[-1], device=image.device)
    for block in weights:
        passed = (block.mean(dim=0) @ passed + passed) / 2
    # The network averages over its patches in the end, so what each of them saw counts alike.
    return weights[-1].mean(dim=1), passed.mean(dim=0)
