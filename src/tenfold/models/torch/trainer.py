"""The training loop: data in memory, batches by index, the same weights for the same seed."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from tenfold.config.network_params import NetworkParams
from tenfold.models.torch.augment import Augment, Augmenter, leave_alone
from tenfold.models.torch.average import MovingAverage
from tenfold.models.torch.checkpoint import (
    Checkpoint,
    CheckpointStore,
    NoCheckpoints,
    Progress,
)
from tenfold.models.torch.distributed import Alone, Team
from tenfold.models.torch.optimizer import (
    optimizer_tensors,
    rate_factor,
    rehearsed_tensors,
    restore_optimizer,
)
from tenfold.models.torch.randomness import global_states, set_global_states
from tenfold.models.torch.rows import Rows, batch_bounds, class_weights
from tenfold.models.torch.scores import scores_of

logger = logging.getLogger(__name__)

OnEpoch = Callable[[int, Mapping[str, float]], None]
#: Is given a network of its own, and the seconds that had been done before a training was taken up.
OnSnapshot = Callable[[nn.Module, float], None]
_NOTHING: Mapping[int, OnSnapshot] = MappingProxyType({})


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
    checkpoints: CheckpointStore | None = None,
    snapshots: Mapping[int, OnSnapshot] = _NOTHING,
    team: Team | None = None,
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
            as augmented, with smoothed and weighted targets), train_accuracy, train_precision,
            train_recall and train_f1, of what each batch was taken for before it was learned from;
            with validation rows also val_loss to val_f1, of the weights that the network would
            have if the training ended there. A resumed training first calls it again for the
            epochs that are done.
        checkpoints: Where the training's state is kept, and taken up if there is one of this
            training. An `augment` that draws random numbers must be an `Augmenter` then.
        snapshots: By the number of an epoch, who is given a copy of the network after it, with
            the weights that it would have if the training ended there. The training does not
            notice. A resumed one starts from a checkpoint that no such epoch lies before.
        team: The processes that train it together, each by this function; None: this one alone.

    Returns:
        The epoch whose weights the network has now, from 1.

    Raises:
        TrainingMemoryError: The memory is too small even for the smallest part of a batch.
    """
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    training = _Training(
        network,
        rows,
        params,
        generator=generator,
        precision=precision,
        augment=augment,
        validation=validation,
        checkpoints=checkpoints or NoCheckpoints(),
        snapshots=snapshots,
        team=team or Alone(),
    )
    return training.run(on_epoch or tell_nobody)


def tell_nobody(epoch: int, report: Mapping[str, float]) -> None:
    """Do nothing."""


class _Best:
    """The epoch with the lowest validation loss so far; its weights are those of `state`."""

    def __init__(self, patience: int | None, network: nn.Module) -> None:
        self.patience = patience
        self.epoch = 0
        self.loss = math.inf
        self.state = {} if patience is None else copy.deepcopy(network.state_dict())

    def see(self, epoch: int, loss: float, network: nn.Module) -> None:
        """Remember the network if it is the best so far."""
        if self.patience is not None and loss < self.loss:
            self.epoch, self.loss = epoch, loss
            self.state = copy.deepcopy(network.state_dict())

    def is_over(self, epoch: int) -> bool:
        """Say whether patience has run out after an epoch."""
        return self.patience is not None and epoch - self.epoch >= self.patience


