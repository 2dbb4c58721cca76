"""Multinomial logistic regression: one run answers every number of iterations."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.optimize import OptimizeResult, minimize
from sklearn.base import BaseEstimator
from threadpoolctl import threadpool_limits

from tenfold.config.params import LogisticRegressionParams
from tenfold.models.base import Codes, Floats, OnReady
from tenfold.models.classical import ClassicalClassifier
from tenfold.pixels import Images

Doubles = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]

# Pixels of a block become floats within a core's cache. Parts are added up in their order, so that
# the result does not depend on the threads.
_BLOCK_ROWS = 256
_PART_ROWS = 4096
# As in scikit-learn.
_OPTIONS = {"maxls": 50, "gtol": 1e-4, "ftol": 64 * np.finfo(np.float64).eps}


class LogisticRegressionClassifier(ClassicalClassifier, schema=LogisticRegressionParams):
    """Multinomial logistic regression with an L2 penalty, by L-BFGS."""

    max_iter: int
    _smaller: Sequence[SoftmaxRegression] = ()

    def fit_path(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        smaller: Sequence[Self],
        *,
        on_ready: OnReady,
    ) -> Self:
        """Take fewer iterations out of the longest run; see `ImageClassifier.fit_path`."""
        params = self._checked_params()
        shorter = [
            self._make(params.model_copy(update={"max_iter": one.max_iter})) for one in smaller
        ]
        self._smaller = shorter
        try:
            self.fit(X, y)
        finally:
            del self._smaller
        for one, model in zip(smaller, shorter, strict=True):
            self._teach(one)
            one.model_ = model
        on_ready([*smaller, self])
        return self

    def _make(self, params: Any) -> Any:
        return SoftmaxRegression(params.C, params.max_iter, self.threads)

    def _fit_model(self, features: Floats, codes: Codes) -> None:
        fit_stops([*self._smaller, self.model_], features, codes)

    def _features(self, images: Images) -> Any:
        return images if self.pca_ is None else super()._features(images)


class SoftmaxRegression(BaseEstimator):
    """Weights that minimise the cross-entropy plus an L2 penalty, as scikit-learn has them.

    Args:
        C: Inverse strength of the penalty.
        max_iter: Most iterations.
        threads: Threads of a fit; the result does not depend on it.

    Attributes:
        coef_: ``(n_classes, n_features)``; of two classes one row, for the second. For uint8
            features these are weights of pixels of 0..1.
        intercept_: One for each row.
        n_iter_: Iterations that were done.
    """

    def __init__(self, C: float = 1.0, max_iter: int = 100, threads: int = 1) -> None:
        self.C = C
        self.max_iter = max_iter
        self.threads = threads

    def fit(self, features: Floats | Images, codes: Codes) -> Self:
        """Learn from pixels or other features, and class indices, 0 to k - 1, each there."""
        fit_stops([self], features, codes)
        return self

    def predict_proba(self, features: Floats | Images) -> Doubles:
        """Return ``(n, n_classes)``."""
        weights = self.coef_ / _unit(features)
        scores = features.astype(np.float64) @ weights.T + self.intercept_
        if len(weights) == 1:
            scores = np.column_stack([np.zeros(len(scores)), scores])
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        return np.asarray(scores / scores.sum(axis=1, keepdims=True))


def fit_stops(models: Sequence[SoftmaxRegression], features: Floats | Images, codes: Codes) -> None:
    """Fit models that differ in `max_iter` alone by one run, at whose iterations they stop.

    An iteration of L-BFGS does not depend on how many may follow, so each model gets the weights
    that a run of its own would have ended with, to the bit.

    Args:
        models: At least one; the last has the largest `max_iter`.
        features: ``(n, n_features)``.
        codes: ``(n,)`` class indices, 0 to k - 1, each of them there.
    """
    last = models[-1]
    wanted = {model.max_iter for model in models}
    stops: dict[int, Doubles] = {}
    numbers = itertools.count(1)

    def note(intermediate_result: OptimizeResult) -> None:
        number = next(numbers)
        if number in wanted:
            stops[number] = intermediate_result.x.copy()

    with threadpool_limits(limits=1), ThreadPoolExecutor(last.threads) as pool:
        loss = _Loss(features, codes, last.C, pool)
        found = minimize(
            loss,
            loss.start(),
            jac=True,
            method="L-BFGS-B",
            callback=note,
            options={"maxiter": last.max_iter, **_OPTIONS},
        )
    for model in models:
        model.n_iter_ = min(model.max_iter, int(found.nit))
        model.coef_, model.intercept_ = loss.split(stops.get(model.max_iter, found.x))


class _Loss:
    """Mean cross-entropy plus penalty, and its gradient.

    Args:
        features: ``(n, n_features)``; what is 0 in every row is left out, its weight stays 0.
        codes: ``(n,)`` class indices.
        C: Inverse strength of the penalty on the sum over all rows.
        pool: Computes the parts.
    """

    def __init__(self, features: Floats | Images, codes: Codes, C: float, pool: Executor) -> None:
        self._used = np.flatnonzero(features.any(axis=0))
        self._table = features.take(self._used, axis=1)
        self._n_features, self._unit = features.shape[1], _unit(features)
        self._codes, self._pool = codes, pool
        n_classes = int(codes.max()) + 1
        self._n_rows = 1 if n_classes == 2 else n_classes
        self._penalty = 1 / (C * len(codes))

    def start(self) -> Doubles:
        """Return weights of nothing."""
        return np.zeros(self._n_rows * (len(self._used) + 1))

    def split(self, weights: Doubles) -> tuple[Doubles, Doubles]:
        """Return the coefficients of all features, and the intercepts."""
        rows = weights.reshape(self._n_rows, -1)
        coefficients = np.zeros((self._n_rows, self._n_features))
        coefficients[:, self._used] = rows[:, :-1]
        return coefficients, rows[:, -1].copy()

    def __call__(self, weights: Doubles) -> tuple[float, Doubles]:
        """Return loss and gradient."""
        rows = weights.reshape(self._n_rows, -1)
        slopes = (rows[:, :-1] / self._unit).astype(np.float32).T
        part = partial(self._part, slopes, rows[:, -1].astype(np.float32))
        n = len(self._codes)
        loss, gradient = 0.0, np.zeros_like(rows)
        for part_loss, part_gradient in self._pool.map(part, range(0, n, _PART_ROWS)):
            loss += part_loss
            gradient += part_gradient
        gradient[:, :-1] /= self._unit
        gradient /= n
        gradient[:, :-1] += self._penalty * rows[:, :-1]
        return loss / n + self._penalty / 2 * float((rows[:, :-1] ** 2).sum()), gradient.ravel()

    def _part(self, slopes: Single, intercepts: Single, start: int) -> tuple[float, Doubles]:
        """Return the sums over the rows of a part."""
        loss, gradient = 0.0, np.zeros((self._n_rows, len(slopes) + 1))
        stop = min(start + _PART_ROWS, len(self._codes))
        for first in range(start, stop, _BLOCK_ROWS):
            block = slice(first, min(first + _BLOCK_ROWS, stop))
            features = self._table[block].astype(np.float32)
            scores = features @ slopes + intercepts
            block_loss, residuals = _cross_entropy(scores, self._codes[block])
            loss += block_loss
            gradient[:, :-1] += residuals.T @ features
            gradient[:, -1] += residuals.sum(axis=0)
        return loss, gradient


def _cross_entropy(scores: Single, codes: Codes) -> tuple[float, Single]:
    """Return the sum of the losses, and by how much each probability is too large."""
    if scores.shape[1] == 1:  # Of two classes the first scores 0.
        scores = np.column_stack([np.zeros_like(scores), scores])
        loss, residuals = _cross_entropy(scores, codes)
        return loss, residuals[:, 1:]
    rows = np.arange(len(scores))
    scores -= scores.max(axis=1, keepdims=True)
    right = scores[rows, codes].sum(dtype=np.float64)
    np.exp(scores, out=scores)
    totals = scores.sum(axis=1, keepdims=True)
    scores /= totals
    scores[rows, codes] -= 1
    return float(np.log(totals).sum(dtype=np.float64) - right), scores


def _unit(features: Floats | Images) -> float:
    """Return what a feature's 1 is in the numbers that it is given in."""
    return 255.0 if features.dtype == np.uint8 else 1.0
