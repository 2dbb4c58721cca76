"""Measure the ONNX graphs: same answers as the estimators, how fast, how large, beside skl2onnx.

    python benchmarks/graphs.py                                # every registered model on MNIST
    python benchmarks/graphs.py --models cnn,knn --max-images 6000

Real MNIST below `TENFOLD_DATA_DIR`. Each model is fitted on the training rows in a process of its
own, which leaves a JSON file in `--out`; what is on file is not measured again. Networks are
trained for `--epochs` only: how long they learned changes neither speed nor size. Labels and
probabilities are compared on the 10,000 test images; test labels are never opened. Speeds are those
of `OnnxClassifier`, checks included, one thread unless it says otherwise, medians over other images
each time. The plain conversion is what skl2onnx makes of stock scikit-learn's estimator.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from harness import Record, Run, RunFailedError, describe, job, measure, say
from tables import megabytes, print_machines, print_table

from tenfold.config import PARAMS
from tenfold.files import write_text
from tenfold.models import list_models

MOST_DIFFERENCE = 1e-4
MOST_MS = {"cnn": 0.3}
MOST_MS_ELSE = 5.0
LEAST_TIMES_PLAIN = {"svm": 10, "knn": 5}
MOST_LOAD_S, MOST_LOAD_BYTES = 0.5, 120e6


def main() -> int:
    """Measure and print the tables; return 1 when something falls short or failed."""
    arguments = read_arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    records, failed = [], []
    for model in arguments.models:
        try:
            records.append(measure_model(model, arguments))
        except RunFailedError as error:
            say(f"{model}: FAILED: {error}")
            failed.append(model)
    rows = [judge(record) for record in records]
    header = ("model", "MB", "labels changed", "largest difference", "one image ms", "wanted")
    print_table(
        (*header, "images/s by 256", "all threads", "plain", "times plain", "wanted", "holds"),
        [cells for cells, _ in rows],
    )
    print_table(
        ("model", "fresh process: load and answer s", "peak MB", "holds"),
        [load_cells(record) for record in records],
    )
    print_machines(records)
    for model in failed:
        print(f"FAILED: {model}")
    holds = all(held for _, held in rows) and all(loads(record) for record in records)
    return 0 if holds and not failed else 1


def read_arguments() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    models = parser.add_argument("--models", type=names, default=list_models(), metavar="A,B")
    models.help = "registered models, default: all"
    parser.add_argument("--dataset", default="mnist", help="a data set's name")
    parser.add_argument("--max-images", type=int, help="most training rows, default: all")
    parser.add_argument("--epochs", type=int, default=2, help="of networks, default: 2")
    parser.add_argument("--threads", type=int, default=2, help="default: 2")
    parser.add_argument("--least-s", type=float, default=3.0, help="for each speed, default: 3")
    parser.add_argument("--out", type=Path, default=Path("build/bench-graphs"), help="JSON files")
    parser.add_argument("--fresh", action="store_true", help="measure what is on file again")
    return parser.parse_args()


def names(text: str) -> Sequence[str]:
    """Return the models of a comma-separated list."""
    chosen = text.split(",")
    unknown = sorted(set(chosen) - set(list_models()))
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}")
    return chosen


def measure_model(model: str, arguments: argparse.Namespace) -> Record:
    """Return a model's record, from its file or by measuring it."""
    graph = arguments.out.resolve() / f"{model}.onnx"
    spec = {
        "dataset": arguments.dataset,
        "model": model,
        "params": {"epochs": arguments.epochs} if "epochs" in PARAMS[model].model_fields else {},
        "max_images": arguments.max_images,
        "threads": arguments.threads,
        "graph": str(graph),
        "least_s": arguments.least_s,
    }
    run = job("graphs", model, "answers.py", "measure", spec)
    path = arguments.out / run.file_name
    if path.exists() and not arguments.fresh:
        say(f"{model}: on file, not measured again")
        found: Record = json.loads(path.read_text(encoding="utf-8"))
        return found
    say(f"{model}: started")
    machine = describe()
    record = {"name": model, **measure(run), "machine": machine}
    loading = job("graphs", f"{model}-load", "answers.py", "load", {"graph": str(graph)})
    record["load"] = fastest(loading)
    write_text(path, json.dumps(record, indent=2) + "\n")
    return record


def fastest(run: Run) -> Record:
    """Return what the fastest of five processes used: files are read from the cache then."""
    used = [measure(run)["process"] for _ in range(5)]
    return min(used, key=lambda process: process["wall_s"])


def judge(record: Record) -> tuple[tuple[str, ...], bool]:
    """Return a table's cells for a model, and whether it holds what is wanted."""
    found, model = record["result"], record["name"]
    most_ms = MOST_MS.get(model, MOST_MS_ELSE)
    holds = not found["labels_changed"] and found["largest_difference"] <= MOST_DIFFERENCE
    holds = holds and found["one_ms"] < most_ms
    plain, times, wanted = "", "", ""
    if "plain_batch_per_s" in found:
        ratio = found["batch_per_s"] / found["plain_batch_per_s"]
        least = LEAST_TIMES_PLAIN[model]
        holds = holds and ratio >= least
        plain, times = f"{found['plain_batch_per_s']:.0f}", f"{ratio:.1f}"
        wanted = f"at least {least}"
    cells = (
        model,
        f"{found['graph_bytes'] / 1e6:.1f}",
        f"{found['labels_changed']} of {found['images']:,}",
        f"{found['largest_difference']:.1e}",
        f"{found['one_ms']:.3f}",
        f"below {most_ms}",
        f"{found['batch_per_s']:.0f}",
        f"{found['batch_per_s_all_threads']:.0f}",
        plain,
        times,
        wanted,
        "yes" if holds else "NO",
    )
    return cells, holds


def loads(record: Record) -> bool:
    """Return whether a graph is opened fast enough and in little enough memory; `cnn` must be."""
    used = record["load"]
    enough = used["wall_s"] < MOST_LOAD_S and used["peak_bytes"] < MOST_LOAD_BYTES
    return enough or record["name"] != "cnn"


def load_cells(record: Record) -> tuple[str, ...]:
    """Return a table's cells for what a fresh process needs; other models than `cnn` may."""
    used = record["load"]
    wanted = "" if record["name"] != "cnn" else "yes" if loads(record) else "NO"
    return record["name"], f"{used['wall_s']:.2f}", megabytes(used["peak_bytes"]), wanted


if __name__ == "__main__":
    sys.exit(main())
