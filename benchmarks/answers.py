"""One model's side of `graphs.py`: fitted, exported, and asked as a user asks it.

    python benchmarks/answers.py measure SETTINGS     # a model's graph, beside skl2onnx's
    python benchmarks/answers.py load SETTINGS        # a fresh process that opens a graph

Settings are a JSON object, and one JSON object is printed.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from tenfold.inference import OnnxClassifier

BATCH = 256


def measure(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Fit a model on training rows, export it, and ask the graph for the test images.

    ``spec``: ``dataset``, ``model``, ``params``, ``max_images`` (most training rows, or None),
    ``threads``, ``graph`` (where to write it), ``least_s`` (how long each speed is measured).
    """
    from tenfold.config import load_settings
    from tenfold.data import load_dataset, make_split
    from tenfold.export import export_onnx, fit_outlier_rule
    from tenfold.models import build_model, calibrate

    split = make_split(load_dataset(spec["dataset"], data_dir=load_settings().data_dir), cv_below=0)
    rows = split.train[: spec["max_images"]]
    images, codes = split.images[rows], split.labels[rows]
    held = split.validation_rows[split.calibrate]
    model = build_model(
        spec["model"],
        spec["params"],
        image_shape=split.image_shape,
        threads=spec["threads"],
        device="cpu",
    )
    started = time.perf_counter()
    model.fit(images, codes)
    fit_s = time.perf_counter() - started
    if hasattr(model, "calibrator_"):
        model.calibrator_ = calibrate(model, split.images[held], split.labels[held])
    started = time.perf_counter()
    rule = fit_outlier_rule(model, images, codes, split.images[held])
    graph = export_onnx(model, outlier=rule)
    export_s = time.perf_counter() - started
    Path(spec["graph"]).write_bytes(graph)
    seen = split.test.images
    np.save(Path(spec["graph"]).with_suffix(".labels.npy"), model.predict(seen))
    found = {
        "fit_s": fit_s,
        "export_s": export_s,
        "graph_bytes": len(graph),
        "fit_rows": len(rows),
        **_parity(graph, model, seen),
        **_speeds(graph, seen, spec),
        "alarms": float((OnnxClassifier(graph).outlier_score(seen) > rule.threshold).mean()),
    }
    plain = _plain_conversion(model)
    return found | ({} if plain is None else _plain_speed(plain, seen, spec["least_s"]))


def _parity(graph: bytes, model: Any, seen: np.ndarray) -> dict[str, Any]:
    """Count the labels that differ from the estimator's; no test label is needed for that."""
    answers = OnnxClassifier(graph).answer(seen)
    expected = model.predict_proba(seen)
    return {
        "images": len(seen),
        "labels_changed": int((model.classes_[answers.labels] != model.predict(seen)).sum()),
        "largest_difference": float(np.abs(answers.probabilities - expected).max()),
    }


def _speeds(graph: bytes, seen: np.ndarray, spec: Mapping[str, Any]) -> dict[str, float]:
    one = OnnxClassifier(graph, threads=1)
    all_threads = OnnxClassifier(graph, threads=spec["threads"])
    least_s = spec["least_s"]
    return {
        "one_ms": 1e3 * _median_s(one.answer, seen, 1, least_s),
        "batch_per_s": BATCH / _median_s(one.answer, seen, BATCH, least_s),
        "batch_per_s_all_threads": BATCH / _median_s(all_threads.answer, seen, BATCH, least_s),
    }


def _plain_speed(plain: bytes, seen: np.ndarray, least_s: float) -> dict[str, float]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(plain, options)
    scaled = seen.astype(np.float32)

    def ask(images: np.ndarray) -> Any:
        return session.run(None, {"X": images})

    return {
        "plain_bytes": len(plain),
        "plain_one_ms": 1e3 * _median_s(ask, scaled, 1, least_s),
        "plain_batch_per_s": BATCH / _median_s(ask, scaled, BATCH, least_s),
    }


def _median_s(ask: Callable[..., Any], seen: np.ndarray, n: int, least_s: float) -> float:
    """Return the median seconds of a call with n images, other ones each time."""
    starts = [start for start in range(0, len(seen), n) if start + n <= len(seen)]
    ask(seen[:n])
    times: list[float] = []
    while len(times) < 3 or sum(times) < least_s:
        start = starts[len(times) % len(starts)]
        before = time.perf_counter()
        ask(seen[start : start + n])
        times.append(time.perf_counter() - before)
    return statistics.median(times)


def _plain_conversion(model: Any) -> bytes | None:
    """Return what skl2onnx makes of stock scikit-learn's estimator; None where that is no test.

    The stock SVC is given what ours has learned, which is the same: its own fit would take many
    times as long.
    """
    from skl2onnx import to_onnx
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    name, inner = type(model).__name__, getattr(model, "model_", None)
    warnings.simplefilter("ignore", FutureWarning)  # of attributes that the converter reads
    if name == "KnnClassifier" and model.pca_ is None:
        stock = KNeighborsClassifier(model.n_neighbors, weights=model.weights, algorithm="brute")
        stock.fit(inner.images_.astype(np.float32), inner.codes_)
    elif name == "SvmClassifier":
        stock = SVC(C=inner.C, kernel=inner.kernel, gamma=inner.gamma_)
        learned = {
            **{name: getattr(inner, name) for name in ("support_", "dual_coef_", "intercept_")},
            "support_vectors_": inner.support_vectors_ / 255,
            "classes_": np.arange(len(inner.n_support_)),
            "class_weight_": np.ones(len(inner.n_support_)),
            "n_features_in_": model.n_features_in_,
            "shape_fit_": inner.support_vectors_.shape,
            "fit_status_": 0,
            "_sparse": False,
            "_gamma": inner.gamma_,
            "_n_support": inner.n_support_,
            "_dual_coef_": inner.dual_coef_,
            "_intercept_": inner.intercept_,
            "_probA": np.empty(0),
            "_probB": np.empty(0),
        }
        for attribute, value in learned.items():
            setattr(stock, attribute, value)
    else:
        return None
    first = np.zeros((1, model.n_features_in_), dtype=np.float32)
    plain: bytes = to_onnx(stock, first, options={id(stock): {"zipmap": False}}).SerializeToString()
    return plain


def load(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Open a graph and answer one image, with the core install alone."""
    classifier = OnnxClassifier(Path(spec["graph"]))
    labels = classifier.predict(np.zeros((1, classifier.n_features), dtype=np.uint8))
    return {"label": int(labels[0]), "torch": "torch" in sys.modules}


if __name__ == "__main__":
    jobs = {"measure": measure, "load": load}
    print(json.dumps(jobs[sys.argv[1]](json.loads(sys.argv[2]))))
