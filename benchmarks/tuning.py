"""Measure tuning: what pruning saves, what a search gains, and grids beside scikit-learn's.

    python benchmarks/tuning.py pruning --epochs 5 --limit .45
    python benchmarks/tuning.py pruning --epochs 27 --limit .25
    python benchmarks/tuning.py gain
    python benchmarks/tuning.py grids

`pruning` runs 20 trials of the classic search (learning rate and momentum of `bn_cnn`) with and
without pruning, for three seeds: the share of the epochs spent, and whether the best of the pruned
study is worse on the test images by the paired test. `gain` compares the best of 20 trials with the
defaults, in errors on the select rows and by the paired test on the test images. Both test what
the trials fitted, without a refit, and share their studies in one ``--home``. `grids` runs
``experiments/mnist-small-grids.yaml`` and, on every third path of svm, random_forest and xgboost (a
path is the combinations that differ in one parameter alone: C, or the number of trees), stock
`GridSearchCV` with as many jobs; both are timed on that third, with scikit-learn's defaults outside
the grids, but entropy for the forest. `grids --images test-file` learns from 9,000 of MNIST's test
images, as the recorded figures seem to: a reproduction, which times nothing and whose scores are of
no test.

Each exits with 1 where a bar is missed. ``--miniature`` proves on the embedded digits that the
measurement works; its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC
from tables import print_table

from tenfold.config import ExperimentConfig, load_config, load_settings, parse_config
from tenfold.data import load_dataset, make_split, open_sealed_test
from tenfold.evaluation import mcnemar_p_value
from tenfold.fitting import open_split
from tenfold.grid_search import run_grid_search
from tenfold.histories import StudyHistory
from tenfold.machine import describe_machine, usable_cores
from tenfold.models import get_spec
from tenfold.records import Predictions
from tenfold.runner import NullObserver
from tenfold.search import expand_grid
from tenfold.searching import NullStudyObserver
from tenfold.tracking import MlflowTracker
from tenfold.tuning import TuningResult, run_tuning
from tenfold.workbench import open_workbench
from tenfold.workspace import Workspace

Item = TypeVar("Item")
EXPERIMENTS = Path(__file__).parents[1] / "experiments"
#: Mean accuracies in cross-validation that earlier projects recorded, and what may be lost.
RECORDED = {"fcnn": 0.9552, "xgboost": 0.9462, "random_forest": 0.9473, "svm": 0.9654, "cnn": 0.98}
MARGIN = 0.005
#: The three grids that are timed, with what the earlier projects' estimators had outside them.
STOCK: dict[str, dict[str, str]] = {
    "svm": {},
    "random_forest": {"criterion": "entropy"},
    "xgboost": {},
}
MINIATURE = {
    "dataset": {"source": "digits", "cv_below": 0, "max_images": 600},
    "units_at_once": 0,
    "threads": 1,
}


def main() -> int:
    """Run one measurement; return 1 when it misses a bar."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("pruning", "gain", "grids"))
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument(
        "--dataset",
        choices=("mnist", "mnist-small"),
        default="mnist",
        help="of studies; on mnist-small, a study takes a sixth of the time",
    )
    parser.add_argument("--limit", type=float, default=0.45, help="most of the epochs to spend")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--pruner", default="asha")
    parser.add_argument("--reduction-factor", type=int, default=None)
    parser.add_argument("--home", type=Path, help="workspace to keep; default: TENFOLD_HOME")
    parser.add_argument(
        "--images",
        choices=("mnist-small", "test-file"),
        default="mnist-small",
        help="what grids learn from",
    )
    parser.add_argument("--miniature", action="store_true")
    arguments = parser.parse_args()
    print(json.dumps(describe_machine()))
    with tempfile.TemporaryDirectory(prefix="tenfold-tuning-") as folder:
        if arguments.home or arguments.miniature:
            os.environ["TENFOLD_HOME"] = str(arguments.home or folder)
        arguments.folder = Path(folder)
        holds = {"pruning": pruning, "gain": gain, "grids": grids}[arguments.what](arguments)
    return 0 if holds else 1


def pruning(arguments: argparse.Namespace) -> bool:
    """Print what pruning saved for each seed; say whether the bars hold."""
    rows, shares, worse = [], [], 0
    for seed in arguments.seeds:
        pruned = searched(arguments, seed, arguments.pruner)
        whole = searched(arguments, seed, "none")
        share = epochs_of(pruned.histories[0]) / epochs_of(whole.histories[0])
        shares.append(share)
        (ours, right), (theirs, right_whole) = tested(pruned), tested(whole)
        p_value = mcnemar_p_value(right, right_whole)
        worse += p_value < 0.05 and ours < theirs
        counts = [str(len(pruned.histories[0].of(state))) for state in ("finished", "pruned")]
        rows.append(
            (str(seed), *counts, f"{share:.3f}", f"{ours:.4f}", f"{theirs:.4f}", f"{p_value:.3f}")
        )
    mean = float(np.mean(shares))
    header = ("seed", "finished", "pruned", "share of epochs", "test", "test unpruned", "p")
    print_table(header, [*rows, ("mean", "", "", f"{mean:.3f}", "", "", "")])
    print(f"share of the epochs: {mean:.3f}, at most {arguments.limit}; worse by the test: {worse}")
    return mean <= arguments.limit and not worse


