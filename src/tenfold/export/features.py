"""What classical models see of the images: pixels of 0..1, or their principal components."""

from __future__ import annotations

from typing import Any

import numpy as np

from tenfold.export.graph import Graph


def add_features(graph: Graph, estimator: Any) -> str:
    """Add what the inner estimator of a classical model sees; ``(n, n_features)`` float32.

    Components are computed in double precision and then rounded, as the estimator does it: the
    rounding hides in which order a machine sums up, so that a tree or a neighbour is the same.
    """
    pixels = graph.unit_pixels()
    if estimator.pca_ is None:
        return pixels
    components = np.asarray(estimator.pca_.components_, dtype=np.float64)
    mean = np.asarray(estimator.pca_.mean_, dtype=np.float64)
    centred = graph.add("Sub", graph.cast(pixels, np.float64), mean)
    return graph.cast(graph.add("MatMul", centred, components.T), np.float32)
