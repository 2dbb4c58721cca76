"""Measure what a fit of each registered model takes, beside what `tenfold.costs` estimates.

    python benchmarks/costs.py
    python benchmarks/costs.py --models cnn,vit --rows 5000 --params '{"batch_size": 1024}'

Each model is fitted on a draw of MNIST's training rows in a fresh worker process, as an experiment
does it: data loaded, fitted, test and validation rows predicted, graph exported. Networks train one
epoch. Measured are the processor seconds of the fit and the most memory that the worker held, in
MiB; ``kept`` is what it holds afterwards. A model whose estimate of the memory is too small is
named at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
from watch import Watch

from tenfold.config import DatasetConfig, canonical_params, load_settings
from tenfold.costs import DataSize, estimate_cost
from tenfold.data import load_dataset
from tenfold.machine import describe_machine
from tenfold.models import get_spec, list_models
from tenfold.records import FitUnit, Numerics, Trial
from tenfold.worker import WorkerProcess


def main() -> int:
    """Print the table; return 1 where an estimate of the memory was too small."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(list_models()))
    parser.add_argument("--rows", default="5000,20000", help="development rows")
    parser.add_argument("--params", type=json.loads, default={}, help="JSON, for every model")
    arguments = parser.parse_args()
    print(json.dumps(describe_machine()))
    print("| model | rows | estimated s | CPU s | estimated MiB | peak | kept |")
    print("|---|---|---|---|---|---|---|")
    too_small = []
    for model in arguments.models.split(","):
        for rows in map(int, arguments.rows.split(",")):
            found = measured(model, rows, arguments.params)
            print("| " + " | ".join(f"{value}" for value in found.values()) + " |", flush=True)
            if found["peak"] > found["estimated MiB"]:
                too_small.append(f"{model} with {rows} rows")
    if too_small:
        print(f"\nestimated too small: {', '.join(too_small)}")
    return 1 if too_small else 0


def measured(model: str, rows: int, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what one fit took, beside what was expected."""
    settings = load_settings()
    config = DatasetConfig(source="mnist", max_images=rows, cv_below=0)
    dataset = load_dataset("mnist", data_dir=settings.data_dir, max_images=rows)
    shorter = {"epochs": 1} if get_spec(model).family == "network" else {}
    params = canonical_params(model, {**shorter, **given})
    numerics = Numerics("cpu", "float32", threads=1)
    trial = Trial(model=model, params=params, title=model, label="", seed=0)
    size = DataSize(len(dataset), dataset.images.shape[1], len(dataset.class_names))
    cost = estimate_cost(FitUnit((trial,), ("k",), numerics), size)
    with tempfile.TemporaryDirectory() as folder:
        payload = {
            "dataset": config.model_dump(mode="json"),
            "data_dir": settings.data_dir and str(settings.data_dir),
            "fingerprint": dataset.fingerprint,
            "sources": {},
            "trials": [asdict(trial)],
            "keys": ["k"],
            "numerics": asdict(numerics),
            "bases": [],
            **{name: str(Path(folder) / name) for name in ("folder", "checkpoints", "graphs")},
        }
        worker = WorkerProcess({"OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "10000"})
        watch = Watch(os.getpid())
        try:
            worker.call("tenfold.fitting:prepare", payload, on_event=_ignore)
            (child,) = psutil.Process().children()
            before = sum(child.cpu_times()[:2])
            worker.call("tenfold.fitting:fit_unit", payload, on_event=_ignore)
            cpu_s = sum(child.cpu_times()[:2]) - before
            kept = child.memory_info().rss
        finally:
            worker.close()
            peaks = watch.stop()["peaks_bytes"]
    return {
        "model": model,
        "rows": rows,
        "estimated s": round(cost.seconds, 1),
        "CPU s": round(cpu_s, 1),
        "estimated MiB": cost.bytes >> 20,
        "peak": peaks[0] >> 20,
        "kept": kept >> 20,
    }


def _ignore(event: object) -> None:
    """Take no notice of an event."""


if __name__ == "__main__":
    sys.exit(main())
