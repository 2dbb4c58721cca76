"""One training in plain values: what this process or any other needs beside the rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import nn

from tenfold.config.network_params import NetworkParams
from tenfold.config.params import PARAMS
from tenfold.heap import freed_memory_kept
from tenfold.models.torch.augment import make_augment
from tenfold.models.torch.checkpoint import (
    CheckpointStore,
    NoCheckpoints,
    training_identity,
)
from tenfold.models.torch.device import numerics, resting
from tenfold.models.torch.distributed import Alone, Team
from tenfold.models.torch.networks import build_network, fit_components
from tenfold.models.torch.rows import Rows
from tenfold.models.torch.trainer import OnEpoch, OnSnapshot, train

# The order of the images and their augmentation draw from generators of different seeds.
_AUGMENT_SEEDS = 2**32


@dataclass(frozen=True, eq=False)
class Trained:
    """What a training came to.

    Args:
        network: From uint8 rows to logits.
        n_epochs: The epoch whose weights it has.
        resumed_s: Seconds that were done before the training was taken up; 0: none.
    """

    network: nn.Module
    n_epochs: int
    resumed_s: float


@dataclass(frozen=True)
class TrainingPlan:
    """A training, to be run in this process or shared by several.

    Args:
        network: A key of `NETWORKS`.
        params: The recipe.
        image_shape: Height and width in pixels.
        n_classes: Number of classes, at least 2.
        seed: Seed of everything random.
        threads: Threads of all its processes together, at least 1.
        device: ``"cpu"``, ``"cuda"`` or ``"mps"``.
        precision: ``"float32"`` or ``"bfloat16"``.
        processes: Processes that share it, at least 1.
        checkpoints: A folder for its checkpoints alone; None: nothing is kept.
        checkpoint_every_s: Seconds between two within an epoch; 0: one after each step.
    """

    network: str
    params: NetworkParams
    image_shape: tuple[int, int]
    n_classes: int
    seed: int
    threads: int
    device: str
    precision: str
    processes: int = 1
    checkpoints: str | None = None
    checkpoint_every_s: float = 30.0

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return what `to_json` was called on."""
        fields = json.loads(text)
        params = PARAMS[fields["network"]].model_validate(fields["params"])
        shape = tuple(fields["image_shape"])
        return cls(**{**fields, "params": params, "image_shape": shape})

    def to_json(self) -> str:
        """Return the plan as one JSON object."""
        return json.dumps({**vars(self), "params": self.params.model_dump(mode="json")})

    def start(self, rows: Rows) -> nn.Module:
        """Return the network before its first step, on the device of its training rows."""
        with self._numerics(rows):
            return self._network(rows)

    def run(
        self,
        rows: Rows,
        validation: Rows | None = None,
        *,
        on_epoch: OnEpoch | None = None,
        snapshots: Mapping[int, OnSnapshot] | None = None,
        team: Team | None = None,
    ) -> Trained:
        """Train in this process.

        Args:
            rows: What the network learns from, on the device.
            validation: Rows to report each epoch on, and to stop early by.
            on_epoch: As for `tenfold.models.torch.trainer.train`.
            snapshots: As there; what is called runs as if the training were not under way.
            team: The processes that do the same at the same time; None: this one alone.

        Raises:
            ModelInputError: The images are too small for the network.
            TrainingMemoryError: The memory is too small, even for a few images at a time.
        """
        team = team or Alone()
        outside = resting(rows.images.device, threads=torch.get_num_threads())
        with freed_memory_kept(), self._numerics(rows):
            network = self._network(rows)
            store = self._store(network, [rows] if validation is None else [rows, validation], team)
            seed = _AUGMENT_SEEDS + self.seed
            n_epochs = train(
                network,
                rows,
                self.params,
                generator=torch.Generator().manual_seed(self.seed),
                precision=getattr(torch, self.precision),
                augment=make_augment(self.params, rows.images, self.image_shape, seed=seed),
                validation=validation,
                on_epoch=on_epoch,
                checkpoints=store,
                snapshots={epoch: outside(call) for epoch, call in (snapshots or {}).items()},
                team=team,
            )
        return Trained(network, n_epochs, store.resumed_s)

    def _numerics(self, rows: Rows) -> AbstractContextManager[None]:
        threads = max(1, self.threads // self.processes)
        return numerics(rows.images.device, threads=threads, seed=self.seed)

    def _network(self, rows: Rows) -> nn.Module:
        network = build_network(self.network, self.params, self.image_shape, self.n_classes)
        network.to(rows.images.device)
        fit_components(network, rows.images)
        return network

    def _store(self, network: nn.Module, parts: list[Rows], team: Team) -> CheckpointStore:
        """Return where this very training keeps its checkpoints."""
        if self.checkpoints is None:
            return NoCheckpoints()
        settings = {
            "network": self.network,
            "params": self.params.model_dump(mode="json"),
            "seed": self.seed,
            "image_shape": self.image_shape,
            "classes": self.n_classes,
            "device": self.device,
            "precision": self.precision,
            "threads": self.threads,
            "processes": self.processes,
        }
        identity = training_identity(settings, network, parts)
        return team.store(Path(self.checkpoints), identity, every_s=self.checkpoint_every_s)
