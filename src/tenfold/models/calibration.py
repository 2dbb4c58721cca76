"""Turning a classifier's scores into probabilities that mean what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from tenfold.errors import ModelInputError

Scores = npt.NDArray[np.floating[Any]]
Doubles = npt.NDArray[np.float64]
Kind = Literal["platt", "temperature"]

SMALLEST_PROBABILITY = 1e-7
_SMALLEST_SPREAD = 1e-100  # scores that differ by less say nothing, and their inverse overflows
_LARGEST_RATE = 1e6


@dataclass(frozen=True)
class Calibrator:
    """A map from scores to probabilities with one or two learned numbers.

    Args:
        kind: ``"platt"``: a sigmoid of one score (binary); ``"temperature"``: a softmax of k.
        slope: What Platt's sigmoid multiplies the score by.
        intercept: What it adds.
        temperature: What the scores are divided by before the softmax, above 0.

    >>> Calibrator("temperature").probabilities(np.zeros((1, 2)))
    array([[0.5, 0.5]])
    """

    kind: Kind
    slope: float = 1.0
    intercept: float = 0.0
    temperature: float = 1.0

    def probabilities(self, scores: Scores) -> Doubles:
        """Return ``(n, k)`` probabilities; each row sums to 1.

        Args:
            scores: ``(n,)`` for Platt, where larger means the second class; ``(n, k)`` for
                temperature, where the largest stays the most probable.

        Raises:
            ModelInputError: The scores have another number of dimensions.
        """
        values = np.asarray(scores, dtype=np.float64)
        wanted = 1 if self.kind == "platt" else 2
        if values.ndim != wanted:
            raise ModelInputError(
                f"A {self.kind} calibrator takes scores of {wanted} dimension(s); "
                f"got shape {values.shape}."
            )
        with np.errstate(over="ignore"):  # a score far out becomes probability 0 or 1
            if self.kind == "platt":
                second = _sigmoid(self.slope * values + self.intercept)
                return np.stack([1.0 - second, second], axis=1)
            return _softmax(values, 1.0 / self.temperature)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values that `from_dict` reads back."""
        if self.kind == "platt":
            return {"kind": "platt", "slope": self.slope, "intercept": self.intercept}
        return {"kind": "temperature", "temperature": self.temperature}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the calibrator that `to_dict` described."""
        return cls(**values)


def fit_calibrator(
    scores: Scores, y_index: npt.NDArray[np.integer[Any]], *, kind: Kind | None = None
) -> Calibrator:
    """Fit a calibrator on rows that the classifier has not learned from.

    Args:
        scores: ``(n,)`` or ``(n, k)``, from `raw_scores`.
        y_index: ``(n,)`` class indices, 0 to k - 1.
        kind: By default Platt's sigmoid for ``(n,)`` (Platt 1999, with the targets and the Newton
            method of Lin, Lin and Weng 2007) and temperature for ``(n, k)`` (Guo et al. 2017).
            Temperature takes Platt's idea of softened targets over: one more row is pretended to
            be spread over all classes, so that a classifier without a mistake on these rows does
            not become certain of everything.

    Returns:
        The fitted calibrator.

    Raises:
        ModelInputError: No rows, unequal lengths, or scores of another shape than `kind` takes.
    """
    values = np.asarray(scores, dtype=np.float64)
    codes = np.asarray(y_index)
    chosen = kind or ("platt" if values.ndim == 1 else "temperature")
    if values.ndim != (1 if chosen == "platt" else 2):
        raise ModelInputError(f"A {chosen} calibrator cannot take scores of shape {values.shape}.")
    if not len(values) or codes.shape != (len(values),):
        raise ModelInputError(
            "A calibrator needs one label for each score and at least one of them; "
            f"got {len(values)} scores and labels of shape {codes.shape}."
        )
    if chosen == "platt":
        slope, intercept = _fit_platt(values, codes == 1)
        return Calibrator("platt", slope=slope, intercept=intercept)
    return Calibrator("temperature", temperature=1.0 / _fit_rate(values, codes))


def raw_scores(estimator: Any, X: npt.ArrayLike) -> Doubles:
    """Return what a calibrator is fitted on and applied to.

    Args:
        estimator: Any fitted classifier.
        X: ``(n, height * width)`` pixels.

    Returns:
        The decision function of a margin model, ``(n,)`` or ``(n, k)``; else ``(n, k)`` logarithms
        of its probabilities, none below log(1e-7).
    """
    if hasattr(estimator, "decision_function"):
        return np.asarray(estimator.decision_function(X), dtype=np.float64)
    probabilities = np.asarray(estimator.predict_proba(X), dtype=np.float64)
    return np.log(np.clip(probabilities, SMALLEST_PROBABILITY, 1.0))


def _sigmoid(z: Doubles) -> Doubles:
    """Return 1 / (1 + exp(-z)) without overflow."""
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1.0, small) / (1.0 + small)


def _softmax(scores: Doubles, rate: float) -> Doubles:
    """Return the softmax of each row of ``rate * scores`` without overflow."""
    z = np.exp(rate * (scores - scores.max(axis=1, keepdims=True)))
    return np.asarray(z / z.sum(axis=1, keepdims=True), dtype=np.float64)


def _fit_platt(scores: Doubles, positive: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Return slope and intercept by Newton's method with halved steps."""
    n_positive = int(positive.sum())
    n_negative = len(scores) - n_positive
    high, low = (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2)
    targets = np.where(positive, high, low)
    scale = float(np.abs(scores).max())
    if scale < _SMALLEST_SPREAD:
        scale = 1.0
    design: Doubles = np.stack([scores / scale, np.ones(len(scores))], axis=1)
    weights: Doubles = np.array([0.0, np.log((n_positive + 1) / (n_negative + 1))])
    loss = _logistic_loss(design @ weights, targets)
    for _ in range(100):
        predicted = _sigmoid(design @ weights)
        gradient = design.T @ (predicted - targets)
        curvature = (design * (predicted * (1 - predicted))[:, None]).T @ design
        step = np.linalg.solve(curvature + 1e-12 * np.eye(2), gradient).astype(np.float64)
        better = _halved_step(design, targets, weights, step, loss)
        if better is None:
            break
        weights, loss = better
    return float(weights[0] / scale), float(weights[1])


