"""What a fit is expected to take: seconds, to start the longest first, and memory, to keep within.

The constants were measured with ``python benchmarks/costs.py`` on 2 cores of an AMD EPYC server in
float32 on one thread: draws of 5,000 and 20,000 of MNIST's rows (`deep_cnn`: 2,000 and 5,000; `knn`
and `svm`: 5,000 and 10,000), each fitted in a fresh worker process whose resident memory was looked
at every 50 ms. Seconds are the slope between the two; memory is rounded up by a tenth or more, for
no estimate may be too small.
What a fit really takes depends on the machine and on the data, so the order is a good guess and the
memory an upper bound for data like these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tenfold.models import get_spec
from tenfold.records import Cost, FitUnit

_MIB = 1 << 20
_MNIST_PIXELS = 784
#: Beside what a fit holds on the processor; from the size of CUDA's libraries, not measured.
_GPU_BYTES = 3 * 1024 * _MIB
_GPU_SPEED = 20.0


@dataclass(frozen=True)
class DataSize:
    """How much a fit learns from.

    Args:
        rows: Training and validation images.
        pixels: Of an image.
        classes: Different labels.
    """

    rows: int
    pixels: int
    classes: int


@dataclass(frozen=True)
class _Network:
    """What a network takes on MNIST.

    Args:
        image_s: Seconds of one image in one epoch.
        base_mib: Memory with the default batch.
        image_kib: Memory of each image of a larger batch.
    """

    image_s: float
    base_mib: int
    image_kib: int


_NETWORKS: Mapping[str, _Network] = {
    "mlp": _Network(2.4e-5, 600, 20),
    "fcnn": _Network(2e-5, 600, 20),
    "keras_cnn": _Network(4.6e-4, 750, 500),
    "cnn": _Network(4.3e-4, 750, 500),
    "pca_cnn": _Network(4.7e-4, 800, 500),
    "simple_conv_net": _Network(1.6e-3, 950, 1000),
    "bn_cnn": _Network(2.3e-3, 1150, 1000),
    "vit": _Network(1.3e-3, 800, 700),
    "deep_cnn": _Network(1.8e-3, 950, 1000),
}
_OTHER_NETWORK = _Network(2.5e-3, 1200, 1000)
_DEFAULT_BATCH = 256


def estimate_cost(unit: FitUnit, size: DataSize) -> Cost:
    """Return what a unit's fit is expected to take; that of its largest trial.

    Args:
        unit: Trials of one model. Of an own estimator nothing is known, so much is expected.
        size: What it learns from.
    """
    model = unit.trials[0].model
    family = None if ":" in model else get_spec(model).family
    formula = _own if family is None else _FORMULAS[family]
    found = [formula(model, trial.params, size) for trial in unit.trials]
    seconds, n_bytes = max(cost.seconds for cost in found), max(cost.bytes for cost in found)
    if unit.numerics.device == "cpu":
        return Cost(seconds, n_bytes * unit.numerics.processes)
    return Cost(seconds / _GPU_SPEED, (n_bytes + _GPU_BYTES) * unit.numerics.processes)


def _own(model: str, params: Mapping[str, Any], size: DataSize) -> Cost:  # noqa: ARG001
    return Cost(1e-5 * size.rows * size.pixels, 1000 * _MIB + 32 * size.rows * size.pixels)


def _linear(model: str, params: Mapping[str, Any], size: DataSize) -> Cost:
    passes = min(params["max_iter"], 100)
    each_s = 1.9e-10 if model == "logistic_regression" else 4.5e-10
    return _classical(each_s * passes * size.rows * size.pixels * size.classes, size)


def _neighbors(model: str, params: Mapping[str, Any], size: DataSize) -> Cost:  # noqa: ARG001
    return _classical(1e-11 * size.rows**2 * size.pixels, size)


def _kernel(model: str, params: Mapping[str, Any], size: DataSize) -> Cost:  # noqa: ARG001
    # The kernel of all rows of two classes is held, up to 14,000 of them; MNIST's two largest have
    # a tenth more than two equal parts.
    side = min(size.rows, 2.2 * size.rows / size.classes, 14_000)
    return _classical(1.7e-11 * size.rows**2 * size.pixels, size, beside=int(8 * side**2))


def _trees(model: str, params: Mapping[str, Any], size: DataSize) -> Cost:
    trees, levels = params["n_estimators"], math.log2(size.rows + 1)
    if model == "xgboost":
        levels = min(levels, params["max_depth"])
        each_s = 7e-10 * size.pixels * size.classes
    else:
        each_s = 1e-8 * math.sqrt(size.pixels)
    # Rows drawn with replacement are two thirds of all, and the others make more nodes.
    rows = size.rows if params.get("bootstrap", True) else math.ceil(1.4 * size.rows)
    nodes = 40 * trees * rows  # a fully grown tree has a leaf for some of the rows
    return _classical(each_s * trees * levels * rows, size, beside=nodes)


def _network(model: str, params: Mapping[str, Any], size: DataSize) -> Cost:
    rates = _NETWORKS.get(model, _OTHER_NETWORK)
    breadth = _breadth(model, params) * size.pixels / _MNIST_PIXELS
    seconds = rates.image_s * params["epochs"] * size.rows * breadth
    more = max(0, params["batch_size"] - _DEFAULT_BATCH) + _DEFAULT_BATCH * max(0.0, breadth - 1)
    images = 12 * size.rows * size.pixels
    return Cost(seconds, rates.base_mib * _MIB + int(more * rates.image_kib * 1024) + images)


def _breadth(model: str, params: Mapping[str, Any]) -> float:
    """Return how much more a step computes than with the default sizes of the layers."""
    defaults = get_spec(model).params().model_dump(mode="json")
    if model == "mlp":
        return float(sum(params["hidden_layers"]) / sum(defaults["hidden_layers"]))
    width = params.get("width", 1) / defaults.get("width", 1)
    depth = params.get("depth", 1) / defaults.get("depth", 1)
    return float(width**2 * depth)


def _classical(seconds: float, size: DataSize, *, beside: int = 0) -> Cost:
    return Cost(seconds, 400 * _MIB + 14 * size.rows * size.pixels + beside)


_FORMULAS: Mapping[str, Callable[[str, Mapping[str, Any], DataSize], Cost]] = {
    "linear": _linear,
    "neighbors": _neighbors,
    "kernel": _kernel,
    "trees": _trees,
    "network": _network,
}
