"""From what a model gives to what a graph answers: scores, calibration, label, probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tenfold.errors import ExportError
from tenfold.export.graph import Graph
from tenfold.models import Calibrator


@dataclass(frozen=True)
class Given:
    """What a model's part of the graph gives.

    Args:
        kind: ``"logits"``: a softmax makes probabilities of them; ``"probabilities"``; or
            ``"margins"``: a calibrator does.
        value: Name of the value: ``(n, k)``, or ``(n,)`` for margins between two classes.
        features: Name of ``(n, n_features)`` float32, what outliers are measured on.
    """

    kind: Literal["logits", "probabilities", "margins"]
    value: str
    features: str


def add_probabilities(
    graph: Graph, given: Given, calibrator: Calibrator | None, n_classes: int
) -> str:
    """Add what turns a model's scores into probabilities.

    Args:
        graph: Where to.
        given: The scores.
        calibrator: Of such raw scores as `tenfold.models.raw_scores` gives; margins need one.
        n_classes: Classes that the estimator saw.

    Returns:
        Name of ``(n, k)`` probabilities: double after a calibrator, else of the scores' type.

    Raises:
        ExportError: A calibrator of another kind than the scores take.
    """
    wanted = "probabilities"
    if given.kind == "margins":
        wanted = "platt" if n_classes == 2 else "temperature"
    if calibrator is not None and calibrator.kind != wanted:
        raise ExportError(
            f"The scores of this model are calibrated by {wanted!r}; got {calibrator.kind!r}. "
            "Fit the calibrator by tenfold.models.calibrate."
        )
    if given.kind == "margins":
        assert calibrator is not None
        return _calibrated(graph, given.value, calibrator)
    value = given.value
    if given.kind == "logits":
        value = graph.add("Softmax", value, axis=1)
    if calibrator is None:
        return value
    double = graph.cast(value, np.float64)
    smoothed = graph.add("Add", double, np.float64(calibrator.smoothing))
    return _calibrated(graph, graph.add("Log", smoothed), calibrator)


def add_classes(graph: Graph, probabilities: str, codes: tuple[int, ...], n_classes: int) -> str:
    """Add the columns of classes that a model was not trained on: nothing is ever one of them.

    Args:
        graph: Where to.
        probabilities: ``(n, k)``, column j is class ``codes[j]``.
        codes: Ascending class indices.
        n_classes: Columns wanted.

    Returns:
        Name of ``(n, n_classes)`` of the same type of number.
    """
    if codes == tuple(range(n_classes)):
        return probabilities
    missing = [code for code in range(n_classes) if code not in codes]
    nothing = graph.add("Sub", probabilities, probabilities)
    first = graph.add("Gather", nothing, np.zeros(len(missing), dtype=np.int64), axis=1)
    together = graph.add("Concat", probabilities, first, axis=1)
    order = np.argsort([*codes, *missing])
    return graph.add("Gather", together, order, axis=1)


def _calibrated(graph: Graph, scores: str, calibrator: Calibrator) -> str:
    """Add ``Calibrator.probabilities`` of double scores."""
    if calibrator.kind != "platt":
        rate = np.float64(1.0 / calibrator.temperature)
        best = graph.reduce("ReduceMax", scores, 1, keep=True)
        return graph.add("Softmax", graph.add("Mul", graph.add("Sub", scores, best), rate), axis=1)
    scaled = graph.add("Mul", scores, np.float64(calibrator.slope))
    second = graph.add("Sigmoid", graph.add("Add", scaled, np.float64(calibrator.intercept)))
    column = graph.reshape(second, -1, 1)
    return graph.add("Concat", graph.add("Sub", np.float64(1), column), column, axis=1)