class _Training:
    """A network on its way: all that changes from step to step, and what it learns from."""

    def __init__(
        self,
        network: nn.Module,
        rows: Rows,
        params: NetworkParams,
        *,
        generator: torch.Generator,
        precision: torch.dtype,
        augment: Augment,
        validation: Rows | None,
        checkpoints: CheckpointStore,
        snapshots: Mapping[int, OnSnapshot],
        team: Team,
    ) -> None:
        self.network, self.rows, self.params, self.team = network, rows, params, team
        self.augment, self.validation, self.checkpoints = augment, validation, checkpoints
        self.snapshots = snapshots
        self.device = rows.images.device
        self.learner = team.learner(
            network,
            params,
            precision=precision,
            class_weights=class_weights(rows.codes, params),
        )
        self.average = MovingAverage(network, params.ema)
        self.best = _Best(params.patience if validation is not None else None, self.average.network)
        self.bounds = batch_bounds(len(rows), params.batch_size)
        self.generators = {"order": generator}
        if isinstance(augment, Augmenter):
            self.generators["augment"] = augment.generator
        self.order_state = generator.get_state()
        self.epoch = self.step = 0
        self.history: list[Mapping[str, float]] = []
        self.loss_sum = torch.zeros((), device=self.device)
        self.said = torch.zeros(len(rows), dtype=torch.int32, device=self.device)

    def run(self, on_epoch: OnEpoch) -> int:
        """Take up what a killed training left, train to the end, and keep the best weights."""
        self._resume()
        self.team.meet(self.epoch, self.step)
        for epoch, report in enumerate(self.history, 1):
            on_epoch(epoch, report)
        if not self.step:
            self._hand_out()
        while not self._is_over():
            self._learn_epoch()
            report = self._report()
            self.history.append(report)
            self.epoch, self.step = self.epoch + 1, 0
            self.best.see(self.epoch, report.get("val_loss", math.inf), self.average.network)
            # After the last, too: what is still done with the network may be killed.
            if self.checkpoints.is_due(after_epoch=True):
                self._save()
            on_epoch(self.epoch, report)
            self._hand_out()
        if self.epoch < self.params.epochs:
            logger.info(
                "stopped after epoch %d; epoch %d was the best", self.epoch, self.best.epoch
            )
        if self.best.epoch:
            self.network.load_state_dict(self.best.state)
        elif self.average.network is not self.network:
            self.network.load_state_dict(self.average.network.state_dict())
        if self.best.patience is not None and not self.best.epoch:
            logger.warning(
                "the validation loss was never a number: the weights are those of epoch %d, and of "
                "no use; try a smaller learning_rate",
                self.epoch,
            )
        return self.best.epoch or self.epoch

    def _hand_out(self) -> None:
        """Give a copy of the network to whoever wants that of this epoch."""
        if self.epoch in self.snapshots:
            with self.checkpoints.paused():
                network = copy.deepcopy(self.average.network)
                self.snapshots[self.epoch](network, self.checkpoints.resumed_s)

    def _is_over(self) -> bool:
        return self.epoch >= self.params.epochs or self.best.is_over(self.epoch)

    def _learn_epoch(self) -> None:
        """Show the network every image once, or those that are left of a resumed epoch."""
        self.network.train()
        rows, n_batches = self.rows, len(self.bounds)
        # A checkpoint holds the state from before the permutation, which is drawn again from it.
        self.order_state = self.generators["order"].get_state()
        order = torch.randperm(len(rows), generator=self.generators["order"]).to(self.device)
        for start, stop in self.bounds[self.step :]:
            batch = order[start:stop]
            codes = rows.codes[batch]
            rate = self.params.learning_rate * rate_factor(
                self.params.schedule,
                self.epoch * n_batches + self.step,
                n_batches * self.params.epochs,
            )
            loss, logits = self.learner.step(self.augment(rows.images[batch]), codes, rate)
            self.average.update()
            self.loss_sum += loss * len(batch)
            self.said[batch] = logits.argmax(dim=1).to(self.said.dtype)
            self.step += 1
            if self.checkpoints.is_due(after_epoch=False):
                self._save()
        self.order_state = self.generators["order"].get_state()

    def _report(self) -> dict[str, float]:
        """Return the epoch's means over the images, and the scores on the validation rows."""
        report = {"train_loss": float(self.loss_sum) / len(self.rows)}
        self.loss_sum.zero_()
        scores = scores_of(self.rows.codes, self.said)
        report |= {f"train_{name}": value for name, value in scores.items()}
        if self.validation is not None:
            scores = self.team.scores(self.average.network, self.validation)
            report |= {f"val_{name}": value for name, value in scores.items()}
        return report

    def _save(self) -> None:
        progress = Progress(
            epoch=self.epoch,
            step=self.step,
            best_epoch=self.best.epoch,
            best_loss=self.best.loss,
            micro_batch=self.learner.micro_batch,
            history=tuple(dict(report) for report in self.history),
        )
        optimizer = _grouped(optimizer=optimizer_tensors(self.learner.optimizer))
        self.checkpoints.write(progress, self._live() | optimizer | self._random())

    def _resume(self) -> None:
        """Go on from the newest checkpoint of this training, if there is one."""
        first = min(self.snapshots, default=self.params.epochs)
        for checkpoint in self.checkpoints.newest_first(self._expected):
            if (checkpoint.progress.epoch, checkpoint.progress.step) > (first, 0):
                logger.info("a checkpoint is not used: epoch %d is wanted and lies before", first)
                continue
            before = self._random()
            try:
                self._set_random(checkpoint.tensors)
            except RuntimeError as error:
                self._set_random(before)
                logger.warning("a checkpoint is not used: %s", error)
                continue
            self._take_up(checkpoint)
            return

    def _take_up(self, checkpoint: Checkpoint) -> None:
        with torch.no_grad():
            for name, tensor in self._live().items():
                tensor.copy_(checkpoint.tensors[name])
            optimizer = rehearsed_tensors(self.network, self.params)
            for name, tensor in optimizer.items():
                tensor.copy_(checkpoint.tensors[f"optimizer.{name}"])
        restore_optimizer(self.learner.optimizer, optimizer)
        progress = checkpoint.progress
        self.epoch, self.step = progress.epoch, progress.step
        self.best.epoch, self.best.loss = progress.best_epoch, progress.best_loss
        self.learner.micro_batch = progress.micro_batch
        self.history = list(progress.history)
        self.average.steps = self.epoch * len(self.bounds) + self.step
        logger.info(
            "going on after epoch %d, step %d of a training that was ended",
            self.epoch,
            self.step,
        )

    def _expected(self) -> dict[str, Tensor]:
        """Return tensors with the names, shapes and types of those in a checkpoint."""
        optimizer = _grouped(optimizer=rehearsed_tensors(self.network, self.params))
        return self._live() | optimizer | self._random()

    def _live(self) -> dict[str, Tensor]:
        """Return the tensors that each step changes in place."""
        average = {} if self.average.network is self.network else self.average.network.state_dict()
        return _grouped(
            network=self.network.state_dict(),
            average=average,
            best=self.best.state,
            epoch={"loss_sum": self.loss_sum, "said": self.said},
        )

    def _random(self) -> dict[str, Tensor]:
        """Return the states of the generators; the order's is from before the permutation."""
        states = {name: generator.get_state() for name, generator in self.generators.items()}
        states["order"] = self.order_state
        return _grouped(random=states | global_states(self.device))

    def _set_random(self, tensors: Mapping[str, Tensor]) -> None:
        for name, generator in self.generators.items():
            generator.set_state(tensors[f"random.{name}"])
        kinds = {"cpu", self.device.type}
        set_global_states(self.device, {kind: tensors[f"random.{kind}"] for kind in kinds})
        self.order_state = tensors["random.order"]


def _grouped(**groups: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return all tensors of some groups, named ``group.name``."""
    return {
        f"{group}.{name}": tensor for group, part in groups.items() for name, tensor in part.items()
    }
