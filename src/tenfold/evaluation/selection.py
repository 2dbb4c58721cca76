"""Choosing the winner by validation predictions alone; the test labels are not needed here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from tenfold.errors import ScoreInputError, nearest
from tenfold.evaluation.auc import roc_auc_interval
from tenfold.evaluation.confusion import IntArray, count_confusion, mean_f1
from tenfold.evaluation.intervals import FloatArray
from tenfold.evaluation.probabilities import check_scored, mean_log_loss
from tenfold.evaluation.recipes import group_recipes
from tenfold.records import TrialResult

Standing = tuple[float, float]
"""What a recipe is ranked by, better when higher: the score, then the negative log loss."""


def accuracy_of(labels: npt.ArrayLike, probabilities: FloatArray) -> float:
    """Return the share of images whose highest probability is that of their class.

    Args:
        labels: ``(n,)`` class indices, n at least 1.
        probabilities: ``(n, k)``; the first class wins a tie.

    >>> accuracy_of([0, 1], np.array([[0.9, 0.1], [0.7, 0.3]]))
    0.5
    """
    return float(np.mean(probabilities.argmax(axis=1) == np.asarray(labels)))


def _f1(labels: IntArray, probabilities: FloatArray, *, weighted: bool) -> float:
    k = probabilities.shape[1]
    confusion = count_confusion(labels, probabilities.argmax(axis=1), n_classes=k)
    return mean_f1(confusion, weighted=weighted)


def _roc_auc(labels: IntArray, probabilities: FloatArray) -> float:
    found = roc_auc_interval(labels, probabilities)
    return found.value if found.defined else 0.0


def _negative_log_loss(labels: IntArray, probabilities: FloatArray) -> float:
    return -mean_log_loss(labels, probabilities)


RANKINGS: Mapping[str, Callable[[IntArray, FloatArray], float]] = MappingProxyType(
    {
        "accuracy": accuracy_of,
        "f1_macro": lambda labels, given: _f1(labels, given, weighted=False),
        "f1_weighted": lambda labels, given: _f1(labels, given, weighted=True),
        "roc_auc": _roc_auc,
        "log_loss": _negative_log_loss,
    }
)
"""What models may be chosen by; each function's result is better when higher."""


def choose_winner(
    results: Sequence[TrialResult],
    validation_labels: npt.ArrayLike,
    select: npt.NDArray[np.bool_],
    *,
    rank_by: str = "accuracy",
) -> str | None:
    """Return the key of the trial that does best on the *select* rows of the validation data.

    Repeats of a recipe are averaged, so that a lucky seed does not win. At a tie the lower log
    loss wins, then the earlier trial of the grid. Refits have no validation predictions and take
    no part.

    Args:
        results: In grid order.
        validation_labels: ``(n_validation,)`` class indices, one per validation prediction.
        select: ``(n_validation,)``, the rows to choose by.
        rank_by: A name in `RANKINGS`.

    Returns:
        The key of the winning recipe's first finished repeat; None when no trial finished.

    Raises:
        ScoreInputError: The name is unknown, or predictions do not fit the labels.
    """
    if rank_by not in RANKINGS:
        raise ScoreInputError(
            f"models cannot be ranked by {rank_by!r}. {nearest(rank_by, RANKINGS)}"
        )
    labels = np.asarray(validation_labels)[select]
    best: tuple[Standing, str] | None = None
    for recipe in group_recipes(results):
        standings = [
            _stand(labels, result.predictions.validation[select], rank_by)
            for result in recipe.bases
            if result.predictions is not None and result.predictions.validation is not None
        ]
        if not standings:
            continue
        standing = _average(standings)
        # Only a better one replaces the best: the earlier of equals stays.
        if best is None or standing > best[0]:
            best = standing, recipe.base.key
    return None if best is None else best[1]


def choose_best_of_each(
    results: Sequence[TrialResult],
    validation_labels: npt.ArrayLike,
    select: npt.NDArray[np.bool_],
    *,
    rank_by: str = "accuracy",
) -> dict[str, str]:
    """Return for each model the key of its best trial, chosen as by `choose_winner`.

    Args:
        results: In grid order.
        validation_labels: As for `choose_winner`, and so are the others.
        select: The rows to choose by.
        rank_by: A name in `RANKINGS`.

    Returns:
        Keys by model, in grid order; models of which no trial finished are left out.
    """
    best = {}
    for model in dict.fromkeys(result.trial.model for result in results):
        own = [result for result in results if result.trial.model == model]
        key = choose_winner(own, validation_labels, select, rank_by=rank_by)
        if key is not None:
            best[model] = key
    return best


def _stand(labels: IntArray, probabilities: FloatArray, rank_by: str) -> Standing:
    known, given = check_scored(labels, probabilities, n_classes=probabilities.shape[-1])
    return RANKINGS[rank_by](known, given), -mean_log_loss(known, given)


def _average(standings: Sequence[Standing]) -> Standing:
    score, loss = np.mean(standings, axis=0)
    # A sum of repeats may differ in its last digits by their order alone.
    return round(float(score), 12), round(float(loss), 12)