def gain(arguments: argparse.Namespace) -> bool:
    """Print what the search gained over the defaults for each seed; say whether the bars hold."""
    rows, holds = [], True
    for seed in arguments.seeds:
        result = searched(arguments, seed, arguments.pruner)
        (history,) = result.histories
        assert history.start is not None, "nothing to compare with"
        assert history.best is not None, "a study without a finished trial raises"
        before, after = (1 - trial.values[0] for trial in (history.start, history.best))
        lowered = 1 - after / before if before else 0.0
        by_label = {row.label: row for row in result.leaderboard.rows}
        start, best = (by_label[trial.label] for trial in (history.start, history.best))
        assert start.scores is not None, "a finished trial has scores"
        assert best.scores is not None, "a finished trial has scores"
        p_value = start.p_vs_winner if start is not best else 1.0
        better = best.scores.accuracy.value > start.scores.accuracy.value
        holds &= lowered >= 0.2 and better and p_value is not None and p_value < 0.05
        accuracies = (f"{row.scores.accuracy.value:.4f}" for row in (start, best) if row.scores)
        rows.append(
            (
                str(seed),
                f"{before:.4f}",
                f"{after:.4f}",
                f"{lowered:.1%}",
                *accuracies,
                f"{p_value:.3g}",
            )
        )
    header = ("seed", "select error", "after", "lowered by", "test", "after", "p")
    print_table(header, rows)
    return holds


def searched(arguments: argparse.Namespace, seed: int, pruner: str) -> TuningResult:
    """Run one study of the classic search; trials that another has too are not fitted again."""
    raw = load_config(EXPERIMENTS / "bn_cnn-search.yaml").model_dump(mode="json")
    raw["models"][0]["params"]["epochs"] = arguments.epochs
    raw["tune"] |= {"n_trials": arguments.trials, "pruner": pruner}
    if arguments.reduction_factor:
        raw["tune"]["reduction_factor"] = arguments.reduction_factor
    # A kept home has the studies of other calls: whatever decides what is pruned is in the name.
    how = pruner if pruner == "none" else f"{pruner}-{raw['tune']['reduction_factor']}"
    name = f"{how}-{arguments.epochs}-{arguments.trials}-{seed}"
    name += arguments.dataset.removeprefix("mnist")
    raw["dataset"]["source"] = arguments.dataset
    raw |= {"name": name, "seed": seed, "refit": "none"}
    if arguments.miniature:
        raw |= MINIATURE
    return run_tuning(parse_config(raw), observer=Lines())


def epochs_of(history: StudyHistory) -> int:
    """Return the epochs of a study: all of each finished trial, and of a pruned one those done."""
    pruned = sum(max(trial.steps) for trial in history.of("pruned"))
    return pruned + sum(int(trial.params["epochs"]) for trial in history.of("finished"))


def tested(result: TuningResult) -> tuple[float, np.ndarray]:
    """Return the winner's test accuracy, and which test images it gets right."""
    winner = result.leaderboard.winner
    assert winner is not None, "a tuning without a winner raises"
    assert winner.scores is not None, "the winner was tested"
    settings = load_settings()
    tracker = MlflowTracker(Workspace(settings.home), None)
    _, split = open_split(result.config.dataset, settings.data_dir)
    labels = open_sealed_test(split, choices={"winner": winner.key})
    with tracker.folder(tracker.finished()[winner.test_key]) as folder:
        given = Predictions.read(Path(folder) / "predictions.npz").test
    return winner.scores.accuracy.value, given.argmax(axis=1) == labels


class Lines(NullStudyObserver):
    """Says after each trial how the study stands."""

    def judged(self, history: StudyHistory, number: int) -> None:
        trial = next(trial for trial in history.trials if trial.number == number)
        said = f"{history.name} {len(history.trials)}/{history.n_trials} {trial.label}"
        print(said, trial.state, trial.values or trial.reason, file=sys.stderr, flush=True)


