"""Graphs of trees: all trees walked at once, one level after the other, by plain look-ups.

ONNX has operators for trees, which are some times faster. Look-ups need no operators but ONNX's own
plain ones, and give the estimator's sums to the last digit, so that equal votes stay equal.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.export.answers import Given
from tenfold.export.features import add_features
from tenfold.export.graph import Graph

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Tree:
    """One tree, node 0 its root.

    Args:
        left: ``(n,)`` the node where a row goes whose feature is at most the bound; -1 in leaves.
        right: ``(n,)`` the node where others go.
        feature: ``(n,)`` the column that is looked at; in leaves anything.
        bound: ``(n,)`` float64.
        value: ``(n,)`` or ``(n, k)`` what leaves say.
    """

    left: Ints
    right: Ints
    feature: Ints
    bound: Floats
    value: Floats


def add_trees(graph: Graph, estimator: Any) -> Given:
    """Add a random forest, or gradient-boosted trees."""
    if hasattr(estimator.model_, "get_booster"):
        return _add_boosted(graph, estimator)
    forest = [_forest_tree(item.tree_) for item in estimator.model_.estimators_]
    values = _add_walk(graph, estimator, forest)
    share = graph.add("Div", _add_up(graph, values, len(forest)), np.float64(len(forest)))
    return Given("probabilities", share, graph.unit_pixels())


def _forest_tree(tree: Any) -> Tree:
    return Tree(
        left=tree.children_left,
        right=tree.children_right,
        feature=tree.feature,
        bound=tree.threshold,
        value=tree.value[:, 0, :],
    )


def _add_boosted(graph: Graph, estimator: Any) -> Given:
    """Add XGBoost's trees: round by round one tree for each class, or one for two classes."""
    model = json.loads(estimator.model_.get_booster().save_raw("json"))["learner"]
    trees = [_boosted_tree(item) for item in model["gradient_booster"]["model"]["trees"]]
    n_classes = len(estimator.classes_)
    columns = n_classes if n_classes > 2 else 1
    n_rounds = len(trees) // columns
    start = np.asarray(json.loads(model["learner_model_param"]["base_score"]), dtype=np.float32)
    if columns == 1:
        start = np.log(start / (1 - start))  # kept as a probability there
    values = graph.reshape(_add_walk(graph, estimator, trees), -1, n_rounds, columns)
    total = graph.add("Add", _add_up(graph, values, n_rounds), start)
    if columns == 1:
        # A sigmoid of one score is the softmax of nothing and that score.
        total = graph.add("Concat", graph.add("Sub", total, total), total, axis=1)
    return Given("logits", total, graph.unit_pixels())


def _boosted_tree(tree: dict[str, Any]) -> Tree:
    conditions = np.asarray(tree["split_conditions"], dtype=np.float32)
    return Tree(
        left=np.asarray(tree["left_children"]),
        right=np.asarray(tree["right_children"]),
        feature=np.asarray(tree["split_indices"]),
        # XGBoost goes left below the condition, not at it.
        bound=np.nextafter(conditions, np.float32(-np.inf)).astype(np.float64),
        value=conditions,
    )


def _add_walk(graph: Graph, estimator: Any, trees: Sequence[Tree]) -> str:
    """Add the walk from the roots to the leaves; return what the leaves say.

    Rows that reach a leaf early wait there: a leaf's left child is the leaf itself.

    Returns:
        Name of ``(n, n_trees)`` or ``(n, n_trees, k)``.
    """
    forest = [_level_order(tree) for tree in trees]
    roots = np.cumsum([0, *(len(tree.left) for tree, _ in forest)], dtype=np.int32)[:-1]
    left = [tree.left + root for (tree, _), root in zip(forest, roots, strict=True)]
    bounds = np.concatenate([tree.bound for tree, _ in forest])
    if estimator.pca_ is None:
        features, n_features = graph.cast("images", np.float32), graph.n_pixels
        bounds = _pixel_bounds(bounds)
    else:
        features, n_features = add_features(graph, estimator), len(estimator.pca_.components_)
        bounds = _rounded_down(bounds)
    tables = [
        graph.constant(np.concatenate(part).astype(dtype))
        for part, dtype in (
            ([tree.feature for tree, _ in forest], np.int32),
            ([bounds], np.float32),
            (left, np.int32),
        )
    ]
    place, row_start = _add_start(graph, roots, n_features)
    flat = graph.reshape(features, -1)
    for _ in range(max(depth for _, depth in forest)):
        feature, bound, child = (graph.add("GatherElements", item, place) for item in tables)
        seen = graph.add("GatherElements", flat, graph.add("Add", feature, row_start))
        place = graph.add("Add", child, graph.cast(graph.add("Greater", seen, bound), np.int32))
    different, rows = _different(np.concatenate([tree.value for tree, _ in forest]))
    said = graph.add("GatherElements", graph.constant(rows), place)
    return graph.add("Gather", different, graph.reshape(said, -1, len(trees)))