def _halved_step(
    design: Doubles, targets: Doubles, weights: Doubles, step: Doubles, loss: float
) -> tuple[Doubles, float] | None:
    """Return the first of step, step / 2, step / 4 … that lowers the loss; None if none does."""
    for halvings in range(30):
        tried = weights - step / 2**halvings
        tried_loss = _logistic_loss(design @ tried, targets)
        if tried_loss < loss - 1e-12 * abs(loss):
            return tried, tried_loss
    return None


def _logistic_loss(z: Doubles, targets: Doubles) -> float:
    """Return the cross entropy between soft targets and sigmoid(z)."""
    return float((np.logaddexp(0.0, z) - targets * z).sum())


def _fit_rate(scores: Doubles, codes: npt.NDArray[Any]) -> float:
    """Return 1 / temperature, where the slope of the convex loss is zero."""
    n = len(scores)
    spread = float((scores.max(axis=1) - scores.min(axis=1)).mean())
    if spread < _SMALLEST_SPREAD:
        return 1.0
    centred = scores - scores.max(axis=1, keepdims=True)
    softness = 1 / (n + 1)
    true = centred[np.arange(n), codes]
    wanted = float(((1 - softness) * true + softness * centred.mean(axis=1)).mean())
    low, high = 1 / _LARGEST_RATE, _LARGEST_RATE
    for _ in range(80):
        middle = float(np.sqrt(low * high))
        expected = float((_softmax(centred, middle / spread) * centred).sum(axis=1).mean())
        low, high = (middle, high) if expected < wanted else (low, middle)
    return float(np.sqrt(low * high)) / spread
