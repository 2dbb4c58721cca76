"""Hold a finished 18-row grid against what is published, and against stock scikit-learn's labels.

    tenfold compare experiments/mnist-18.yaml --set refit=all
    python benchmarks/grid_18.py mnist-18

The first table compares each accuracy with the one published for the same row by the public MNIST
project whose grid this is, fitted on the same 60,000 images and scored on the same 10,000: a row
holds when the published figure is not above the upper end of its 95 % interval. The second fits
stock scikit-learn's KNN on raw pixels in float64 and its SVC on pixels of 0..1, and counts equal
labels on the test images.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from tenfold.config import load_settings
from tenfold.data import load_dataset, make_split
from tenfold.machine import describe_machine
from tenfold.records import Predictions
from tenfold.tracking import MlflowTracker
from tenfold.workspace import Workspace

PUBLISHED = {
    "mnist-18": (
        *(0.9258, 0.9262, 0.9262, 0.9705, 0.9688, 0.9694, 0.9792, 0.9837, 0.9833),
        *(0.9666, 0.9684, 0.9710, 0.9895, 0.9915, 0.9909, 0.9747, 0.9785, 0.9808),
    ),
    "fashion-18": (
        *(0.8439, 0.8428, 0.8436, 0.8541, 0.8554, 0.8540, 0.8828, 0.9002, 0.8963),
        *(0.8737, 0.8775, 0.8771, 0.8901, 0.9041, 0.9109, 0.8757, 0.8808, 0.8914),
    ),
}


def main() -> int:
    """Print both tables; return 1 when a row falls short."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiment", choices=sorted(PUBLISHED))
    parser.add_argument("--skip-stock", action="store_true", help="leave the second table out")
    arguments = parser.parse_args()
    settings = load_settings()
    workspace = Workspace(settings.home)
    results = json.loads((workspace.results(arguments.experiment) / "results.json").read_text())
    print(json.dumps(describe_machine()))
    short = compare_published(results["rows"], PUBLISHED[arguments.experiment])
    if not arguments.skip_stock:
        short += compare_stock(results, MlflowTracker(workspace, None))
    return 1 if short else 0


def compare_published(rows: list[dict], published: tuple[float, ...]) -> int:
    """Print each row's accuracy beside the published one; return how many fall short."""
    print("| model | parameter | accuracy | 95 % interval | published | holds | fit s |")
    print("|---|---|---|---|---|---|---|")
    short = 0
    for row, theirs in zip(rows, published, strict=True):
        ours = row["scores"]["accuracy"]
        holds = theirs <= ours["high"]
        short += not holds
        print(
            f"| {row['title']} | {row['parameter']} | {ours['value']:.4f} | {ours['low']:.4f} to "
            f"{ours['high']:.4f} | {theirs:.4f} | {'yes' if holds else 'NO'} | {row['fit_s']:.1f} |"
        )
    return short


def compare_stock(results: dict, tracker: MlflowTracker) -> int:
    """Fit stock KNN and SVC and count labels equal to ours; return how many rows fall short."""
    dataset = load_dataset(
        results["config"]["dataset"]["source"], data_dir=load_settings().data_dir
    )
    split = make_split(dataset)
    raw, test = split.images.astype(np.float64), split.test.images.astype(np.float64)
    print("| model | parameter | equal labels | of | stock fit + predict s |")
    print("|---|---|---|---|---|")
    short = 0
    for row in results["rows"]:
        if row["model"] not in ("knn", "svm"):
            continue
        started = time.perf_counter()
        if row["model"] == "knn":
            stock = KNeighborsClassifier(row["params"]["n_neighbors"], algorithm="brute")
            labels, needed = stock.fit(raw, split.labels).predict(test), 1.0
        else:
            stock = SVC(C=row["params"]["C"], cache_size=2000)
            labels, needed = stock.fit(raw / 255, split.labels).predict(test / 255), 0.999
        seconds = time.perf_counter() - started
        with tracker.folder(row["run_id"]) as folder:
            ours = Predictions.read(Path(folder) / "predictions.npz").test.argmax(axis=1)
        equal = int((ours == labels).sum())
        short += equal < needed * len(labels)
        print(f"| {row['title']} | {row['parameter']} | {equal} | {len(labels)} | {seconds:.1f} |")
        sys.stdout.flush()
    return short


if __name__ == "__main__":
    sys.exit(main())
