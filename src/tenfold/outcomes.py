"""From fitted estimators to what is kept of each: record, predictions, views, graph."""

from __future__ import annotations

import json
import logging
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.data import Split
from tenfold.errors import ExportError, ModelInputError
from tenfold.exporting import FitExport
from tenfold.files import write_text
from tenfold.graphs import FittedGraph
from tenfold.heap import give_back
from tenfold.models import Calibrator, gives_margins, model_bytes
from tenfold.records import Floats, Predictions, Views, fault_of

logger = logging.getLogger(__name__)

Rows = np.ndarray[Any, Any]

_LEAST_SCORE = -1e6
_MOST_LOOKED_AT = 10
_TIMED_IMAGES, _TIMED_CALLS = 1000, 5


@dataclass(frozen=True, eq=False)
class Fitted:
    """One estimator of a fit, before its test rows are predicted.

    Args:
        estimator: It.
        fit_s: Seconds until it was ready.
        fit_rows: Development rows that the fit saw.
        fitted_with: Keys of the trials that the fit answers.
        history: Per step, what the fit reported.
        chosen: Decisions that a refit repeats.
        calibrator: What makes probabilities of its scores; None: they are taken as they are.
        validation: Probabilities of the validation rows; None for a refit of what was fitted on
            the training rows.
        limits: For a refit, the limits of outliers that the train fit found.
    """

    estimator: Any
    fit_s: float
    fit_rows: Rows
    fitted_with: Sequence[str]
    history: Sequence[Mapping[str, float]] = ()
    chosen: Mapping[str, Any] = field(default_factory=dict)
    calibrator: Calibrator | None = None
    validation: Floats | None = None
    limits: Mapping[str, Any] | None = None

    def probabilities(self, scores: Floats) -> Floats:
        """Return probabilities of what `scores_of_each` returned.

        A class that the fit never saw stays impossible.
        """
        if self.calibrator is None:
            return scores
        found = self.calibrator.probabilities(scores)
        unseen = np.setdiff1d(np.arange(found.shape[1]), self.estimator.classes_)
        if unseen.size:
            found[:, unseen] = 0.0
            found /= found.sum(axis=1, keepdims=True)
        return found


@dataclass(frozen=True, eq=False)
class Outcome:
    """What is kept of a trial.

    Args:
        record: Fields of its ``trial.json``.
        predictions: Of validation and test rows.
        views: What a network shows of itself.
        graph: None where it has none; the record tells why.
    """

    record: Mapping[str, Any]
    predictions: Predictions
    views: Views | None
    graph: FittedGraph | None

    def write(self, folder: Path, graphs: Path) -> None:
        """Write everything; ``trial.json`` last, so that a folder that has it is complete.

        Args:
            folder: Of the trial.
            graphs: Where its graph goes.

        Raises:
            StorageError: A file cannot be written.
        """
        if self.graph is not None:
            self.graph.write(graphs)
        self.predictions.write(folder / "predictions.npz")
        if self.views is not None:
            self.views.write(folder / "views.npz")
        write_text(folder / "trial.json", json.dumps(self.record, indent=1))


def outcomes_of(fits: Sequence[Fitted], split: Split, *, timed: bool = False) -> Iterator[Outcome]:
    """Predict the test rows and give each fit's outcome, one after the other.

    Args:
        fits: Those of estimators that were ready together. Each is said to need for its predictions
            what all of them needed together.
        split: The data.
        timed: Measure the latency, too.
    """
    images = split.test.images
    started = time.perf_counter()
    scores = scores_of_each([fit.estimator for fit in fits], images, len(split.class_names))
    shared_s = time.perf_counter() - started
    give_back()
    for fit, given in zip(fits, scores, strict=True):
        started = time.perf_counter()
        # What is no probability stays as it is, for whoever checks what is kept to tell.
        usable = gives_margins(fit.estimator) or fault_of(given) is None
        test = fit.probabilities(given) if usable else given
        predict_s = shared_s + time.perf_counter() - started
        outcome = _outcome(fit, split, test, 1e6 * predict_s / len(images))
        if timed:
            latency = {"latency_us_per_image": _latency(fit, split)}
            outcome = replace(outcome, record={**outcome.record, **latency})
        yield outcome


def _latency(fit: Fitted, split: Split) -> float:
    """Return the microseconds that a prediction takes an image: the median of several calls.

    Each is of the same select images; the first call is not counted.
    """
    rows = split.validation_rows[split.select][:_TIMED_IMAGES]
    images, n_classes, seconds = split.images[rows], len(split.class_names), []
    for _ in range(1 + _TIMED_CALLS):
        started = time.perf_counter()
        (scores,) = scores_of_each([fit.estimator], images, n_classes)
        fit.probabilities(scores)
        seconds.append(time.perf_counter() - started)
    return 1e6 * statistics.median(seconds[1:]) / len(images)


