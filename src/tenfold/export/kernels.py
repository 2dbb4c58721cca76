"""Graphs of support vector machines: products of matrices in place of ONNX's own operator."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.errors import ExportError
from tenfold.export.answers import Given
from tenfold.export.distances import add_own_lengths, add_products, add_ranks, squared_lengths
from tenfold.export.features import add_features
from tenfold.export.graph import Graph
from tenfold.models.pairs import PairwiseSvc, pair_weights
from tenfold.models.svm import PAIR_SLOPE


def add_support_vectors(graph: Graph, estimator: Any) -> Given:
    """Add the margins of all pairs of classes, and the score of each class from them."""
    model = estimator.model_
    n_classes = len(estimator.classes_)
    weights = pair_weights(np.asarray(model.dual_coef_, dtype=np.float64), model.n_support_)
    if estimator.kernel == "linear":
        features = graph.cast(add_features(graph, estimator), np.float64)
        vectors = np.asarray(model.support_vectors_, dtype=np.float64)
        unit = 255 if isinstance(model, PairwiseSvc) else 1
        normals = vectors.T @ weights / unit
        products = graph.add("MatMul", features, normals)
    else:
        # Thousands of large terms nearly cancel: in single precision their sum is not good enough.
        kernel = graph.cast(_add_kernel(graph, estimator), np.float64)
        held = graph.cast(weights.astype(model.dual_coef_.dtype), np.float64)
        products = graph.add("MatMul", kernel, held)
    margins = graph.add("Add", products, np.asarray(model.intercept_, dtype=np.float64))
    if n_classes == 2:
        return Given("margins", graph.reshape(margins, -1), graph.unit_pixels())
    return Given("margins", _add_pairwise(graph, margins, n_classes), graph.unit_pixels())


def _add_kernel(graph: Graph, estimator: Any) -> str:
    """Add the kernel between images and support vectors, ``(n, n_vectors)`` float32."""
    model = estimator.model_
    exact = isinstance(model, PairwiseSvc)
    # Nothing public of theirs says what "scale" came to.
    gamma = model.gamma_ if exact else model._gamma  # noqa: SLF001
    vectors = np.asarray(model.support_vectors_)
    if estimator.pca_ is None:
        pixels = vectors if exact else _whole_pixels(vectors)
        products, scale = add_products(graph, pixels), gamma / 255**2
        lengths: npt.NDArray[Any] = squared_lengths(pixels)
    else:
        features = add_features(graph, estimator)
        products, scale = graph.add("MatMul", features, vectors.T.astype(np.float32)), gamma
        lengths = np.einsum("ij,ij->i", vectors, vectors).astype(np.float32)
    if estimator.kernel == "poly":
        scaled = graph.add("Mul", graph.cast(products, np.float32), np.float32(scale))
        return graph.add("Pow", scaled, np.float32(estimator.degree))
    if estimator.pca_ is None:
        own = add_own_lengths(graph)
    else:
        own = graph.reduce("ReduceSumSquare", features, 1, keep=True)
    squares = graph.add("Add", add_ranks(graph, products, lengths), own)
    return graph.add("Exp", graph.add("Mul", graph.cast(squares, np.float32), np.float32(-scale)))


def _whole_pixels(vectors: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return support vectors of 0..1 as the pixels that they were."""
    pixels: npt.NDArray[np.uint8] = np.rint(vectors * 255).astype(np.uint8)
    if not np.allclose(pixels / 255, vectors, atol=1e-6):
        raise ExportError("The support vectors are no pixels of 0..1; fit the model by tenfold.")
    return pixels


def _add_pairwise(graph: Graph, margins: str, n_classes: int) -> str:
    """Add `tenfold.models.classical.pairwise_scores`."""
    first, second = np.triu_indices(n_classes, k=1)
    classes = np.arange(n_classes)
    wins = (first[:, None] == classes).astype(np.float64)
    losses = (second[:, None] == classes).astype(np.float64)
    scaled = graph.add("Mul", margins, np.float64(PAIR_SLOPE))
    lost = graph.add("MatMul", _log_sigmoid(graph, graph.add("Neg", scaled)), losses)
    won = graph.add("MatMul", _log_sigmoid(graph, scaled), wins)
    scores = graph.add("Add", won, lost)
    ahead = graph.cast(graph.add("Greater", margins, np.float64(0)), np.float64)
    behind = graph.add("Sub", np.float64(1), ahead)
    votes = graph.add("Add", *(graph.add("MatMul", *x) for x in ((ahead, wins), (behind, losses))))
    voted = graph.add("Equal", graph.add("ArgMax", votes, axis=1), classes)
    best = graph.add("Equal", graph.add("ArgMax", scores, axis=1), classes)
    # The two exchange their scores.
    of_voted = graph.add("Where", voted, scores, np.float64(-np.inf))
    swapped = graph.add("Where", best, graph.reduce("ReduceMax", of_voted, 1, keep=True), scores)
    return graph.add("Where", voted, graph.reduce("ReduceMax", scores, 1, keep=True), swapped)


def _log_sigmoid(graph: Graph, z: str) -> str:
    """Add log(1 / (1 + exp(-z))) without overflow."""
    small = graph.add("Exp", graph.add("Neg", graph.add("Abs", z)))
    rest = graph.add("Log", graph.add("Add", small, np.float64(1)))
    return graph.add("Sub", graph.add("Min", z, np.float64(0)), rest)
