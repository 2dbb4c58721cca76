"""Graphs of linear models: one product of matrices, in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np

from tenfold.export.answers import Given
from tenfold.export.features import add_features
from tenfold.export.graph import Graph


def add_linear(graph: Graph, estimator: Any) -> Given:
    """Add logistic regression, or a linear classifier that gives margins."""
    model = estimator.model_
    weights = np.asarray(model.coef_, dtype=np.float64)
    intercept = np.asarray(model.intercept_, dtype=np.float64)
    margins = hasattr(estimator, "calibrator_")
    if len(weights) == 1 and not margins:
        # A sigmoid of one score is the softmax of nothing and that score.
        weights = np.concatenate([np.zeros_like(weights), weights])
        intercept = np.concatenate([np.zeros_like(intercept), intercept])
    features = graph.cast(add_features(graph, estimator), np.float64)
    scores = graph.add("Add", graph.add("MatMul", features, weights.T), intercept)
    if len(weights) == 1:
        scores = graph.reshape(scores, -1)
    return Given("margins" if margins else "logits", scores, graph.unit_pixels())