def outcome_of_folds(fit: Fitted, split: Split, rounds: Sequence[Mapping[str, float]]) -> Outcome:
    """Give the outcome of cross-validation alone: held-out predictions and the rounds' seconds.

    Args:
        fit: The last round's, with the predictions of all.
        split: The data.
        rounds: ``fit_s`` and ``score_s`` of each round.
    """
    record = {
        "fit_s": sum(found["fit_s"] for found in rounds),
        "predict_us_per_image": 1e6
        * sum(found["score_s"] for found in rounds)
        / len(split.validation_rows),
        "model_bytes": 0,
        "fit_rows": len(fit.fit_rows),
        "fitted_with": list(fit.fitted_with),
        "chosen": dict(fit.chosen),
        "calibration": fit.calibrator.to_dict() if fit.calibrator else None,
        "history": [],
        "outlier": None,
        "export_error": "cross-validation leaves no model",
        "rounds": list(rounds),
    }
    nothing = np.empty((0, len(split.class_names)))
    return Outcome(record, Predictions(fit.validation, nothing), None, None)


def scores_of_each(estimators: Sequence[Any], images: Rows, n_classes: int) -> list[Floats]:
    """Return what a calibrator is fitted on: margins, or of other estimators probabilities.

    Args:
        estimators: Of one class, ready together.
        images: ``(n, height * width)`` uint8.
        n_classes: Classes of the data, of which a fit may not have seen some.

    Returns:
        For each ``(n, n_classes)``, or ``(n,)`` margins of two classes.

    Raises:
        ModelInputError: The estimators give neither.
    """
    first = estimators[0]
    if gives_margins(first):
        margins = (
            np.asarray(one.decision_function(images), dtype=np.float64) for one in estimators
        )
        return [
            scores if scores.ndim == 1 else _aligned(one, scores, n_classes, _LEAST_SCORE)
            for one, scores in zip(estimators, margins, strict=True)
        ]
    if not hasattr(first, "predict_proba"):
        raise ModelInputError(
            f"{type(first).__name__} has neither predict_proba nor decision_function; "
            "an own estimator needs one of them"
        )
    if len(estimators) == 1:
        found = [first.predict_proba(images)]
    else:
        found = type(first).predict_proba_each(estimators, images)
    return [
        _aligned(one, np.asarray(scores), n_classes, 0.0)
        for one, scores in zip(estimators, found, strict=True)
    ]


def _aligned(estimator: Any, scores: Floats, n_classes: int, missing: float) -> Floats:
    """Return one column per class of the data, also for classes that the fit never saw."""
    full = np.full((len(scores), n_classes), missing, dtype=np.float64)
    full[:, np.asarray(estimator.classes_, dtype=np.intp)] = scores
    return full


def _outcome(fit: Fitted, split: Split, test: Floats, predict_us_per_image: float) -> Outcome:
    estimator = fit.estimator

    def probabilities(images: Rows) -> Floats:
        (scores,) = scores_of_each([estimator], images, len(split.class_names))
        return fit.probabilities(scores)

    graph, outlier, error = _exported(
        FitExport(
            estimator,
            split,
            fit.fit_rows,
            fit.calibrator,
            fit.validation,
            fit.limits,
            probabilities,
        )
    )
    record = {
        "fit_s": fit.fit_s,
        "predict_us_per_image": predict_us_per_image,
        "model_bytes": len(graph.model) if graph else model_bytes(estimator),
        "fit_rows": len(fit.fit_rows),
        "fitted_with": list(fit.fitted_with),
        "chosen": dict(fit.chosen),
        "calibration": fit.calibrator.to_dict() if fit.calibrator else None,
        "history": list(fit.history),
        "outlier": outlier,
        "export_error": error,
    }
    return Outcome(record, Predictions(fit.validation, test), _views(estimator, split), graph)


def _exported(
    fit: FitExport,
) -> tuple[FittedGraph | None, Mapping[str, Any] | None, str | None]:
    """Return a fit's graph, how it tells outliers, and why it has no graph."""
    try:
        return *fit.make(), None
    # A graph that cannot be made must not cost the fit; the report tells why.
    except Exception as error:
        logger.info("no graph of %r", fit.estimator, exc_info=True)
        name = "" if isinstance(error, ExportError) else f"{type(error).__name__}: "
        return None, None, f"{name}{error}".splitlines()[0]


def _views(estimator: Any, split: Split) -> Views | None:
    """Return what a network shows of itself, on the first validation image of each class."""
    if not hasattr(estimator, "look_inside"):
        return None
    held = np.unique(split.validation_rows)
    _, first = np.unique(split.labels[held], return_index=True)
    rows = held[first[:_MOST_LOOKED_AT]]
    found = estimator.look_inside(split.images[rows])
    return Views(rows, **found) if found else None
