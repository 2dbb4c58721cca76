"""The vision transformer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tenfold.config.network_params import VitParams
from tenfold.models.torch.networks.layers import Dropout, Pixels

_PATCHES_ACROSS = 4


class Patches(nn.Module):
    """Cut pictures into square patches and describe each by `width` numbers.

    Pictures whose sides are no multiple of the patch are padded with zeros, evenly.

    Args:
        image_shape: Height and width in pixels.
        patch_size: Side of a patch in pixels.
        width: Numbers that describe a patch.
    """

    def __init__(self, image_shape: tuple[int, int], patch_size: int, width: int) -> None:
        super().__init__()
        missing_rows, missing_columns = (-side % patch_size for side in image_shape)
        top, left = missing_rows // 2, missing_columns // 2
        self.padding = (left, missing_columns - left, top, missing_rows - top)
        self.describe = nn.Conv2d(1, width, patch_size, stride=patch_size)
        n_patches = -(-image_shape[0] // patch_size) * -(-image_shape[1] // patch_size)
        self.position = nn.Parameter(torch.empty((1, n_patches, width)))
        # As large as what is seen: smaller ones leave the mean over the patches blind to places
        # for many epochs.
        nn.init.normal_(self.position, std=0.5)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return ``(n, patches, width)``.

        Args:
            pictures: ``(n, 1, height, width)``.
        """
        described: Tensor = self.describe(functional.pad(pictures, self.padding))
        return described.flatten(2).transpose(1, 2) + self.position


class Attention(nn.Module):
    """Let every patch look at every other one (Vaswani et al. 2017).

    Args:
        width: Numbers that describe a patch, a multiple of `heads`.
        heads: Ways of looking.
        dropout: Chance that a glance is left out in training.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.ask = nn.Linear(width, 3 * width)
        self.drop = Dropout(dropout)
        self.merge = nn.Linear(width, width)

    def forward(self, patches: Tensor) -> Tensor:
        """Return ``(n, patches, width)``."""
        n, count, width = patches.shape
        query, key, value = self._asked(patches)
        # PyTorch's fused attention is made for long sequences: for a few dozen patches its
        # backward pass on a processor takes several times as long as these products.
        seen = self.drop(_glances(query, key)) @ value
        merged: Tensor = self.merge(seen.transpose(1, 2).reshape(n, count, width))
        return merged

    def weights(self, patches: Tensor) -> Tensor:
        """Return how much each patch looks at each other one.

        Returns:
            ``(n, heads, patches, patches)``, each last row sums to 1.
        """
        query, key, _ = self._asked(patches)
        return _glances(query, key)

    def _asked(self, patches: Tensor) -> Tensor:
        """Return queries, keys and values, ``(3, n, heads, patches, width / heads)``."""
        n, count, width = patches.shape
        asked: Tensor = self.ask(patches).view(n, count, 3, self.heads, width // self.heads)
        return asked.permute(2, 0, 3, 1, 4)


def _glances(query: Tensor, key: Tensor) -> Tensor:
    """Return the softmax of the scaled products of queries and keys."""
    scaled = query * query.shape[-1] ** -0.5
    return torch.softmax(scaled @ key.transpose(-2, -1), dim=-1)


class Block(nn.Module):
    """Attention, then a dense part, each after layer norm and added to its input.

    Args:
        params: Width, heads, hidden units and dropout.
    """

    def __init__(self, params: VitParams) -> None:
        super().__init__()
        width, hidden = params.width, max(1, round(params.mlp_ratio * params.width))
        self.look = nn.Sequential(
            nn.LayerNorm(width),
            Attention(width, params.heads, params.dropout),
            Dropout(params.dropout),
        )
        self.think = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, hidden),
            nn.GELU(),
            Dropout(params.dropout),
            nn.Linear(hidden, width),
            Dropout(params.dropout),
        )

    def forward(self, patches: Tensor) -> Tensor:
        """Return ``(n, patches, width)``."""
        seen = patches + self.look(patches)
        thought: Tensor = seen + self.think(seen)
        return thought


class MeanOfPatches(nn.Module):
    """Average what is known of a picture over its patches."""

    def forward(self, patches: Tensor) -> Tensor:
        """Return ``(n, width)``."""
        return patches.mean(dim=1)


def build_vit(params: VitParams, image_shape: tuple[int, int], n_classes: int) -> nn.Module:
    """Return a vision transformer (Dosovitskiy et al. 2021) with its norms first.

    Square patches, learned positions, the mean over the patches in place of a class token:
    539,914 parameters for 28×28 pixels and 10 classes.
    """
    patch_size = params.patch_size or max(1, round(min(image_shape) / _PATCHES_ACROSS))
    return nn.Sequential(
        Pixels(image_shape),
        Patches(image_shape, patch_size, params.width),
        *(Block(params) for _ in range(params.depth)),
        nn.LayerNorm(params.width),
        MeanOfPatches(),
        nn.Linear(params.width, n_classes),
    )
