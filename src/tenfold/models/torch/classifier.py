"""Networks as scikit-learn estimators."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from tenfold.config.network_params import (
    BnCnnParams,
    CnnParams,
    DeepCnnParams,
    FcnnParams,
    KerasCnnParams,
    MlpParams,
    PcaCnnParams,
    SimpleConvNetParams,
    VitParams,
)
from tenfold.errors import ModelInputError
from tenfold.models.base import Floats, ImageClassifier, OnReady, check_labels
from tenfold.models.torch.device import (
    check_processes,
    numerics,
    resolve_device,
    resolve_precision,
)
from tenfold.models.torch.plan import TrainingPlan
from tenfold.models.torch.ranks import train_in_ranks
from tenfold.models.torch.rows import Rows
from tenfold.models.torch.scores import predict_logits
from tenfold.models.torch.trainer import OnEpoch, OnSnapshot
from tenfold.models.torch.views import look_inside
from tenfold.pixels import Images, check_images


class NetworkClassifier(ImageClassifier):
    """Base of the networks; a subclass names its schema and its network.

    Attributes:
        network_: The trained module, from uint8 rows to logits, on `device_`.
        device_: Where it was trained and predicts.
        n_epochs_: The epoch whose weights it has.
        resumed_s_: Seconds of the training that were done before this fit took it up; 0: none.
    """

    settings = MappingProxyType(
        {**ImageClassifier.settings, "device": "auto", "precision": "auto", "processes": 1}
    )
    network: ClassVar[str]

    device: str
    precision: str
    processes: int
    epochs: int

    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        validation: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
        on_epoch: OnEpoch | None = None,
        checkpoints: Path | None = None,
        checkpoint_every_s: float = 30.0,
        snapshots: Mapping[int, OnSnapshot] | None = None,
    ) -> Self:
        """Learn from images and their labels; with ``processes`` over 1 in as many new processes.

        Args:
            X: ``(n, height * width)`` pixels, whole numbers 0 to 255 of any numeric type.
            y: ``(n,)`` labels: whole numbers or strings, at least two different ones.
            validation: Images and labels to report on after each epoch, and to stop early by where
                ``patience`` is set. Never learned from.
            on_epoch: Called after each epoch with its number, from 1, and train_loss,
                train_accuracy, train_precision, train_recall and train_f1, the last three means
                over the classes; with validation rows also val_loss to val_f1. A resumed training
                first calls it again for the epochs that are done.
            checkpoints: A folder for this training alone, where its state is kept after each epoch
                that took a second. The same fit with the same folder goes on from there, after a
                kill as after its end, and ends with the same weights, to the bit on one thread of
                one or two processes. Who gives the folder deletes it. None: nothing is kept.
            checkpoint_every_s: Seconds between two checkpoints within an epoch; 0: after each step.
            snapshots: By the number of an epoch before the last, who is given a copy of the network
                as it is after it, and the seconds of `resumed_s_`; in one process alone.

        Returns:
            The estimator itself.

        Raises:
            ModelInputError: The images or the labels break a rule.
            ConfigError: A parameter breaks a rule, or the device is not there.
            TrainingMemoryError: The memory is too small, even for a few images at a time.
            TrainingProcessError: One of the processes failed; the others were ended.
        """
        params = self._checked_params()
        images, codes = self._start_fit(X, y)
        self.device_ = resolve_device(self.device)
        check_processes(self.device_, self.processes)
        if snapshots and self.processes > 1:
            raise ModelInputError(
                f"processes is {self.processes}: snapshots are taken by one; set it to 1."
            )
        plan = TrainingPlan(
            network=self.network,
            params=params,
            image_shape=self._shape(),
            n_classes=len(self.classes_),
            seed=int(self.seed),
            threads=int(self.threads),
            device=self.device_.type,
            precision=str(resolve_precision(self.device_, self.precision)).removeprefix("torch."),
            processes=int(self.processes),
            checkpoints=None if checkpoints is None else str(checkpoints),
            checkpoint_every_s=float(checkpoint_every_s),
        )
        rows = self._rows(images, codes)
        held = None if validation is None else self._validation_rows(*validation)
        run = functools.partial(train_in_ranks, plan)
        if plan.processes == 1:
            run = functools.partial(plan.run, snapshots=snapshots)
        trained = run(rows, held, on_epoch=on_epoch)
        self.network_, self.n_epochs_ = trained.network, trained.n_epochs
        self.resumed_s_ = trained.resumed_s
        if params.patience is not None and held is not None:
            self.chosen_ = {"epochs": self.n_epochs_}
        return self

    def fit_path(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        smaller: Sequence[Self],
        *,
        on_ready: OnReady,
        **options: Any,
    ) -> Self:
        """Train for the most epochs, and give out a network on the way after each of the others.

        Args:
            X: As for `fit`.
            y: As for `fit`.
            smaller: As for `ImageClassifier.fit_path`.
            on_ready: As there. A fit that was killed meanwhile gives these estimators out again.
            options: More arguments of `fit`.

        Returns:
            The estimator itself.

        Raises:
            ModelInputError: Also where an epoch depends on how many are still to come, or on
                validation rows.
        """
        params = self._checked_params()
        if params.schedule != "constant" or params.patience is not None:
            raise ModelInputError(
                "Trainings of different length are one only with schedule='constant' and "
                f"patience=None; got {params.schedule!r} and {params.patience!r}. "
                "Fit each on its own."
            )

        def hand_over(estimator: Self, network: nn.Module, resumed_s: float) -> None:
            self._teach(estimator)
            estimator.network_, estimator.n_epochs_ = network, int(estimator.epochs)
            estimator.resumed_s_ = resumed_s
            on_ready([estimator])

        snapshots = {int(each.epochs): functools.partial(hand_over, each) for each in smaller}
        self.fit(X, y, **options, snapshots=snapshots)
        on_ready([self])
        return self

    def predict_proba(self, X: npt.ArrayLike) -> Floats:
        """Return the probability of each class; see `ImageClassifier.predict_proba`.

        Raises:
            ModelInputError: As there.
            TrainingMemoryError: The memory is too small, even for one image at a time.
        """
        images = self._tensor(self._seen_images(X))
        with numerics(self.device_, threads=self.threads, seed=self.seed):
            logits = predict_logits(self.network_, images)
            probabilities: Floats = torch.softmax(logits.cpu().double(), dim=1).numpy()
        return probabilities

    def look_inside(self, X: npt.ArrayLike) -> Mapping[str, Any]:
        """Return first-layer filters and maps of attention, whichever the network has.

        Args:
            X: ``(n, height * width)`` pixels of the images to pay attention to, n at least 1,
                whole numbers 0 to 255 of any numeric type.

        Returns:
            By their names, as `tenfold.models.torch.views.look_inside` tells them.

        Raises:
            ModelInputError: The images break a rule.
        """
        images = self._tensor(self._seen_images(X))
        with numerics(self.device_, threads=self.threads, seed=self.seed):
            return look_inside(self.network_, images, self._shape())

    def _shape(self) -> tuple[int, int]:
        """Return height and width; without `image_shape` the images must be square."""
        if self.image_shape is not None:
            height, width = self.image_shape
            return int(height), int(width)
        side = math.isqrt(self.n_features_in_)
        if side * side != self.n_features_in_:
            raise ModelInputError(
                f"{self.n_features_in_} pixels are no square image; "
                "pass image_shape=(height, width)."
            )
        return side, side

    def _tensor(self, images: Images) -> torch.Tensor:
        """Return images on the device."""
        writable = images if images.flags.writeable else images.copy()
        return torch.from_numpy(np.ascontiguousarray(writable)).to(self.device_)

    def _rows(self, images: Images, codes: npt.NDArray[np.int64]) -> Rows:
        """Return images and class indices on the device."""
        return Rows(self._tensor(images), torch.from_numpy(codes).to(self.device_))

    def _validation_rows(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Rows:
        """Return checked validation rows on the device."""
        images = self._seen_images(check_images(X))
        labels = check_labels(y, len(images))
        codes = np.searchsorted(self.classes_, labels).clip(max=len(self.classes_) - 1)
        unknown = labels[self.classes_[codes] != labels]
        if len(unknown):
            raise ModelInputError(
                f"Validation rows hold the label {unknown[0]!r}, which no training row has; "
                "split by class so that every class is trained on."
            )
        return self._rows(images, codes.astype(np.int64))


class MlpClassifier(NetworkClassifier, schema=MlpParams):
    """Multi-layer perceptron."""

    network = "mlp"


class KerasCnnClassifier(NetworkClassifier, schema=KerasCnnParams):
    """The classic Keras network of two convolutions and one dense layer."""

    network = "keras_cnn"


class CnnClassifier(NetworkClassifier, schema=CnnParams):
    """The small, fast convolutional network."""

    network = "cnn"


class FcnnClassifier(NetworkClassifier, schema=FcnnParams):
    """Two dense layers with dropout."""

    network = "fcnn"


class SimpleConvNetClassifier(NetworkClassifier, schema=SimpleConvNetParams):
    """The classic PyTorch network of two convolutions and one dense layer."""

    network = "simple_conv_net"


class BnCnnClassifier(NetworkClassifier, schema=BnCnnParams):
    """Two convolutions with batch norm and one dense layer."""

    network = "bn_cnn"


class PcaCnnClassifier(NetworkClassifier, schema=PcaCnnParams):
    """The small convolutional network on images rebuilt from principal components."""

    network = "pca_cnn"


class DeepCnnClassifier(NetworkClassifier, schema=DeepCnnParams):
    """The residual convolutional network."""

    network = "deep_cnn"


class VitClassifier(NetworkClassifier, schema=VitParams):
    """The vision transformer."""

    network = "vit"
