"""Principal components as the first layer of a network, learned from the training rows alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_BLOCK_ROWS = 4000


class PrincipalComponents(nn.Module):
    """Turn rows of pixels into pictures of 0..1, rebuilt from the largest principal components.

    Args:
        image_shape: Height and width.
        keep: A fraction of the variance, or a number of components (all, where there are fewer).

    Attributes:
        mean: ``(pixels,)`` float32, values 0 to 1.
        components: ``(k, pixels)`` float32 with orthonormal rows; none before `fit`.
    """

    mean: Tensor
    components: Tensor

    def __init__(self, image_shape: tuple[int, int], keep: float) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.keep = keep
        n_pixels = image_shape[0] * image_shape[1]
        self.register_buffer("mean", torch.zeros(n_pixels))
        self.register_buffer("components", torch.zeros((0, n_pixels)))

    def fit(self, rows: Tensor) -> None:
        """Learn mean and components.

        The covariance is summed up in blocks and in float64, on the processor: little memory, and
        the same components on every device.

        Args:
            rows: ``(n, height * width)`` uint8.
        """
        n_pixels = rows.shape[1]
        total = torch.zeros(n_pixels, dtype=torch.float64)
        products = torch.zeros((n_pixels, n_pixels), dtype=torch.float64)
        for block in rows.cpu().split(_BLOCK_ROWS):
            values = block.to(torch.float64) / 255
            total += values.sum(dim=0)
            products += values.T @ values
        mean = total / len(rows)
        variances, vectors = torch.linalg.eigh(products / len(rows) - torch.outer(mean, mean))
        variances, vectors = variances.flip(0).clamp(min=0), vectors.flip(1)
        components = vectors[:, : self._count(variances)].T
        self.mean = mean.to(self.mean)
        self.components = components.contiguous().to(self.components)

    def forward(self, rows: Tensor) -> Tensor:
        """Return ``(n, 1, height, width)`` float32.

        Args:
            rows: ``(n, height * width)``, values 0 to 255, uint8 or floating.
        """
        scores = (rows.to(torch.float32) / 255 - self.mean) @ self.components.T
        pictures = (scores @ self.components + self.mean).view(-1, 1, *self.image_shape)
        return pictures.contiguous(memory_format=torch.channels_last)

    def _count(self, variances: Tensor) -> int:
        """Return how many of the variances, largest first, are kept."""
        if self.keep >= 1:
            return min(int(self.keep), len(variances))
        shares = variances.cumsum(0) / variances.sum().clamp(min=1e-12)
        return min(int((shares <= self.keep).sum()) + 1, len(variances))


def fit_components(network: nn.Module, rows: Tensor) -> None:
    """Fit those layers of a network that are not trained by gradients.

    Args:
        network: Any network; one without such layers is left alone.
        rows: ``(n, height * width)`` uint8, training rows only.
    """
    for module in network.modules():
        if isinstance(module, PrincipalComponents):
            module.fit(rows)