def _different(values: Floats) -> tuple[Floats, Ints]:
    """Return the different values, and which of them each leaf says.

    In a fully grown forest there are no more than there are classes.
    """
    rows = np.ascontiguousarray(values).reshape(len(values), -1)
    as_bytes = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()
    _, first, place = np.unique(as_bytes, return_index=True, return_inverse=True)
    return values[first], place.astype(np.int32)


def _add_start(graph: Graph, roots: Ints, n_features: int) -> tuple[str, str]:
    """Add where each walk begins: in which node, and at which place its row's features begin.

    Returns:
        Names of two ``(n * n_trees,)`` int32.
    """
    column = graph.cast(graph.add("Gather", "images", np.array([0]), axis=1), np.int32)
    nothing = graph.add("Sub", column, column)
    widths = graph.add("Add", nothing, np.int32(n_features))
    starts = graph.add("CumSum", widths, np.int64(0), exclusive=1)
    place = graph.reshape(graph.add("Add", nothing, roots[None, :]), -1)
    return place, graph.reshape(graph.add("Add", starts, np.zeros_like(roots)[None, :]), -1)


def _add_up(graph: Graph, values: str, count: int) -> str:
    """Add the sums over axis 1, in its order: equal sums of an estimator's trees stay equal."""
    sums = graph.add("CumSum", values, np.int64(1))
    return graph.add("Gather", sums, np.int64(count - 1), axis=1)


def _level_order(tree: Tree) -> tuple[Tree, int]:
    """Return the tree with a right child behind each left one, and its depth.

    In leaves the left child is the leaf itself and the bound is infinite.
    """
    levels: list[Ints] = [np.zeros(1, dtype=np.int64)]
    left, n_nodes = [], 1
    while True:
        nodes = levels[-1]
        inner = tree.left[nodes] >= 0
        places = n_nodes - len(nodes) + np.arange(len(nodes))
        left.append(np.where(inner, n_nodes + 2 * (np.cumsum(inner) - 1), places))
        if not inner.any():
            break
        parents = nodes[inner]
        levels.append(np.stack([tree.left[parents], tree.right[parents]], axis=1).ravel())
        n_nodes += len(levels[-1])
    order = np.concatenate(levels)
    leaf = tree.left[order] < 0
    ordered = Tree(
        left=np.concatenate(left),
        right=np.concatenate(left) + ~leaf,
        feature=np.where(leaf, 0, tree.feature[order]),
        bound=np.where(leaf, np.inf, tree.bound[order]),
        value=np.where(leaf.reshape(-1, *(1,) * (tree.value.ndim - 1)), tree.value[order], 0),
    )
    return ordered, len(levels) - 1


def _pixel_bounds(bounds: Floats) -> Floats:
    """Return the largest whole pixel whose 0..1 value, in float32, is at most the bound."""
    scaled = (np.arange(256, dtype=np.float32) / np.float32(255)).astype(np.float64)
    whole = np.searchsorted(scaled, bounds, side="right") - 1.0
    return np.where(np.isinf(bounds), np.inf, whole)


def _rounded_down(bounds: Floats) -> Floats:
    """Return the largest float32 that is at most the bound."""
    near = bounds.astype(np.float32)
    return np.where(near > bounds, np.nextafter(near, np.float32(-np.inf)), near)
