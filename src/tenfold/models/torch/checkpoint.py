"""Checkpoints: how far a training is, in files that a kill at any instant leaves whole."""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from tenfold.errors import StorageError
from tenfold.files import write_bytes
from tenfold.models.torch.rows import Rows
from tenfold.records import canonical_json

logger = logging.getLogger(__name__)

#: Raised when what a checkpoint holds, or what a step does, changes: older ones are not used then.
CHECKPOINT_VERSION = 2

# Epochs done, steps done in the next one, and the content's hash; or what a killed write left.
_NAME = re.compile(r"checkpoint-(\d{5})-(\d{8})-([0-9a-f]{64})\.safetensors")
_LEFT_OVER = re.compile(r"\.checkpoint-[0-9a-f-]+\.[0-9a-f]+\.safetensors")
_KEPT = 2
_LEAST_GAP_S = 1.0


class _Stored(BaseModel):
    # A training that diverges has losses that are no numbers.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Progress(_Stored):
    """How far a training is, beside its tensors.

    Args:
        epoch: Epochs done.
        step: Steps done in the next epoch.
        best_epoch: The epoch with the lowest validation loss so far; 0: none.
        best_loss: That loss.
        micro_batch: The most images that went through the network at once; None: whole batches.
        history: What each epoch reported.
    """

    epoch: int = Field(ge=0)
    step: int = Field(ge=0)
    best_epoch: int = Field(ge=0)
    best_loss: float
    micro_batch: int | None = Field(ge=1)
    history: tuple[dict[str, float], ...]


class _Header(_Stored):
    """What a file says beside its tensors."""

    identity: str
    seconds: float = Field(ge=0)
    progress: Progress


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A training at one of its steps.

    Args:
        progress: How far it is.
        tensors: Everything that changes as it goes on, by name.
        seconds: What it took so far.
    """

    progress: Progress
    tensors: Mapping[str, Tensor]
    seconds: float


class CheckpointStore(Protocol):
    """Where a training keeps its checkpoints."""

    def is_due(self, *, after_epoch: bool) -> bool:
        """Say whether it is time to write one, after an epoch or within it."""
        ...

    @property
    def resumed_s(self) -> float:
        """Seconds that the training had taken before the checkpoint that was taken up."""
        ...

    def write(self, progress: Progress, tensors: Mapping[str, Tensor]) -> None:
        """Keep a training as it is now."""
        ...

    def newest_first(self, expected: Callable[[], Mapping[str, Tensor]]) -> Iterator[Checkpoint]:
        """Give what was kept of this training; `expected` returns tensors of the same kind."""
        ...

    def paused(self) -> AbstractContextManager[None]:
        """Leave what a block takes out of the training's seconds."""
        ...


class NoCheckpoints:
    """Keeps nothing."""

    resumed_s = 0.0

    def is_due(self, *, after_epoch: bool) -> bool:  # noqa: ARG002 part of the protocol
        """Say no."""
        return False

    def write(self, progress: Progress, tensors: Mapping[str, Tensor]) -> None:
        """Do nothing."""

    def newest_first(
        self,
        expected: Callable[[], Mapping[str, Tensor]],  # noqa: ARG002 part of the protocol
    ) -> Iterator[Checkpoint]:
        """Give nothing."""
        return iter(())

    def paused(self) -> AbstractContextManager[None]:
        """Do nothing."""
        return nullcontext()


