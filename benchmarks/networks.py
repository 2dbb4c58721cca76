"""Measure the networks: how good, how fast, in how much memory, beside the classic PyTorch loops.

    python benchmarks/networks.py classic-990     # to .990 on MNIST, against the classic recipe
    python benchmarks/networks.py networks        # each network's accuracy within its seconds
    python benchmarks/networks.py classic-003     # SimpleConvNet 32/1e-4/10, against a plain loop
    python benchmarks/networks.py memory          # peak memory of training cnn
    python benchmarks/networks.py all

Real MNIST and Fashion-MNIST below `TENFOLD_DATA_DIR`. Every run is a process of its own and leaves
a JSON file in `--out`; what is on file is not run again, so a series that was stopped goes on with
the same command. Recipes are chosen on validation rows (`--validate`); a run opens the sealed test
once. Of two times in a table the second is the first at 50 s an epoch of the classic recipe (see
harness.py); limits and ratios are held to the second.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness import HERE, Record, Run, RunFailedError, job
from plan import Plan, read_plan
from tables import (
    USE_COLUMNS,
    accuracy,
    epochs,
    megabytes,
    print_machines,
    print_races,
    print_table,
    quiet_s,
    use,
)

from tenfold.config import load_config

# What the models' defaults are changed to, by the name of a row below; chosen on validation rows.
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "classic-990": {"shift_px": 1},
    "cnn": {"epochs": 6},
    "deep_cnn": {"epochs": 18, "dropout": 0.2},
    "vit-300": {"epochs": 6},
    "vit-1200": {"epochs": 14, "rotate_deg": 8, "scale": 0.08, "shear": 0.1},
    "mlp": {
        "hidden_layers": [512, 256],
        "epochs": 40,
        "batch_size": 256,
        "learning_rate": 0.004,
        "label_smoothing": 0.05,
        "shift_px": 1,
    },
    "fashion-cnn": {"epochs": 8, "width": 48, "flip": True, "shift_px": 1},
    "fashion-deep_cnn": {
        "epochs": 30,
        "optimizer": "muon",
        "momentum": 0.95,
        "dropout": 0.2,
        "flip": True,
        "erase": 0.1,
        "rotate_deg": 0,
        "shear": 0,
        "scale": 0,
    },
}


@dataclass(frozen=True)
class Row:
    """An accuracy to reach within some seconds.

    Args:
        name: A key of `RECIPES`.
        model: A registered model.
        dataset: A data set's name.
        bar: Least accuracy on the sealed test.
        limit_s: Most seconds of training, at quiet speed.
        aim: The accuracy hoped for.
    """

    name: str
    model: str
    dataset: str
    bar: float
    limit_s: float
    aim: float | None = None

    @property
    def seeds(self) -> tuple[int, ...]:
        """Three seeds for what takes up to a minute, else one."""
        return (0, 1, 2) if self.limit_s <= 60 else (0,)

    @property
    def wanted(self) -> str:
        """The bar in words."""
        aim = f" (aim {self.aim})" if self.aim else ""
        return f"{self.bar}{aim} in {self.limit_s:.0f} s"


ROWS = (
    Row("cnn", "cnn", "mnist", bar=0.995, limit_s=60),
    Row("mlp", "mlp", "mnist", bar=0.988, limit_s=60, aim=0.991),
    Row("vit-300", "vit", "mnist", bar=0.985, limit_s=300),
    Row("vit-1200", "vit", "mnist", bar=0.992, limit_s=1200),
    Row("deep_cnn", "deep_cnn", "mnist", bar=0.997, limit_s=900, aim=0.998),
    Row("fashion-cnn", "cnn", "fashion-mnist", bar=0.925, limit_s=180),
    Row("fashion-deep_cnn", "deep_cnn", "fashion-mnist", bar=0.94, limit_s=900, aim=0.955),
)

GOAL = 0.990
LEAST_RATIO_990, AIMED_RATIO_990 = 30, 60
LEAST_RATIO_003 = 3
MOST_BYTES = 1.2e9
MOST_EPOCHS = 14  # the classic recipe's own number
# The fifth of that project's six experiments; the ViT, its fourth, has a name of its own here.
FIFTH = HERE.parent / "experiments" / "simple_conv_net-4.yaml"

# By side: the program that trains it, and the settings that it is given.
Sides = Mapping[str, tuple[str, Mapping[str, Any]]]


def run_classic_990(plan: Plan) -> bool:
    """Race `cnn` against the classic recipe to .990; return whether it is fast enough.

    Each side first finds how many epochs its validation rows need, then trains so many on all rows.
    Where the goal is out of reach, the epochs of the best validation accuracy stand in for it.
    """
    goal = 0.0 if plan.miniature else GOAL
    sides: Sides = {
        "classic": ("classic.py", {"recipe": "classic"}),
        "tenfold": (
            "estimators.py",
            {"model": "cnn", "params": plan.params("cnn", RECIPES["classic-990"])},
        ),
    }
    pairs = {}
    for seed in plan.seeds_or((0, 1, 2)):
        needed = {}
        for side, (program, settings) in sides.items():
            limits = {"goal": goal, "most_epochs": MOST_EPOCHS}
            spec = plan.spec("mnist", "train", seed=seed, **settings, **limits)
            name = f"{side}-search-{seed}"
            found = plan.series.run(job("classic-990", name, program, "search", spec))
            needed[side] = found and _epochs_needed(found["result"], name)
        if None not in needed.values():
            pairs[seed] = _race(plan, "classic-990", seed, sides, needed)
    ratio = _finish(pairs)
    print(f"wanted: {LEAST_RATIO_990} times as fast (aim {AIMED_RATIO_990})")
    return ratio >= LEAST_RATIO_990 or plan.miniature


def _epochs_needed(result: Mapping[str, Any], name: str) -> int:
    """Return the epochs that reached the goal, else those of the best validation accuracy."""
    if result["epochs"] is not None:
        return int(result["epochs"])
    best = max(result["tried"], key=lambda tried: tried["accuracy"])
    print(f"{name}: never; its best stands in, {best['accuracy']:.4f} after {best['epochs']}")
    return int(best["epochs"])


def run_classic_003(plan: Plan) -> bool:
    """Race `simple_conv_net` by its file against the same recipe in a plain loop."""
    params = plan.params("simple_conv_net", load_config(FIFTH).models[0].params)
    sides: Sides = {
        "loop": ("classic.py", {"recipe": "simple_conv_net", "epochs_timed": plan.epochs_timed}),
        "tenfold": ("estimators.py", {"model": "simple_conv_net", "params": params}),
    }
    needed = dict.fromkeys(sides, params["epochs"])
    pairs = {seed: _race(plan, "classic-003", seed, sides, needed) for seed in plan.seeds_or((0,))}
    ratio = _finish(pairs)
    good = all(pair[-1]["result"]["accuracy"] >= GOAL for pair in pairs.values() if pair)
    print(f"wanted: accuracy {GOAL}, {LEAST_RATIO_003} times as fast")
    return (good and ratio >= LEAST_RATIO_003) or plan.miniature


def _race(
    plan: Plan, suite: str, seed: int, sides: Sides, needed: Mapping[str, int]
) -> list[Record]:
    """Train each side in turn on all rows; return the records of those that did not fail."""
    found = []
    for side, (program, settings) in sides.items():
        spec = plan.spec("mnist", "all", seed=seed, epochs=needed[side], **settings)
        found.append(plan.series.run(job(suite, f"{side}-{seed}", program, "fit", spec)))
    return [record for record in found if record is not None]


def _finish(pairs: Mapping[int, list[Record]]) -> float:
    """Print the races that both sides finished; return the median ratio at quiet speed."""
    whole = {seed: pair for seed, pair in pairs.items() if len(pair) == 2}
    ratio = print_races(whole)
    print_machines(record for pair in whole.values() for record in pair)
    return ratio


def run_networks(plan: Plan) -> bool:
    """Train each network by its recipe; return whether all reach their bars in their time."""
    suite, part = ("validate", "train") if plan.validate else ("networks", "all")
    records, cells, short = [], [], 0
    for row in ROWS:
        if plan.only and row.name not in plan.only:
            continue
        params = plan.params(row.model, RECIPES[row.name])
        for seed in plan.seeds_or(row.seeds):
            spec = plan.spec(row.dataset, part, seed=seed, model=row.model, params=params)
            record = plan.series.run(job(suite, f"{row.name}-{seed}", "estimators.py", "fit", spec))
            if record is None:
                continue
            holds = record["result"]["accuracy"] >= row.bar and quiet_s(record) <= row.limit_s
            short += not holds
            records.append(record)
            verdict = (row.wanted, "yes" if holds else "NO")
            cells.append(
                (record["name"], epochs(record), *accuracy(record), *verdict, *use(record))
            )
    rows = "validation" if plan.validate else "test"
    header = ("run", "epochs", f"{rows} accuracy", "95 % interval", "wanted", "holds")
    print_table((*header, *USE_COLUMNS), cells)
    print_machines(records)
    return not short or plan.miniature or plan.validate


def run_memory(plan: Plan) -> bool:
    """Train `cnn` by the command and by the estimator; return whether both are small enough.

    The command trains in a process of its own. What counts is what all processes hold together.
    """
    words = ["train", "--model", "cnn", "--set", f"threads={plan.threads}"]
    words += ["--dataset", "digits" if plan.miniature else "mnist"]
    words += ["--epochs", "1", "--set", "tracking=none"] if plan.miniature else []
    spec = plan.spec("mnist", "all", seed=0, model="cnn", params=plan.params("cnn", {}))
    estimator = job("memory", "estimator", "estimators.py", "fit", spec)
    with tempfile.TemporaryDirectory() as home:
        command = Run("memory", "command", "tenfold", tuple(words), {"TENFOLD_HOME": home})
        found = [plan.series.run(replace(run, watched=True)) for run in (command, estimator)]
    records = [record for record in found if record is not None]
    sums = [record["process"]["sum_bytes"] for record in records]
    print_table(
        ("run", "MB together at most", "MB of each process", "wanted", "holds"),
        [
            (
                record["name"],
                megabytes(n_bytes),
                " + ".join(megabytes(peak) for peak in record["process"]["peaks_bytes"]),
                f"below {megabytes(MOST_BYTES)}",
                "yes" if n_bytes < MOST_BYTES else "NO",
            )
            for record, n_bytes in zip(records, sums, strict=True)
        ],
    )
    print_machines(records)
    return max(sums, default=0) < MOST_BYTES


SUITES: Mapping[str, Callable[[Plan], bool]] = {
    "classic-990": run_classic_990,
    "networks": run_networks,
    "classic-003": run_classic_003,
    "memory": run_memory,
}


def main() -> int:
    """Run the suites and print their tables; return 1 when something falls short or failed."""
    plan = read_plan(list(SUITES), [row.name for row in ROWS])
    enough = True
    for name in plan.suites:
        print(f"\n## {name}\n", flush=True)
        try:
            enough &= SUITES[name](plan)
        except RunFailedError as error:
            print(f"stopped: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print(
                "interrupted; what is finished is kept, the same command goes on", file=sys.stderr
            )
            return 130
        sys.stdout.flush()
    for failed in plan.series.failed:
        print(f"FAILED: {failed}")
    return 0 if enough and not plan.series.failed else 1


if __name__ == "__main__":
    sys.exit(main())
