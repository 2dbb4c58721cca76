"""Layers that several networks begin or are built with."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Pixels(nn.Module):
    """Turn rows of pixels into what a network computes with, flat or as pictures.

    Args:
        image_shape: Height and width; None keeps the rows flat.
        mean: What is taken off pixels of 0..1.
        spread: What the rest is divided by.
    """

    def __init__(
        self, image_shape: tuple[int, int] | None = None, *, mean: float = 0.0, spread: float = 1.0
    ) -> None:
        super().__init__()
        self.image_shape, self.mean, self.spread = image_shape, mean, spread

    def forward(self, rows: Tensor) -> Tensor:
        """Return ``(n, pixels)`` or ``(n, 1, height, width)`` float32.

        Args:
            rows: ``(n, height * width)``, values 0 to 255, uint8 or floating.
        """
        scaled = rows.to(torch.float32) / 255
        if self.spread != 1:
            scaled = (scaled - self.mean) / self.spread
        if self.image_shape is None:
            return scaled
        pictures = scaled.view(-1, 1, *self.image_shape)
        return pictures.contiguous(memory_format=torch.channels_last)


class Dropout(nn.Dropout):
    """`torch.nn.Dropout`, which on a processor cuts each random number into four or eight.

    The library draws a number for each value, one after the other on one thread: as long as a
    convolution takes. Here 8 bits decide where they give the chance exactly, as for a quarter or a
    half, else 16, with which it is right to 1/65,536. In place of the values that are dropped
    stands zero; the others are divided by the chance to stay.
    """

    def forward(self, values: Tensor) -> Tensor:
        """Return values of the same shape."""
        if not self.training or not self.p or values.device.type != "cpu":
            return super().forward(values)
        count = values.numel()
        kind = torch.int8 if (self.p * 2**8).is_integer() else torch.int16
        numbers = torch.empty(-(-count * kind.itemsize // 8), dtype=torch.int64)
        limits = torch.iinfo(kind)
        least = min(limits.min + round(self.p * 2**limits.bits), limits.max)
        # 0 and 1 as integers: comparing to booleans, and copying those, takes three times as long.
        stays = numbers.random_(-(2**63), None).view(kind)[:count].ge_(least)
        mask = torch.empty_like(values)  # laid out in memory as the values are
        mask.as_strided((count,), (1,)).copy_(stays).div_(1 - self.p)
        return values * mask


class FlattenByPixel(nn.Module):
    """Turn pictures into rows, the channels of a pixel side by side, as they lie in memory.

    After a large layer that is much faster than `torch.nn.Flatten`, whose order, channel by
    channel, has every value moved, and every gradient on its way back.
    """

    def forward(self, pictures: Tensor) -> Tensor:
        """Return ``(n, height * width * channels)`` of ``(n, channels, height, width)``."""
        return pictures.permute(0, 2, 3, 1).flatten(1)


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


def start_like_keras(module: nn.Module) -> None:
    """Fill weights with Glorot's uniform numbers and biases with zeros."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        assert module.bias is not None
        nn.init.zeros_(module.bias)