class Checkpoints:
    """Keeps the last two checkpoints of one training in a folder of its own.

    Each is one safetensors file with JSON in its header. It is written beside its place, synced
    and renamed; its name holds the hash of its content, so that a torn file is known and the one
    before it is used.

    Args:
        folder: Made when the first is written. One process at a time may use it.
        identity: What the result depends on; the checkpoints of another identity are not used.
        every_s: Seconds between two within an epoch; 0: one after each step.
        clock: Returns seconds that never go back.

    Attributes:
        resumed_s: Seconds that the training had taken before the checkpoint that was taken up.
    """

    def __init__(
        self,
        folder: Path,
        identity: str,
        *,
        every_s: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._identity = identity
        self._every_s = every_s
        self._clock = clock
        self._started = self._written = clock()
        self._kept: list[Path] = []
        self.resumed_s = 0.0

    def is_due(self, *, after_epoch: bool) -> bool:
        """Say whether it is time to write one.

        After an epoch it is, unless the last was written less than a second ago: a write takes
        about 10 ms, most of it waiting for the disk, which short epochs would feel.
        """
        gap = min(_LEAST_GAP_S, self._every_s) if after_epoch else self._every_s
        return self._clock() - self._written >= gap

    def write(self, progress: Progress, tensors: Mapping[str, Tensor]) -> None:
        """Keep a training as it is now, and the checkpoint before it; a failure is only logged."""
        header = _Header(
            identity=self._identity,
            seconds=self.resumed_s + self._clock() - self._started,
            progress=progress,
        )
        content = save(
            {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
            metadata={"tenfold": header.model_dump_json()},
        )
        digest = hashlib.sha256(content).hexdigest()
        name = f"checkpoint-{progress.epoch:05d}-{progress.step:08d}-{digest}.safetensors"
        try:
            path = write_bytes(self._folder / name, content)
        except StorageError as error:
            logger.warning("the training goes on without a checkpoint: %s", error)
        else:
            self._kept = [*self._kept, path][-_KEPT:]
            self._delete(keep=self._kept)
        self._written = self._clock()

    def newest_first(self, expected: Callable[[], Mapping[str, Tensor]]) -> Iterator[Checkpoint]:
        """Give the checkpoints of this training that are whole; what is not is logged.

        Args:
            expected: Returns tensors with the names, shapes and types that a checkpoint must have.
        """
        for path in sorted(self._files(_NAME), reverse=True):
            try:
                checkpoint = self._read(path, expected())
            except (OSError, ValueError, SafetensorError) as error:
                logger.warning("%s is not used: %s", path, error)
                continue
            self._kept, self.resumed_s = [path], checkpoint.seconds
            yield checkpoint
            self._kept, self.resumed_s = [], 0.0  # it was not taken up

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave what a block takes out of the training's seconds."""
        began = self._clock()
        try:
            yield
        finally:
            self._started += self._clock() - began

    def _read(self, path: Path, expected: Mapping[str, Tensor]) -> Checkpoint:
        """Return a checkpoint.

        Raises:
            OSError: The file cannot be read.
            ValueError: It is torn, or of another training.
            SafetensorError: Its header is none.
        """
        if not path.is_file():
            raise ValueError("it is no file")
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() not in path.name:
                raise ValueError("its content is not what was written")
        with safe_open(path, framework="pt") as opened:
            header = _header(opened.metadata())
            if header.identity != self._identity:
                raise ValueError("it is of a training with other data, settings or versions")
            if set(opened.keys()) != set(expected):
                raise ValueError("it holds other tensors than this training has")
            tensors = {}
            for name, like in expected.items():
                if opened.get_slice(name).get_shape() != list(like.shape):
                    raise ValueError(f"its tensor {name} has another shape than this training's")
                tensors[name] = opened.get_tensor(name)
                if tensors[name].dtype != like.dtype:
                    raise ValueError(f"its tensor {name} has another type than this training's")
        if len(header.progress.history) != header.progress.epoch:
            raise ValueError("its history has another length than its epochs")
        return Checkpoint(header.progress, tensors, header.seconds)

    def _files(self, pattern: re.Pattern[str]) -> list[Path]:
        try:
            return [path for path in self._folder.iterdir() if pattern.fullmatch(path.name)]
        except OSError:  # there is no folder yet
            return []

    def _delete(self, *, keep: Sequence[Path]) -> None:
        for path in (*self._files(_NAME), *self._files(_LEFT_OVER)):
            if path not in keep:
                with suppress(OSError):
                    path.unlink()


def _header(metadata: Mapping[str, str] | None) -> _Header:
    try:
        return _Header.model_validate_json((metadata or {}).get("tenfold", ""))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"its header breaks a rule: {first['loc']}: {first['msg']}") from error


def training_identity(
    settings: Mapping[str, Any], network: nn.Module, parts: Sequence[Rows]
) -> str:
    """Return one hash of everything that a training's result depends on.

    Args:
        settings: The recipe, the seed and the numerics, as JSON values.
        network: As it is before the first step.
        parts: The training rows, and the validation rows if there are any.

    Returns:
        SHA-256, also over the versions of PyTorch and of the checkpoints.
    """
    versions = {"torch": torch.__version__, "checkpoint": CHECKPOINT_VERSION}
    digest = hashlib.sha256(canonical_json({**versions, **settings}).encode())
    tensors = list(network.state_dict().items())
    for number, part in enumerate(parts):
        tensors += [(f"images {number}", part.images), (f"codes {number}", part.codes)]
    for name, tensor in tensors:
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
