"""What the processes of one training share: each batch, its gradients and the epoch's scores."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from tenfold.config.network_params import NetworkParams
from tenfold.errors import StorageError, TrainingMemoryError
from tenfold.models.torch.checkpoint import Checkpoints, CheckpointStore
from tenfold.models.torch.device import error_line
from tenfold.models.torch.learner import Learner
from tenfold.models.torch.randomness import drawing_apart
from tenfold.models.torch.rows import Rows
from tenfold.models.torch.scores import evaluate


class Team(Protocol):
    """The processes that train one network; each runs the whole loop over the same batches."""

    def learner(
        self,
        network: nn.Module,
        params: NetworkParams,
        *,
        precision: torch.dtype,
        class_weights: Tensor | None,
    ) -> Learner:
        """Return what takes the steps."""
        ...

    def store(self, folder: Path, identity: str, *, every_s: float) -> CheckpointStore:
        """Return where this process finds the training's checkpoints, and who keeps them."""
        ...

    def meet(self, epoch: int, step: int) -> None:
        """Make sure that all are about to take the same step.

        Raises:
            StorageError: They are not.
        """
        ...

    def scores(self, network: nn.Module, rows: Rows) -> dict[str, float]:
        """Return what `evaluate` says; a process that reports to nobody may get ``loss`` alone."""
        ...


class Alone:
    """This process, and no other."""

    def learner(
        self,
        network: nn.Module,
        params: NetworkParams,
        *,
        precision: torch.dtype,
        class_weights: Tensor | None,
    ) -> Learner:
        """Return what learns from whole batches."""
        return Learner(network, params, precision=precision, class_weights=class_weights)

    def store(self, folder: Path, identity: str, *, every_s: float) -> CheckpointStore:
        """Return the folder's checkpoints."""
        return Checkpoints(folder, identity, every_s=every_s)

    def meet(self, epoch: int, step: int) -> None:
        """Do nothing."""

    def scores(self, network: nn.Module, rows: Rows) -> dict[str, float]:
        """Return what `evaluate` says."""
        return evaluate(network, rows)


class Ranks:
    """The ranks of PyTorch's default process group; rank 0 keeps, scores and reports.

    Only tensors pass between them.

    Args:
        device: Where this rank computes.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._leads = distributed.get_rank() == 0

    def learner(
        self,
        network: nn.Module,
        params: NetworkParams,
        *,
        precision: torch.dtype,
        class_weights: Tensor | None,
    ) -> Learner:
        """Return what learns from this rank's slice of each batch."""
        return SharedLearner(network, params, precision=precision, class_weights=class_weights)

    def store(self, folder: Path, identity: str, *, every_s: float) -> CheckpointStore:
        """Return the folder's checkpoints, which all ranks read and rank 0 writes."""
        kind = Checkpoints if self._leads else _OthersCheckpoints
        return kind(folder, identity, every_s=every_s)

    def meet(self, epoch: int, step: int) -> None:
        """Make sure that every rank took up the same checkpoint; see `Team.meet`."""
        mine = torch.tensor([epoch, step], device=self._device)
        first = mine.clone()
        distributed.broadcast(first, src=0)
        if not torch.equal(mine, first):
            raise StorageError(
                f"rank {distributed.get_rank()} found a checkpoint of epoch {epoch}, step {step}, "
                f"but rank 0 goes on after epoch {first[0]}, step {first[1]}; "
                "see that nobody else uses the folder, and run the same fit again"
            )

    def scores(self, network: nn.Module, rows: Rows) -> dict[str, float]:
        """Return the scores of rank 0's network; elsewhere only their loss."""
        scores = evaluate(network, rows) if self._leads else {"loss": 0.0}
        loss = torch.tensor(scores["loss"], dtype=torch.float64, device=self._device)
        distributed.broadcast(loss, src=0)
        return scores | {"loss": float(loss)}


class SharedLearner(Learner):
    """Learns from this rank's slice of each batch; the step is that of the whole batch.

    The ranks' gradients are averaged by DistributedDataParallel (Li et al. 2020), each weighted
    by its slice's part of the batch, so the step does not depend on how a batch is cut. Two things
    do: batch normalisation takes mean and variance over a slice, and its running statistics are
    those of rank 0's slices; and each rank draws dropout masks of its own.

    Args:
        network: From rows of pixels to logits, in training mode; the same on every rank.
        params: The recipe.
        precision: ``torch.bfloat16`` for autocast, else ``torch.float32``.
        class_weights: One weight for each class; None: all alike.
    """

    def __init__(
        self,
        network: nn.Module,
        params: NetworkParams,
        *,
        precision: torch.dtype = torch.float32,
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__(network, params, precision=precision, class_weights=class_weights)
        # Training reads no buffer that changes: what rank 0 has need not be sent at each step.
        self.network = DistributedDataParallel(network, forward_sync_buffers=False)

    def _gradients(self, images: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Make the whole batch's gradients; return its loss and logits."""
        rank, n_ranks = distributed.get_rank(), distributed.get_world_size()
        bounds = rank_bounds(len(codes), n_ranks, least=self._least)
        # The batch may be too small for all: then a rank computes what does not count.
        works = rank < len(bounds)
        start, stop = bounds[rank] if works else bounds[0]
        mine = codes[start:stop]
        with drawing_apart(images.device, rank):
            loss, logits = self._loss(images[start:stop], mine)
        part = self._weight(mine) / self._weight(codes) if works else 0.0
        (loss * part * n_ranks).backward()  # what is averaged was a sum
        told = logits.new_zeros(1 + len(codes) * logits.shape[1], dtype=torch.float32)
        whole = told[1:].view(len(codes), -1)
        if works:
            told[0] = loss.detach() * part
            whole[start:stop] = logits.detach()
        distributed.all_reduce(told)
        return told[0], whole

    def _halve(self, n_images: int, error: RuntimeError) -> None:
        """Give up: the other ranks are waiting for the gradients of a whole slice."""
        n_ranks = distributed.get_world_size()
        raise TrainingMemoryError(
            f"the memory is too small for a batch of {n_images} images, shared by {n_ranks} "
            f"processes ({error_line(error)}); make batch_size smaller"
        ) from error


class _OthersCheckpoints(Checkpoints):
    """Takes up what rank 0 keeps, and keeps nothing."""

    def is_due(self, *, after_epoch: bool) -> bool:  # noqa: ARG002 part of the protocol
        """Say no."""
        return False


def rank_bounds(n_images: int, n_ranks: int, *, least: int = 1) -> list[tuple[int, int]]:
    """Return where the ranks' slices of a batch start and stop; fewer than ranks if it is small.

    Args:
        n_images: Images of the batch, at least 1.
        n_ranks: Ranks that share it.
        least: Images that a slice needs; batch normalisation cannot learn from a single one.

    >>> rank_bounds(5, 2)
    [(0, 2), (2, 5)]
    >>> rank_bounds(5, 4, least=2)
    [(0, 2), (2, 5)]
    """
    working = max(1, min(n_ranks, n_images // least))
    return list(itertools.pairwise(n_images * rank // working for rank in range(working + 1)))
