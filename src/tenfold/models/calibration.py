"""Turning a classifier's scores into probabilities that mean what they say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from tenfold.errors import ModelInputError

Scores = npt.NDArray[np.floating[Any]]
Doubles = npt.NDArray[np.float64]
Kind = Literal["platt", "temperature", "probabilities"]

_SMOOTHINGS = (1e-6, 1e-4, 1e-3, 1e-2, 1e-1)  # in shares of 1 / k
_LARGEST_POWER = 1e3  # larger ones would make answers out of the rounding of probabilities
_SMALLEST_SPREAD = 1e-100  # scores that differ by less say nothing, and their inverse overflows
_LARGEST_RATE = 1e6


@dataclass(frozen=True)
class Calibrator:
    """A map from scores to probabilities with one or two learned numbers.

    Args:
        kind: ``"platt"``: a sigmoid of one score (binary); ``"temperature"``: a softmax of k;
            ``"probabilities"``: of k probabilities, a softmax of their logarithms.
        slope: What Platt's sigmoid multiplies the score by.
        intercept: What it adds.
        temperature: What scores or logarithms are divided by before the softmax, above 0.
        smoothing: What is added to each probability, above 0 (Laplace): where no neighbour or tree
            votes for a class, that does not rule it out.

    >>> Calibrator("temperature").probabilities(np.zeros((1, 2)))
    array([[0.5, 0.5]])
    """

    kind: Kind
    slope: float = 1.0
    intercept: float = 0.0
    temperature: float = 1.0
    smoothing: float = 1e-7

    def probabilities(self, scores: Scores) -> Doubles:
        """Return ``(n, k)`` probabilities; each row sums to 1.

        Args:
            scores: ``(n,)`` for Platt, where larger means the second class; else ``(n, k)``, where
                the largest stays the most probable.

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
            if self.kind == "probabilities":
                values = _logarithms(values, self.smoothing)
            return _softmax(values, 1.0 / self.temperature)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values that `from_dict` reads back."""
        if self.kind == "platt":
            return {"kind": "platt", "slope": self.slope, "intercept": self.intercept}
        found = {"kind": self.kind, "temperature": self.temperature}
        return found if self.kind == "temperature" else found | {"smoothing": self.smoothing}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the calibrator that `to_dict` described."""
        return cls(**values)


def fit_calibrator(
    scores: Scores, y_index: npt.NDArray[np.integer[Any]], *, kind: Kind | None = None
) -> Calibrator:
    """Fit a calibrator on rows that the classifier has not learned from.

    Args:
        scores: ``(n,)`` or ``(n, k)`` margins, or with that `kind` ``(n, k)`` probabilities;
            `calibrate` knows which ones an estimator gives.
        y_index: ``(n,)`` class indices, 0 to k - 1.
        kind: By default Platt's sigmoid for ``(n,)`` (Platt 1999, with the targets and the Newton
            method of Lin, Lin and Weng 2007) and temperature for ``(n, k)`` (Guo et al. 2017).
            Temperature takes Platt's idea of softened targets over: one more row is pretended to
            be spread over all classes, so that a classifier without a mistake on these rows does
            not become certain of everything. Of ``"probabilities"`` the smoothing is learned, too:
            of five between a millionth and a tenth of 1 / k that with the smallest loss.

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
    if chosen == "temperature":
        return Calibrator("temperature", temperature=1.0 / _fit_rate(values, codes)[0])
    tried = []
    for smoothing in np.array(_SMOOTHINGS) / values.shape[1]:
        logarithms = _logarithms(values, smoothing)
        rate, loss = _fit_rate(logarithms, codes, largest=_LARGEST_POWER)
        tried.append((loss, float(smoothing), 1.0 / rate))
    _, smoothing, temperature = min(tried)
    return Calibrator("probabilities", temperature=temperature, smoothing=smoothing)


def calibrate(
    estimator: Any, X: npt.ArrayLike, y_index: npt.NDArray[np.integer[Any]]
) -> Calibrator:
    """Fit the calibrator that an estimator's scores take, on rows that it has not learned from.

    Args:
        estimator: Any fitted classifier.
        X: ``(n, height * width)`` pixels.
        y_index: ``(n,)`` class indices, 0 to k - 1.

    Returns:
        A calibrator of `raw_scores`.

    Raises:
        ModelInputError: No rows, or unequal lengths.
    """
    kind: Kind | None = None if gives_margins(estimator) else "probabilities"
    return fit_calibrator(raw_scores(estimator, X), y_index, kind=kind)


def gives_margins(estimator: Any) -> bool:
    """Say whether only a calibrator makes probabilities of what the estimator gives."""
    return hasattr(estimator, "calibrator_") or (
        hasattr(estimator, "decision_function") and not hasattr(estimator, "predict_proba")
    )


def raw_scores(estimator: Any, X: npt.ArrayLike) -> Doubles:
    """Return what a calibrator is fitted on and applied to.

    Args:
        estimator: Any fitted classifier.
        X: ``(n, height * width)`` pixels.

    Returns:
        The decision function of a margin model, ``(n,)`` or ``(n, k)``; else the ``(n, k)``
        probabilities that it gives itself.
    """
    score = estimator.decision_function if gives_margins(estimator) else estimator.predict_proba
    return np.asarray(score(X), dtype=np.float64)


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


def _logarithms(probabilities: Doubles, smoothing: float) -> Doubles:
    """Return those of rows of sum 1 and something more."""
    return np.asarray(np.log(probabilities / probabilities.sum(axis=1, keepdims=True) + smoothing))


def _fit_rate(
    scores: Doubles, codes: npt.NDArray[Any], largest: float = math.inf
) -> tuple[float, float]:
    """Return 1 / temperature, at most the largest, and the loss there, which is convex in it.

    Newton's method on the slope of the loss; where a step leaves what is known to hold the root,
    that is halved instead.
    """
    n = len(scores)
    spread = float((scores.max(axis=1) - scores.min(axis=1)).mean())
    if spread < _SMALLEST_SPREAD:
        return 1.0, math.log(scores.shape[1])
    centred = scores - scores.max(axis=1, keepdims=True)
    softness = 1 / (n + 1)
    true = centred[np.arange(n), codes]
    wanted = float(((1 - softness) * true + softness * centred.mean(axis=1)).mean())
    low, high = 1 / (_LARGEST_RATE * spread), min(_LARGEST_RATE / spread, largest)
    rate = math.sqrt(low * high)
    for _ in range(100):
        weighted = _softmax(centred, rate) * centred
        means = weighted.sum(axis=1)
        slope = float(means.mean()) - wanted
        low, high = (rate, high) if slope < 0 else (low, rate)
        curvature = float(((weighted * centred).sum(axis=1) - means**2).mean())
        newton = rate - slope / curvature if curvature > 0 else low
        before, rate = rate, newton if low < newton < high else math.sqrt(low * high)
        if abs(rate - before) <= 1e-12 * rate:
            break
    return rate, float(np.log(np.exp(rate * centred).sum(axis=1)).mean()) - rate * wanted
