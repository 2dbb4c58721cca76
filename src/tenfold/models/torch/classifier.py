"""Networks as scikit-learn estimators."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch

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
from tenfold.models.base import Floats, ImageClassifier, Images, check_images, check_labels
from tenfold.models.torch.augment import make_augment
from tenfold.models.torch.device import numerics, resolve_device, resolve_precision
from tenfold.models.torch.networks import build_network, fit_components
from tenfold.models.torch.trainer import OnEpoch, Rows, predict_logits, train

# The order of the images and their augmentation draw from generators of different seeds.
_AUGMENT_SEEDS = 2**32


class NetworkClassifier(ImageClassifier):
    """Base of the networks; a subclass names its schema and its network.

    Attributes:
        network_: The trained module, from uint8 rows to logits, on `device_`.
        device_: Where it was trained and predicts.
        n_epochs_: The epoch whose weights it has.
    """

    settings = MappingProxyType({**ImageClassifier.settings, "device": "auto", "precision": "auto"})
    network: ClassVar[str]

    device: str
    precision: str

    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        validation: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
        on_epoch: OnEpoch | None = None,
    ) -> Self:
        """Learn from images and their labels.

        Args:
            X: ``(n, height * width)`` pixels, whole numbers 0 to 255 of any numeric type.
            y: ``(n,)`` labels: whole numbers or strings, at least two different ones.
            validation: Images and labels to report on after each epoch, and to stop early by where
                ``patience`` is set. Never learned from.
            on_epoch: Called after each epoch with its number, from 1, and train_loss,
                train_accuracy and, with validation rows, val_loss, val_accuracy, val_precision,
                val_recall and val_f1, the last three means over the classes.

        Returns:
            The estimator itself.

        Raises:
            ModelInputError: The images or the labels break a rule.
            ConfigError: A parameter breaks a rule, or the device is not there.
        """
        params = self._checked_params()
        images, codes = self._start_fit(X, y)
        shape = self._shape()
        self.device_ = resolve_device(self.device)
        precision = resolve_precision(self.device_, self.precision)
        rows = self._rows(images, codes)
        held = None if validation is None else self._validation_rows(*validation)
        with numerics(self.device_, threads=self.threads, seed=self.seed):
            network = build_network(self.network, params, shape, len(self.classes_))
            self.network_ = network.to(self.device_)
            fit_components(self.network_, rows.images)
            self.n_epochs_ = train(
                self.network_,
                rows,
                params,
                generator=torch.Generator().manual_seed(self.seed),
                precision=precision,
                augment=make_augment(params, rows.images, shape, seed=_AUGMENT_SEEDS + self.seed),
                validation=held,
                on_epoch=on_epoch,
            )
        if params.patience is not None and held is not None:
            self.chosen_ = {"epochs": self.n_epochs_}
        return self

    def predict_proba(self, X: npt.ArrayLike) -> Floats:
        """Return the probability of each class; see `ImageClassifier.predict_proba`."""
        images = self._tensor(self._seen_images(X))
        with numerics(self.device_, threads=self.threads, seed=self.seed):
            logits = predict_logits(self.network_, images)
            probabilities: Floats = torch.softmax(logits.double().cpu(), dim=1).numpy()
        return probabilities

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
