"""Graphs of nearest neighbours: one product of matrices of whole numbers, and a partial sort."""

from __future__ import annotations

from typing import Any

import numpy as np

from tenfold.export.answers import Given
from tenfold.export.distances import add_own_lengths, add_products, add_ranks, squared_lengths
from tenfold.export.features import add_features
from tenfold.export.graph import Graph


def add_neighbors(graph: Graph, estimator: Any) -> Given:
    """Add the vote of the nearest training images.

    Distances between pixels are whole numbers and exact. Where several rows are as far as the k-th,
    the lowest rows vote. The estimator keeps what is left in scikit-learn's heap, which can be
    another of these rows where a nearer one stands behind them: for none of the test images of
    MNIST and Fashion-MNIST with 1, 3, 5 or 7 neighbours.
    """
    k = estimator.n_neighbors
    if estimator.pca_ is None:
        codes = estimator.model_.codes_
        ranks, own = _pixel_ranks(graph, estimator)
    else:
        codes = estimator.model_._y  # noqa: SLF001  # scikit-learn keeps them nowhere else
        ranks, own = _component_ranks(graph, estimator)
    nearest, rows = graph.split("TopK", ranks, np.array([k]), n_outputs=2, axis=1, largest=0)
    chosen = graph.reshape(graph.add("Gather", np.asarray(codes, dtype=np.int32), rows), -1, k, 1)
    classes = np.arange(len(estimator.classes_), dtype=np.int32)
    votes = graph.cast(graph.add("Equal", chosen, classes), np.float64)
    if estimator.weights == "distance":
        weights = _inverse_distances(graph, graph.add("Add", nearest, own))
        votes = graph.add("Mul", votes, graph.reshape(weights, -1, k, 1))
    # Added up in the order of the neighbours, as the estimator does it: equal sums stay equal.
    sums = graph.add("CumSum", votes, np.int64(1))
    total = graph.add("Gather", sums, np.int64(k - 1), axis=1)
    shares = graph.add("Div", total, graph.reduce("ReduceSum", total, 1, keep=True))
    return Given("probabilities", shares, graph.unit_pixels())


def _pixel_ranks(graph: Graph, estimator: Any) -> tuple[str, str]:
    """Add what orders the training images, and what completes it to squared distances."""
    images = estimator.model_.images_
    ranks = add_ranks(graph, add_products(graph, images), squared_lengths(images))
    return ranks, add_own_lengths(graph)


def _component_ranks(graph: Graph, estimator: Any) -> tuple[str, str]:
    """Do the same among principal components, in double precision as scikit-learn does it."""
    table = np.asarray(estimator.model_._fit_X, dtype=np.float32)  # noqa: SLF001  # as above
    features = graph.cast(add_features(graph, estimator), np.float64)
    # Held in single precision, as they are; onnxruntime widens them once, when it loads the graph.
    products = graph.add("MatMul", features, graph.cast(table.T, np.float64))
    lengths = np.einsum("ij,ij->i", table, table, dtype=np.float64)
    own = graph.reduce("ReduceSumSquare", features, 1, keep=True)
    return add_ranks(graph, products, lengths), own


def _inverse_distances(graph: Graph, squares: str) -> str:
    """Add the weight of each neighbour; where some are at distance zero, those alone vote."""
    far = graph.add("Sqrt", graph.add("Relu", graph.cast(squares, np.float64)))
    same = graph.cast(graph.add("Equal", far, np.float64(0)), np.float64)
    any_same = graph.cast(graph.reduce("ReduceMax", same, 1, keep=True), np.bool_)
    return graph.add("Where", any_same, same, graph.add("Div", np.float64(1), far))
