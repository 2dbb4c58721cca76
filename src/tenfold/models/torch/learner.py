"""One step of a training: a batch's gradients, in parts where the memory is short."""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn
from torch.nn import functional

from tenfold.config.network_params import NetworkParams
from tenfold.errors import TrainingMemoryError
from tenfold.models.torch.device import error_line, free_memory, is_shortage
from tenfold.models.torch.optimizer import make_optimizer
from tenfold.models.torch.randomness import global_states, set_global_states
from tenfold.models.torch.rows import batch_bounds

logger = logging.getLogger(__name__)


class Learner:
    """Learns from one batch after the other.

    A batch that does not fit into memory goes through the network in parts, half as large each
    time that the memory is short, and the parts' gradients are added up: the step is that of the
    whole batch. Two things differ. Batch normalisation sees the smaller parts, each with its own
    mean and variance, and keeps what the failed try had added to its running statistics; and
    dropout draws its masks part by part. Later batches keep the smaller parts.

    Args:
        network: From rows of pixels to logits, in training mode.
        params: The recipe.
        precision: ``torch.bfloat16`` for autocast, else ``torch.float32``.
        class_weights: One weight for each class; None: all alike.

    Attributes:
        optimizer: Changes the weights.
        micro_batch: The most images that go through the network at once; None: a whole batch.
    """

    def __init__(
        self,
        network: nn.Module,
        params: NetworkParams,
        *,
        precision: torch.dtype = torch.float32,
        class_weights: Tensor | None = None,
    ) -> None:
        self.network = network
        self.optimizer = make_optimizer(network, params)
        self.micro_batch: int | None = None
        self._in_bfloat16 = precision == torch.bfloat16
        self._class_weights = class_weights
        self._smoothing = params.label_smoothing
        normed = (nn.BatchNorm1d, nn.BatchNorm2d)
        self._least = 2 if any(isinstance(part, normed) for part in network.modules()) else 1

    def step(self, images: Tensor, codes: Tensor, rate: float) -> tuple[Tensor, Tensor]:
        """Learn from one batch.

        Args:
            images: ``(n, height * width)`` uint8 or float32.
            codes: ``(n,)`` int64.
            rate: The learning rate.

        Returns:
            The mean loss and the ``(n, n_classes)`` logits, without gradients.

        Raises:
            TrainingMemoryError: Not even the smallest part fits into memory, or not what the
                optimizer remembers.
        """
        states = global_states(images.device)
        while isinstance(outcome := self._tried(images, codes), RuntimeError):
            self._halve(len(codes), outcome)
            set_global_states(images.device, states)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        try:
            self.optimizer.step()
        except RuntimeError as error:
            if not is_shortage(error):
                raise
            raise TrainingMemoryError(
                f"the memory is too small for what {type(self.optimizer).__name__} remembers of "
                f"each weight ({error_line(error)}); make the network smaller, or use "
                "optimizer sgd with momentum 0, which remembers nothing"
            ) from error
        return outcome

    def _tried(self, images: Tensor, codes: Tensor) -> tuple[Tensor, Tensor] | RuntimeError:
        """Make the gradients and return loss and logits, or say that the memory was short."""
        self.optimizer.zero_grad(set_to_none=True)
        try:
            return self._gradients(images, codes)
        except RuntimeError as error:
            if not is_shortage(error):
                raise
            return error.with_traceback(None)  # its frames hold what is to be freed

    def _gradients(self, images: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        n = len(codes)
        if self.micro_batch is None or n <= self.micro_batch:
            loss, logits = self._loss(images, codes)
            loss.backward()
            return loss.detach(), logits.detach()
        losses, said = [], []
        for start, stop in batch_bounds(n, self.micro_batch, least=self._least):
            loss, logits = self._loss(images[start:stop], codes[start:stop])
            # The mean over a part, turned into its share of the mean over the batch.
            loss = loss * (self._weight(codes[start:stop]) / self._weight(codes))
            loss.backward()
            losses.append(loss.detach())
            said.append(logits.detach())
        return torch.stack(losses).sum(), torch.cat(said)

    def _loss(self, images: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self._in_bfloat16):
            logits = self.network(images)
        loss = functional.cross_entropy(
            logits.float(),
            codes,
            weight=self._class_weights,
            label_smoothing=self._smoothing,
        )
        return loss, logits

    def _weight(self, codes: Tensor) -> Tensor | int:
        """Return what the mean loss over some images is divided by."""
        return len(codes) if self._class_weights is None else self._class_weights[codes].sum()

    def _halve(self, n_images: int, error: RuntimeError) -> None:
        """Free what the failed try holds and make the parts smaller."""
        self.optimizer.zero_grad(set_to_none=True)
        free_memory()
        tried = min(self.micro_batch or n_images, n_images)
        if tried <= self._least:
            raise TrainingMemoryError(
                f"the memory is too small even for {tried} images at a time "
                f"({error_line(error)}); "
                "make the network smaller, or train it where there is more memory"
            ) from error
        self.micro_batch = max(self._least, tried // 2)
        logger.warning(
            "out of memory with %d images at a time; going on with %d at a time, "
            "the gradients of a batch's parts added up",
            tried,
            self.micro_batch,
        )
