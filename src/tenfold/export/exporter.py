"""Export of a fitted estimator as one ONNX model."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from tenfold.errors import ExportError
from tenfold.export.answers import Given, add_classes, add_probabilities
from tenfold.export.graph import Graph
from tenfold.export.outliers import OutlierRule, add_outlier_score, outlier_features
from tenfold.models import SPECS, Calibrator
from tenfold.models.spec import Family

# Imported when they are needed: a graph of neighbours must not wait for PyTorch.
_KINDS: Mapping[Family, tuple[str, str]] = MappingProxyType(
    {
        "linear": ("tenfold.export.linear", "add_linear"),
        "neighbors": ("tenfold.export.neighbors", "add_neighbors"),
        "kernel": ("tenfold.export.kernels", "add_support_vectors"),
        "trees": ("tenfold.export.trees", "add_trees"),
        "network": ("tenfold.export.networks", "add_network"),
    }
)


def export_onnx(
    estimator: Any,
    *,
    class_count: int | None = None,
    calibrator: Calibrator | None = None,
    outlier: OutlierRule | None = None,
) -> bytes:
    """Return a fitted estimator as one serialized ONNX model without external data.

    Its input is ``images``, ``(n, height * width)`` uint8, n at will. Its outputs are ``label``,
    ``(n,)`` int64, the index of the class; ``probabilities``, ``(n, k)`` float32; and
    ``outlier_score``, ``(n,)`` float32, larger for images less like those trained on. Scaling,
    principal components and calibration are inside. Operators are of version `OPSET`.

    Args:
        estimator: A fitted estimator of a registered model.
        class_count: Classes of the data where the estimator's labels are class indices and it may
            not have seen them all; by default those that it saw, whatever their labels.
        calibrator: What makes probabilities, from `tenfold.models.calibrate`; by default the
            estimator's own, if it has one.
        outlier: Rule of the outlier score; by default it is 1 minus the largest probability.

    Raises:
        ExportError: The estimator is not fitted, not of a registered model, or has labels that are
            no class indices; the calibrator or the rule do not fit it; or the graph is too large.
    """
    add_model = _add_model(estimator)
    codes, n_classes = _classes(estimator, class_count)
    _check_rule(estimator, outlier)
    graph = Graph(estimator.n_features_in_)
    given = add_model(graph, estimator)
    graph.part = "answers/"
    calibrator = calibrator or getattr(estimator, "calibrator_", None)
    probabilities = add_probabilities(graph, given, calibrator, len(codes))
    # Of logits the largest is the most probable even where probabilities are rounded to be equal.
    decisive = given.value if given.kind == "logits" else probabilities
    label = graph.add("Gather", np.array(codes), graph.add("ArgMax", decisive, axis=1, keepdims=0))
    probabilities = graph.cast(probabilities, np.float32)
    score = add_outlier_score(graph, given.features, probabilities, outlier)
    probabilities = add_classes(graph, probabilities, codes, n_classes)
    return graph.finish(
        (
            ("label", label, np.int64, ()),
            ("probabilities", probabilities, np.float32, (n_classes,)),
            ("outlier_score", score, np.float32, ()),
        )
    )


def _classes(estimator: Any, class_count: int | None) -> tuple[tuple[int, ...], int]:
    """Return the class index of each of the estimator's columns, and the number of classes."""
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        raise ExportError(f"{estimator!r} is not fitted; call fit before exporting it.")
    if class_count is None:
        return tuple(range(len(classes))), len(classes)
    if classes.dtype.kind not in "iu" or classes[0] < 0 or classes[-1] >= class_count:
        raise ExportError(
            f"With class_count={class_count} labels must be class indices 0 to {class_count - 1}; "
            f"the estimator was fitted on {classes.tolist()}."
        )
    return tuple(classes.tolist()), class_count


def _check_rule(estimator: Any, rule: OutlierRule | None) -> None:
    """See that a rule is on as many features as the estimator has."""
    if rule is None:
        return
    blank = np.zeros((1, estimator.n_features_in_), dtype=np.uint8)
    wanted, got = outlier_features(estimator, blank).shape[1], len(rule.distance.centre)
    if got != wanted:
        raise ExportError(
            f"The outlier rule is on {got} features and the estimator has {wanted}; fit a rule of "
            "its own by fit_outlier_rule."
        )


def _add_model(estimator: Any) -> Callable[[Graph, Any], Given]:
    """Return the function that adds the part of the graph that is the model itself."""
    cls = type(estimator)
    path = f"{cls.__module__}:{cls.__qualname__}"
    spec = next((spec for spec in SPECS if spec.estimator == path), None)
    if spec is None:
        raise ExportError(
            f"Registered models can be exported; {path} is an own estimator. "
            "It can be compared and tracked; to publish one, choose a registered model."
        )
    module, function = _KINDS[spec.family]
    add_model: Callable[[Graph, Any], Given] = getattr(importlib.import_module(module), function)
    return add_model
