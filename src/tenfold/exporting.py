"""From a finished fit to its graph, in the process that holds the estimator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tenfold.bundle import PARITY_IMAGES
from tenfold.data import Split
from tenfold.graphs import FittedGraph
from tenfold.models import Calibrator
from tenfold.records import Floats

Rows = np.ndarray[Any, Any]

_LIMITS = ("threshold", "false_alarms", "doubt_limit", "distance_limit")
_FEW = 100


@dataclass(frozen=True, eq=False)
class FitExport:
    """A finished fit, to be made a graph.

    Args:
        estimator: What was fitted.
        split: The data.
        fit_rows: Development rows that the fit saw.
        calibrator: What makes probabilities of its scores; None: they are taken as they are.
        validation: Probabilities of the validation rows by fits that had not seen them; None for a
            refit, which has seen them all.
        limits: For a refit, the limits of outliers that the train fit found.
        probabilities: Gives those of images.
    """

    estimator: Any
    split: Split
    fit_rows: Rows
    calibrator: Calibrator | None
    validation: Floats | None
    limits: Mapping[str, Any] | None
    probabilities: Callable[[Rows], Floats]

    def make(self) -> tuple[FittedGraph, dict[str, Any]]:
        """Return the graph, and how outliers are told, as plain values.

        Raises:
            ExportError: The estimator has no graph.
        """
        from tenfold.export import export_onnx

        split = self.split
        rule = self._outlier_rule()
        model = export_onnx(
            self.estimator,
            class_count=len(split.class_names),
            calibrator=self.calibrator,
            outlier=rule,
        )
        return FittedGraph(model, *self._answers(), rule.threshold), rule.to_dict()

    def _answers(self) -> tuple[Rows, Floats]:
        """Return some validation rows and what this very estimator says of them."""
        split = self.split
        if self.validation is not None and not split.cross_validated:
            return split.validation_rows[:PARITY_IMAGES], self.validation[:PARITY_IMAGES]
        rows = np.unique(split.validation_rows)[:PARITY_IMAGES]
        return rows, self.probabilities(split.images[rows])

    def _outlier_rule(self) -> Any:
        """Return the rule; its limits are those of images that were not learned from.

        With cross-validation those of each fold, by what is known without it. A refit has the
        limits of its train fit, which knew fewer images.
        """
        from tenfold.export import fit_outlier_rule, rule_rows

        split = self.split
        learned = self.fit_rows[rule_rows(len(self.fit_rows), split.images.shape[1])]
        rows = split.validation_rows[split.calibrate]
        given, distances = self.validation, None
        if given is None:
            rows = rows[:_FEW]
            given = self.probabilities(split.images[rows])
        elif split.cross_validated:
            rows, distances = self._held_out()
            given = given[: len(rows)]
        else:
            given = given[split.calibrate]
        rule = fit_outlier_rule(
            self.estimator,
            split.images[learned],
            split.labels[learned],
            split.images[rows],
            probabilities=given,
            distances=distances,
        )
        if self.limits is None:
            return rule
        return replace(rule, **{name: self.limits[name] for name in _LIMITS})

    def _held_out(self) -> tuple[Rows, Floats]:
        """Return the rows that the folds of the first repeat held out, and their distances."""
        from tenfold.export import held_out_distances

        split = self.split
        repeats = len(split.validation_rows) // len(split.images)
        folds = split.rounds[: len(split.rounds) // repeats]
        parts = [(fold.fit_rows, fold.held_rows) for fold in folds]
        distances = held_out_distances(self.estimator, split.images, split.labels, parts)
        return np.concatenate([fold.held_rows for fold in folds]), distances
