"""Every score of one classifier on one set of labelled images, each with a 95 % interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt

from tenfold.evaluation.auc import roc_auc_interval
from tenfold.evaluation.confusion import (
    ClassScore,
    average_classes,
    count_confusion,
    score_classes,
)
from tenfold.evaluation.intervals import Interval, wilson_interval
from tenfold.evaluation.probabilities import (
    calibration_error_interval,
    check_scored,
    log_loss_interval,
)

EVALUATION_VERSION = 2
"""Raised when the same predictions would get other scores; stands in ``results.json``."""


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of one classifier; all but the losses are better when higher, within 0..1.

    Args:
        accuracy: Share of images classified rightly, with Wilson's interval.
        precision_macro: Mean precision over the classes.
        precision_weighted: The same, weighted by each class's images.
        recall_macro: Mean recall over the classes.
        recall_weighted: The same, weighted: the accuracy.
        f1_macro: Mean F1 over the classes.
        f1_weighted: The same, weighted.
        fbeta_macro: Mean F-beta, β = 2, over the classes.
        fbeta_weighted: The same, weighted.
        roc_auc: One class against the rest, macro; with two classes the plain AUC of the second.
        log_loss: Mean negative log probability of the true class, in nats; lower is better.
        ece: Expected calibration error, 0 to 1; lower is better.
        confusion: ``(k, k)`` counts, true classes in rows.
        per_class: One entry per class, in class order.
    """

    accuracy: Interval
    precision_macro: Interval
    precision_weighted: Interval
    recall_macro: Interval
    recall_weighted: Interval
    f1_macro: Interval
    f1_weighted: Interval
    fbeta_macro: Interval
    fbeta_weighted: Interval
    roc_auc: Interval
    log_loss: Interval
    ece: Interval
    confusion: npt.NDArray[np.int64] = field(repr=False)
    per_class: tuple[ClassScore, ...] = field(repr=False)

    @property
    def n(self) -> int:
        """Number of images scored."""
        return int(self.confusion.sum())

    def intervals(self) -> dict[str, Interval]:
        """Return every score by its field's name."""
        return {name: getattr(self, name) for name in METRICS}


METRICS = tuple(f.name for f in fields(Scores) if f.name not in {"confusion", "per_class"})
"""Names of the scores in `Scores`, in order."""

LOSSES = frozenset({"log_loss", "ece"})
"""The scores that are better when lower."""


def score(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    *,
    class_names: Sequence[str],
    draws: int = 1000,
    seed: int = 0,
) -> Scores:
    """Score the probabilities that a classifier gave to labelled images.

    The prediction is the class of the highest probability, the first one at a tie.

    Args:
        labels: ``(n,)`` class indices, 0 to k - 1; classes may be absent.
        probabilities: ``(n, k)``, rows of sum 1; any floating type.
        class_names: k names, k at least 2.
        draws: Bootstrap draws.
        seed: Seed of the draws.

    Raises:
        ScoreInputError: Labels and probabilities do not fit each other or their ranges.

    >>> found = score([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], class_names=["a", "b"])
    >>> round(found.accuracy.value, 3), found.confusion.tolist()
    (0.667, [[1, 0], [1, 1]])
    """
    known, given = check_scored(labels, probabilities, n_classes=len(class_names))
    confusion = count_confusion(known, given.argmax(axis=1), n_classes=len(class_names))
    averages = average_classes(confusion, draws=draws, seed=seed)
    return Scores(
        accuracy=wilson_interval(int(np.trace(confusion)), len(known)),
        **{f.name: getattr(averages, f.name) for f in fields(averages)},
        roc_auc=roc_auc_interval(known, given),
        log_loss=log_loss_interval(known, given, draws=draws, seed=seed),
        ece=calibration_error_interval(known, given, draws=draws, seed=seed),
        confusion=confusion,
        per_class=score_classes(confusion, class_names=class_names),
    )
