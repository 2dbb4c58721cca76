"""Votes of the k nearest training images, found exactly: scikit-learn's labels, ties included."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.neighbors import KNeighborsClassifier

from tenfold.config.params import KnnParams
from tenfold.errors import ModelInputError
from tenfold.models.base import Codes, Floats, OnReady
from tenfold.models.classical import ClassicalClassifier
from tenfold.models.nearest import Neighbors, PixelIndex
from tenfold.pixels import Images


class KnnClassifier(ClassicalClassifier, schema=KnnParams):
    """Vote of the k nearest training images by Euclidean distance on raw pixels.

    Gives the labels of scikit-learn's ``KNeighborsClassifier(algorithm="brute")`` on the same
    pixels in float64, ties included. With ``pca`` the search is scikit-learn's own, on the
    principal components.
    """

    def _make(self, params: Any) -> Any:
        if params.pca is None:
            return ExactNeighbors(params.n_neighbors, params.weights, self.threads)
        return KNeighborsClassifier(params.n_neighbors, weights=params.weights, algorithm="brute")

    def fit_path(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        smaller: Sequence[Self],
        *,
        on_ready: OnReady,
    ) -> Self:
        """Keep the images once for all; see `ImageClassifier.fit_path`."""
        self.fit(X, y)
        for estimator in smaller:
            self._teach(estimator)
            estimator.model_ = copy.copy(self.model_).set_params(n_neighbors=estimator.n_neighbors)
        on_ready([*smaller, self])
        return self

    @classmethod
    def predict_proba_each(cls, estimators: Sequence[Self], X: npt.ArrayLike) -> list[Floats]:
        """Search once for all; see `ImageClassifier.predict_proba_each`.

        Where the search is scikit-learn's own, or the estimators do not share their images, each
        searches for itself.
        """
        first, *rest = (estimator.model_ for estimator in estimators)
        index = getattr(first, "index_", None)
        if index is None or any(getattr(model, "index_", None) is not index for model in rest):
            return super().predict_proba_each(estimators, X)
        ks = [model.n_neighbors for model in (first, *rest)]
        images = estimators[0]._seen_images(X)  # noqa: SLF001  # of this very class
        found = index.search(images, ks, threads=first.threads)
        return [model.votes(found[k]) for k, model in zip(ks, (first, *rest), strict=True)]

    def _fit_model(self, features: Floats, codes: Codes) -> None:
        n_neighbors = self.model_.n_neighbors
        if n_neighbors > len(features):
            raise ModelInputError(
                f"n_neighbors is {n_neighbors} and there are only {len(features)} training "
                "images; ask for fewer neighbours."
            )
        super()._fit_model(features, codes)

    def _features(self, images: Images) -> Any:
        return images if self.pca_ is None else super()._features(images)


class ExactNeighbors(BaseEstimator):
    """Votes of the k nearest rows of uint8 pixels.

    Args:
        n_neighbors: Neighbours that vote, at least 1.
        weights: ``"uniform"``, or ``"distance"`` for votes by inverse distance.
        threads: Threads of a search.

    Attributes:
        images_: ``(n, n_pixels)`` training rows.
        codes_: ``(n,)`` their class indices.
        n_classes_: Columns of the probabilities.
        index_: Finds the nearest of the training rows.
    """

    def __init__(
        self, n_neighbors: int, weights: Literal["uniform", "distance"], threads: int = 1
    ) -> None:
        self.n_neighbors = n_neighbors
        self.weights = weights
        self.threads = threads

    def fit(self, images: Images, codes: Codes) -> Self:
        """Keep the rows and their class indices, 0 to k - 1."""
        self.images_, self.codes_ = images.copy(), codes
        self.n_classes_ = int(codes.max()) + 1
        self.index_ = PixelIndex(self.images_)
        return self

    def predict_proba(self, images: Images) -> Floats:
        """Return ``(n, n_classes)``: the share of the votes that each class got."""
        k = self.n_neighbors
        return self.votes(self.index_.search(images, (k,), threads=self.threads)[k])

    def votes(self, neighbors: Neighbors) -> Floats:
        """Return ``(n, n_classes)``: the share of these neighbours' votes that each class got."""
        rows = neighbors.rows
        each = _weights(neighbors) if self.weights == "distance" else np.ones(rows.shape)
        shares = np.zeros((len(rows), self.n_classes_))
        for place in range(rows.shape[1]):
            shares[np.arange(len(rows)), self.codes_[rows[:, place]]] += each[:, place]
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def _weights(neighbors: Neighbors) -> npt.NDArray[np.float64]:
    """Return the inverse distances; where some are zero, those alone vote."""
    far = np.sqrt(neighbors.squared.astype(np.float64))
    same = far == 0
    with np.errstate(divide="ignore"):
        return np.where(same.any(axis=1, keepdims=True), same.astype(np.float64), 1 / far)
