"""Images and class indices on the device, and the batches that they are cut into."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tenfold.config.network_params import NetworkParams


@dataclass(frozen=True, eq=False)
class Rows:
    """Images and class indices on the device.

    Args:
        images: ``(n, height * width)`` uint8.
        codes: ``(n,)`` int64.
    """

    images: Tensor
    codes: Tensor

    def __len__(self) -> int:
        return len(self.codes)


def batch_bounds(n_rows: int, batch_size: int, *, least: int = 2) -> list[tuple[int, int]]:
    """Return where batches start and stop; a last batch that is too small joins the one before.

    Args:
        n_rows: Rows to cut.
        batch_size: Rows of a batch, at least `least`.
        least: Rows that a last batch needs; batch normalisation cannot learn from a single one.

    >>> batch_bounds(5, 2)
    [(0, 2), (2, 5)]
    """
    starts = list(range(0, n_rows, batch_size))
    if len(starts) > 1 and n_rows - starts[-1] < least:
        starts.pop()
    return list(zip(starts, [*starts[1:], n_rows], strict=True))


def class_weights(codes: Tensor, params: NetworkParams) -> Tensor | None:
    """Return one float32 weight for each class, 1 on the mean over the rows; None: all alike.

    Args:
        codes: ``(n,)`` int64 training codes; every class occurs.
        params: The recipe.
    """
    if params.class_weights is None:
        return None
    counts = torch.bincount(codes).to(torch.float32)
    return len(codes) / (len(counts) * counts)