def grids(arguments: argparse.Namespace) -> bool:
    """Print each grid's best beside the recorded one, and the times beside stock scikit-learn's."""
    config = load_config(EXPERIMENTS / "mnist-small-grids.yaml")
    raw = config.model_dump(mode="json")
    if arguments.miniature:
        raw["dataset"] |= {"source": "digits", "max_images": 300}
        raw["models"] = [entry for entry in raw["models"] if entry["model"] in STOCK]
        raw["models"][1]["grid"]["n_estimators"] = [5, 10]
    elif arguments.images == "test-file":
        raw["dataset"] |= {"source": str(_test_file(arguments.folder)), "test_fraction": 0.1}
    config = parse_config({**raw, "name": f"grids-{arguments.images}"})
    result = run_grid_search(config)
    rows, holds = [], True
    for table in result.tables:
        assert table.best is not None, "a grid without a finished combination raises"
        recorded = RECORDED[table.model]
        good = table.best.mean >= recorded - MARGIN
        holds &= good or arguments.miniature
        rows.append(
            (
                table.title,
                str(len(table.rows)),
                table.best.label,
                f"{table.best.mean:.4f}",
                f"{recorded:.4f}",
                "yes" if good else "NO",
            )
        )
    header = ("model", "combinations", "best", "CV accuracy", "recorded", "not below")
    print_table(header, rows)
    return holds if arguments.images == "test-file" else beside_stock(raw) and holds


def _test_file(folder: Path) -> Path:
    """Write MNIST's official test images and labels as a data set of their own."""
    dataset = load_dataset("mnist", data_dir=load_settings().data_dir)
    split = make_split(dataset)
    labels = open_sealed_test(split, choices={"reproduced": "figures recorded on these images"})
    images = split.test.images.reshape(-1, *split.image_shape)
    path = folder / "mnist-test-file.npz"
    np.savez(path, images=images, labels=labels)
    return path


def beside_stock(raw: dict[str, Any]) -> bool:
    """Time ours and stock scikit-learn on every third path of three grids."""
    folds = {"cv_below": sys.maxsize, "cv_folds": 3, "cv_repeats": 1}
    config = parse_config(
        {
            **raw,
            "dataset": {**raw["dataset"], **folds},
            "models": [
                {**entry, "params": STOCK[entry["model"]]}
                for entry in raw["models"]
                if entry["model"] in STOCK
            ],
            "threads": 1,
            "units_at_once": usable_cores(),
        }
    )
    ours_s = _time_ours(config)
    theirs = {entry.model: _time_stock(config, place) for place, entry in enumerate(config.models)}
    stock_s = sum(theirs.values())
    print_table(
        ("every third path of three grids", "seconds"),
        [
            *((f"stock, {name}", f"{seconds:.1f}") for name, seconds in theirs.items()),
            ("stock, together", f"{stock_s:.1f}"),
            ("ours, together", f"{ours_s:.1f}"),
            ("ours : stock", f"{ours_s / stock_s:.2f}"),
        ],
    )
    return ours_s <= stock_s / 3


def _time_ours(config: ExperimentConfig) -> float:
    """Return the seconds of the thirds: data, processes, folds, tracking, the bests' fits."""
    trials = []
    for place, entry in enumerate(config.models):
        alone = config.model_copy(update={"models": (entry,)})
        trials += _third(expand_grid(alone), config, place=place)
    with tempfile.TemporaryDirectory(prefix="tenfold-third-") as home:
        settings = load_settings({**os.environ, "TENFOLD_HOME": home})
        MlflowTracker(Workspace(settings.home).open(), None)  # making its tables is not timed
        started = time.perf_counter()
        with open_workbench(config, None, settings=settings, observer=NullObserver()) as workbench:
            results = workbench.cross_validate(trials)
            _, best = workbench.choose(results)
            workbench.fit_whole([result for result in results if result.key in best.values()])
            return time.perf_counter() - started


def _third(many: Sequence[Item], config: ExperimentConfig, *, place: int) -> list[Item]:
    """Return of one thing for each combination of a grid those of every third path."""
    entry = config.models[place]
    path = get_spec(entry.model).path
    assert path is not None, "the three grids have paths"
    paths: dict[str, list[Item]] = {}
    for one, values in zip(many, entry.combinations(), strict=True):
        shared = {name: value for name, value in values.items() if name != path.parameter}
        paths.setdefault(json.dumps(shared), []).append(one)
    return [one for together in list(paths.values())[::3] for one in together]


def _time_stock(config: ExperimentConfig, place: int) -> float:
    """Return the seconds of a third by `GridSearchCV`, the best's fit included; data are loaded."""
    from xgboost import XGBClassifier

    entry = config.models[place]
    _, split = open_split(config.dataset, load_settings().data_dir)
    stock = {
        "svm": SVC(),
        "random_forest": RandomForestClassifier(**STOCK["random_forest"], random_state=42),
        "xgboost": XGBClassifier(n_jobs=1, random_state=42),
    }
    grid = [
        {name: [value] for name, value in values.items()}
        for values in _third(list(entry.combinations()), config, place=place)
    ]
    started = time.perf_counter()
    search = GridSearchCV(stock[entry.model], grid, cv=3, n_jobs=usable_cores())
    search.fit(split.images / 255.0, split.labels)
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
