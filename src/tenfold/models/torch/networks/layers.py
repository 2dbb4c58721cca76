"""Layers that several networks begin or are built with."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Pixels(nn.Module):
    """Turn rows of pixels into what a network computes with: 0..1, flat or as pictures.

    Args:
        image_shape: Height and width; None keeps the rows flat.
    """

    def __init__(self, image_shape: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.image_shape = image_shape

    def forward(self, rows: Tensor) -> Tensor:
        """Return ``(n, pixels)`` or ``(n, 1, height, width)`` float32, values 0 to 1.

        Args:
            rows: ``(n, height * width)``, values 0 to 255, uint8 or floating.
        """
        scaled = rows.to(torch.float32) / 255
        if self.image_shape is None:
            return scaled
        pictures = scaled.view(-1, 1, *self.image_shape)
        return pictures.contiguous(memory_format=torch.channels_last)


def normed_conv(
    inputs: int, outputs: int, size: int = 3, stride: int = 1, *, pool: bool = False
) -> list[nn.Module]:
    """Return a "same" convolution without bias, batch norm and ReLU.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        size: Side of the kernel, odd.
        stride: Step of the kernel.
        pool: Max-pool 2 right after the convolution, so that norm and ReLU see a quarter of the
            pixels.
    """
    return [
        nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, bias=False),
        *([nn.MaxPool2d(2, ceil_mode=True)] if pool else []),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]


class Residual(nn.Module):
    """Add to pictures what two normed convolutions make of them (He et al. 2016).

    Args:
        channels: Channels in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, second = normed_conv(channels, channels), normed_conv(channels, channels)
        self.body = nn.Sequential(*first, *second[:2])

    def forward(self, pictures: Tensor) -> Tensor:
        """Return pictures of the same shape."""
        changed: Tensor = self.body(pictures)
        return torch.relu_(changed + pictures)
