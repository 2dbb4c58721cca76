"""Hold a classic grid of 18 rows, run as one command, against the same 18 fits one by one.

    python benchmarks/sweep_18.py             # mnist-18
    python benchmarks/sweep_18.py fashion-18

One side is ``tenfold compare experiments/mnist-18.yaml`` in a fresh workspace, all of it: start,
fits, graphs, report; as many fits of one thread run at once as there are cores. The other side is
stock scikit-learn in float64 and plain PyTorch loops with the grid's own batch sizes, rates and
epochs, each on all cores; of these only fit and prediction count. Both learn from the same training
rows. Labels of KNN and forest must be equal on every test image; of the others the accuracy must
not be lower: the 95 % interval of the paired difference must reach 0. The figures published for the
same rows, by the public MNIST project whose grid this is, stand beside; they are of fits on all
60,000 images.

Every run is a process of its own and leaves a JSON file in `--out`; what is on file is not run
again, so a series that was stopped goes on with the same command.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from fits import unpacked
from harness import HERE, Record, at_quiet_speed
from races import Race, finish, race_parser
from rows import load_rows
from tables import print_machines, print_table

from tenfold.config import load_config
from tenfold.evaluation import wilson_interval
from tenfold.evaluation.intervals import bootstrap_t_interval
from tenfold.records import Trial
from tenfold.search import expand_grid

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
EQUAL = ("knn", "random_forest")
LEAST_RATIO, AIMED_RATIO = 8, 15

Labels = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Pair:
    """A row of the grid by both sides.

    Args:
        trial: What is fitted.
        published: The published accuracy.
        ours: What ``compare`` of `fits.py` says of the row.
        theirs: The record of the stock fit.
    """

    trial: Trial
    published: float
    ours: Mapping[str, Any]
    theirs: Record

    def cells(self, truth: Labels) -> tuple[tuple[str, ...], bool]:
        """Return the row's cells, and whether it holds."""
        own, stock = unpacked(self.ours["labels"]), unpacked(self.theirs["result"]["labels"])
        right, stock_right = own == truth, stock == truth
        score = wilson_interval(int(right.sum()), len(truth))
        gap = bootstrap_t_interval(right.astype(np.float64) - stock_right)
        equal = int((own == stock).sum())
        holds = equal == len(own) if self.trial.model in EQUAL else gap.high >= 0
        shared = self.ours["fitted_with"]
        return (
            self.trial.title,
            f"`{self.trial.label}`",
            f"{score.value:.4f}",
            f"{stock_right.mean():.4f}",
            f"{100 * gap.low:+.2f} to {100 * gap.high:+.2f}",
            f"{equal} of {len(own)}",
            "equal labels" if self.trial.model in EQUAL else "not below",
            "yes" if holds else "NO",
            f"{self.published:.4f}",
            f"{self.ours['fit_s']:.1f}" + (f" for {shared} rows" if shared > 1 else ""),
            f"{self.theirs['result']['seconds']:.1f}",
        ), holds


def run_sweep(race: Race, name: str, refit: str) -> bool:
    """Run both sides and print the tables; return whether labels and times hold."""
    path = HERE.parent / "experiments" / f"{name}.yaml"
    config = load_config(path)
    trials = expand_grid(config)
    spec = race.data(config.dataset.source, "sweep")
    changes = [f"refit={refit}", f"units_at_once={race.threads}"]
    if not race.full:
        changes += [f"dataset.max_images={race.rows}", "dataset.cv_below=0"]
    ours = race.run("tenfold", "compare", {"config": str(path), "set": changes})
    theirs = [race.run(_name(trial), "stock", {**spec, **_recipe(trial)}) for trial in trials]
    if ours is None or None in theirs:
        return False
    found = {_identity(row): row for row in ours["result"]["rows"]}
    pairs = [
        Pair(trial, published, found[_identity(_recipe(trial))], record)
        for trial, published, record in zip(trials, PUBLISHED[name], theirs, strict=True)
        if record is not None
    ]
    truth = load_rows(spec).truth({"race": race.suite, "rows": [_recipe(t) for t in trials]})
    same = print_rows(pairs, truth)
    ratio = print_whole(ours, [pair.theirs for pair in pairs])
    print_machines([ours, *(pair.theirs for pair in pairs)])
    print(f"wanted: rows that hold, {LEAST_RATIO} times as fast (aim {AIMED_RATIO})")
    return (same and ratio >= LEAST_RATIO) or not race.full


def _recipe(trial: Trial) -> dict[str, Any]:
    return {"model": trial.model, "params": dict(trial.params), "seed": trial.seed}


def _identity(row: Mapping[str, Any]) -> str:
    return json.dumps([row["model"], row["params"]], sort_keys=True)


def _name(trial: Trial) -> str:
    value = trial.label.split("=")[1].strip("()").replace(", ", "-")
    return f"{trial.model}-{value}"


def print_rows(pairs: Sequence[Pair], truth: Labels) -> bool:
    """Print a line for each row of the grid; return whether all hold."""
    lines = [pair.cells(truth) for pair in pairs]
    header = ("model", "parameter", "ours", "stock", "ours - stock, points", "equal labels")
    print_table(
        (*header, "wanted", "holds", "published", "our fit s", "stock s"),
        [cells for cells, _ in lines],
    )
    return all(holds for _, holds in lines)


def print_whole(ours: Record, theirs: Sequence[Record]) -> float:
    """Print how long both sides took; return the ratio of the seconds at quiet speed."""

    def seconds(record: Record) -> float:
        return float(record["result"]["seconds"])

    sides = {
        "seconds": (sum(map(seconds, theirs)), seconds(ours)),
        "at 50 s an epoch": (
            sum(at_quiet_speed(record, seconds(record)) for record in theirs),
            at_quiet_speed(ours, seconds(ours)),
        ),
        "CPU s": (
            sum(record["result"]["cpu_s"] for record in theirs),
            ours["process"]["cpu_s"],
        ),
    }
    print_table(
        ("the 18 rows", "stock, one by one", "tenfold, whole command", "ratio"),
        [
            (name, f"{stock:.1f}", f"{own:.1f}", f"{stock / own:.1f}")
            for name, (stock, own) in sides.items()
        ],
    )
    stock, own = sides["at 50 s an epoch"]
    return stock / own


def main() -> int:
    """Race; return 1 when a row does not hold, or the bar is missed."""
    parser = race_parser("Hold a grid of 18 rows against the same fits one by one.")
    parser.add_argument("experiment", nargs="?", choices=sorted(PUBLISHED), default="mnist-18")
    parser.add_argument(
        "--refit",
        choices=("winner", "all", "none"),
        default="none",
        help="of our side; stock has none; default: none",
    )
    given: argparse.Namespace = parser.parse_args()
    race = Race(given, given.experiment)
    return finish(lambda: run_sweep(race, given.experiment, given.refit), race.series)


if __name__ == "__main__":
    sys.exit(main())
