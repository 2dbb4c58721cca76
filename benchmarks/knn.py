"""Hold exact KNN against stock scikit-learn: all three rows of the classic grid.

    python benchmarks/knn.py

Stock is ``KNeighborsClassifier(algorithm="brute")`` on raw pixels in float64, one fit and
prediction for each k; tenfold's rows share one search. Both learn from all 60,000 images of MNIST
and of Fashion-MNIST and label the 10,000 test images. Every run is a process of its own and leaves
a JSON file in `--out`; what is on file is not run again.
"""

from __future__ import annotations

import argparse
import sys

from fits import unpacked
from harness import Record, at_quiet_speed
from races import Race, finish, race_parser
from tables import megabytes, print_machines, print_table

DATASETS = ("mnist", "fashion-mnist")
KS = (3, 5, 7)
LEAST_RATIO, AIMED_RATIO = 10, 20


def run_dataset(race: Race, dataset: str) -> bool:
    """Race on one data set and print its table; return whether labels and times hold."""
    spec = race.data(dataset, "all")
    theirs = [
        race.run(
            f"{dataset}-stock-{k}",
            "stock",
            {**spec, "model": "knn", "params": {"n_neighbors": k}, "seed": 0},
        )
        for k in KS
    ]
    ours = race.run(f"{dataset}-tenfold", "neighbors", {**spec, "ks": KS})
    if ours is None or None in theirs:
        return False
    return print_race(dataset, [record for record in theirs if record], ours, full=race.full)


def print_race(dataset: str, theirs: list[Record], ours: Record, *, full: bool) -> bool:
    """Print a data set's table; return whether the labels are equal and the ratio is reached.

    Args:
        dataset: Its name.
        theirs: Stock's records, by k.
        ours: tenfold's.
        full: Whether the times count.
    """
    labels = [unpacked(text) for text in ours["result"]["labels"].values()]
    equal = [
        int((unpacked(record["result"]["labels"]) == own).sum())
        for record, own in zip(theirs, labels, strict=True)
    ]
    print_table(
        ("run", "equal labels", "seconds", "CPU s", "peak MB"),
        [
            (record["name"], f"{same} of {len(own)}", *_use(record))
            for record, same, own in zip(theirs, equal, labels, strict=True)
        ]
        + [(ours["name"], "", *_use(ours))],
    )
    ratios = {
        "seconds": sum(r["result"]["seconds"] for r in theirs) / ours["result"]["seconds"],
        "at 50 s an epoch": sum(at_quiet_speed(r, r["result"]["seconds"]) for r in theirs)
        / at_quiet_speed(ours, ours["result"]["seconds"]),
        "CPU s": sum(r["result"]["cpu_s"] for r in theirs) / ours["result"]["cpu_s"],
    }
    print_table(
        ("three rows, stock : tenfold", *ratios),
        [(dataset, *(f"{ratio:.1f}" for ratio in ratios.values()))],
    )
    print_machines([*theirs, ours])
    same = all(count == len(own) for count, own in zip(equal, labels, strict=True))
    return same and (ratios["at 50 s an epoch"] >= LEAST_RATIO or not full)


def _use(record: Record) -> tuple[str, str, str]:
    result = record["result"]
    peak = megabytes(record["process"]["peak_bytes"])
    return f"{result['seconds']:.2f}", f"{result['cpu_s']:.2f}", peak


def main() -> int:
    """Race on both data sets; return 1 when a label differs, or the bar is missed."""
    parser = race_parser("Hold exact KNN against stock scikit-learn.")
    given: argparse.Namespace = parser.parse_args()
    race = Race(given, "knn")

    def both() -> bool:
        holds = True
        for dataset in DATASETS:
            print(f"\n## {dataset}\n", flush=True)
            holds &= run_dataset(race, dataset)
        print(f"wanted: equal labels, {LEAST_RATIO} times as fast (aim {AIMED_RATIO})")
        return holds

    return finish(both, race.series)


if __name__ == "__main__":
    sys.exit(main())
