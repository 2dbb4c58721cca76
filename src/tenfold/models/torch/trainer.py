"""The training loop: data in memory, batches by index, the same weights for the same seed."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from tenfold.config.network_params import NetworkParams
from tenfold.models.torch.augment import Augment, leave_alone
from tenfold.models.torch.average import MovingAverage

logger = logging.getLogger(__name__)

OnEpoch = Callable[[int, Mapping[str, float]], None]

_EVALUATION_ROWS = 2000
_WARM_UP = 0.3


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


@dataclass
class _Best:
    """The epoch with the lowest validation loss so far."""

    patience: int | None
    epoch: int = 0
    loss: float = math.inf
    state: dict[str, Tensor] = field(default_factory=dict)

    def see(self, epoch: int, loss: float, network: nn.Module) -> bool:
        """Remember the network if it is the best so far; return whether to stop."""
        if self.patience is None:
            return False
        if loss < self.loss:
            self.epoch, self.loss = epoch, loss
            self.state = copy.deepcopy(network.state_dict())
        return epoch - self.epoch >= self.patience


def train(
    network: nn.Module,
    rows: Rows,
    params: NetworkParams,
    *,
    generator: torch.Generator,
    precision: torch.dtype = torch.float32,
    augment: Augment = leave_alone,
    validation: Rows | None = None,
    on_epoch: OnEpoch | None = None,
) -> int:
    """Train a network in place.

    Args:
        network: From uint8 rows to logits, on the device of `rows`.
        rows: What it learns from.
        params: The recipe.
        generator: Decides the order of the images; on the processor.
        precision: ``torch.bfloat16`` for autocast, else ``torch.float32``.
        augment: What is done to each batch of images before it is learned from.
        validation: Rows to report each epoch on, and to stop early by if the recipe says so.
        on_epoch: Called after each epoch with its number, from 1, and train_loss (of the images
            as augmented, with smoothed and weighted targets) and train_accuracy; with validation
            rows also val_loss, val_accuracy, val_precision, val_recall and val_f1, of the weights
            that the network would have if the training ended there.

    Returns:
        The epoch whose weights the network has now, from 1.
    """
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = MovingAverage(network, params.ema)
    lesson = _Lesson(
        network=network,
        rows=rows,
        params=params,
        optimizer=make_optimizer(network, params),
        generator=generator,
        precision=precision,
        augment=augment,
        average=average,
        class_weights=class_weights(rows.codes, params),
    )
    n_batches = len(batch_bounds(len(rows), params.batch_size))
    best = _Best(params.patience if validation is not None else None)
    for epoch in range(1, params.epochs + 1):
        rates = (
            params.learning_rate * rate_factor(params.schedule, step, n_batches * params.epochs)
            for step in range((epoch - 1) * n_batches, epoch * n_batches)
        )
        report = lesson.epoch(rates)
        if validation is not None:
            scores = evaluate(average.network, validation)
            report |= {f"val_{name}": value for name, value in scores.items()}
        if on_epoch is not None:
            on_epoch(epoch, report)
        if best.see(epoch, report.get("val_loss", math.inf), average.network):
            logger.info("stopped after epoch %d; epoch %d was the best", epoch, best.epoch)
            break
    if best.state or average.network is not network:
        network.load_state_dict(best.state or average.network.state_dict())
    return best.epoch or params.epochs


@dataclass(frozen=True, eq=False)
class _Lesson:
    """What an epoch needs."""

    network: nn.Module
    rows: Rows
    params: NetworkParams
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    precision: torch.dtype
    augment: Augment
    average: MovingAverage
    class_weights: Tensor | None

    def epoch(self, rates: Iterator[float]) -> dict[str, float]:
        """Show the network every image once; return mean loss and accuracy over the images."""
        self.network.train()
        rows, device = self.rows, self.rows.images.device
        order = torch.randperm(len(rows), generator=self.generator).to(device)
        loss_sum = torch.zeros((), device=device)
        n_right = torch.zeros((), dtype=torch.int64, device=device)
        bounds = batch_bounds(len(rows), self.params.batch_size)
        for (start, stop), rate in zip(bounds, rates, strict=True):
            batch = order[start:stop]
            codes = rows.codes[batch]
            loss, logits = self._step(self.augment(rows.images[batch]), codes, rate)
            loss_sum += loss * len(batch)
            n_right += (logits.argmax(dim=1) == codes).sum()
        return {
            "train_loss": float(loss_sum) / len(rows),
            "train_accuracy": float(n_right) / len(rows),
        }

    def _step(self, images: Tensor, codes: Tensor, rate: float) -> tuple[Tensor, Tensor]:
        """Learn from one batch; return its loss and logits, without gradients."""
        in_bfloat16 = self.precision == torch.bfloat16
        with torch.autocast(images.device.type, torch.bfloat16, enabled=in_bfloat16):
            logits = self.network(images)
        loss = functional.cross_entropy(
            logits.float(),
            codes,
            weight=self.class_weights,
            label_smoothing=self.params.label_smoothing,
        )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.average.update()
        return loss.detach(), logits.detach()


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


@torch.inference_mode()
def evaluate(network: nn.Module, rows: Rows) -> dict[str, float]:
    """Return a network's scores over some rows.

    Args:
        network: From uint8 rows to logits.
        rows: Images and their codes.

    Returns:
        ``loss``, the mean cross entropy, and ``accuracy``, ``precision``, ``recall`` and ``f1``,
        0 to 1; the last three are plain means over the classes that occur in the rows or among
        the predictions, as scikit-learn's macro averages are.
    """
    logits = predict_logits(network, rows.images)
    loss = functional.cross_entropy(logits, rows.codes)
    said = logits.argmax(dim=1)
    n_classes = logits.shape[1]
    there = torch.bincount(rows.codes, minlength=n_classes)
    called = torch.bincount(said, minlength=n_classes)
    right = torch.bincount(rows.codes[said == rows.codes], minlength=n_classes).double()
    met = there + called > 0
    return {
        "loss": float(loss),
        "accuracy": float((said == rows.codes).float().mean()),
        "precision": float((right / called.clamp(min=1))[met].mean()),
        "recall": float((right / there.clamp(min=1))[met].mean()),
        "f1": float((2 * right / (there + called).clamp(min=1))[met].mean()),
    }


@torch.inference_mode()
def predict_logits(network: nn.Module, images: Tensor) -> Tensor:
    """Return ``(n, n_classes)`` logits in float32, whatever the precision of the training.

    Args:
        network: From uint8 rows to logits; it is left in evaluation mode.
        images: ``(n, height * width)`` uint8 on the network's device.
    """
    network.eval()
    return torch.cat([network(block) for block in images.split(_EVALUATION_ROWS)])


def batch_bounds(n_rows: int, batch_size: int) -> list[tuple[int, int]]:
    """Return where batches start and stop; a last batch of one row joins the one before.

    Batch normalisation cannot learn from a single row.

    >>> batch_bounds(5, 2)
    [(0, 2), (2, 5)]
    """
    starts = list(range(0, n_rows, batch_size))
    if len(starts) > 1 and n_rows - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], n_rows], strict=True))


def rate_factor(schedule: str, step: int, n_steps: int) -> float:
    """Return the learning rate of a step as a fraction of its peak, 0 to 1.

    Args:
        schedule: ``"constant"``, ``"cosine"`` or ``"one_cycle"`` (Smith 2018): up along a line for
            30 % of the steps, then down along half a cosine.
        step: Number of the step, from 0.
        n_steps: Steps of the whole training.
    """
    if schedule == "constant":
        return 1.0
    done = (step + 0.5) / n_steps
    if schedule == "one_cycle":
        if done < _WARM_UP:
            return done / _WARM_UP
        done = (done - _WARM_UP) / (1 - _WARM_UP)
    return 0.5 * (1 + math.cos(math.pi * done))


def make_optimizer(network: nn.Module, params: NetworkParams) -> torch.optim.Optimizer:
    """Return the optimizer that the recipe names, in its fused form where there is one."""
    weights = list(network.parameters())
    rate, decay = params.learning_rate, params.weight_decay
    fused = weights[0].device.type in {"cpu", "cuda"}
    if params.optimizer == "adam":
        return torch.optim.Adam(weights, lr=rate, weight_decay=decay, fused=fused)
    if params.optimizer == "adamw":
        return torch.optim.AdamW(weights, lr=rate, weight_decay=decay, fused=fused)
    momentum = params.momentum
    if params.optimizer == "sgd":
        return torch.optim.SGD(weights, lr=rate, weight_decay=decay, momentum=momentum, fused=fused)
    return torch.optim.RMSprop(weights, lr=rate, weight_decay=decay, momentum=momentum)
