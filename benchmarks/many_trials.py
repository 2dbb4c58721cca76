"""Run thousands of trials whose fits do nothing: what a trial costs besides its fit.

    python benchmarks/many_trials.py
    python benchmarks/many_trials.py --at 100,200,300
    python benchmarks/many_trials.py --postgres --at 100,200,300

Sweep, runner, locks and tracker are the real ones; the fit writes the files of a trial that
predicts a few images, at once. After each number of trials the table says how long a trial of the
last part took, how large this process, the database and all files are, how long the query for
finished trials takes, and how long a second run needs that finds all of them finished. What a trial
costs must not grow: of this process's time, of its memory, of the database and of the query, each
trial of the last part may take at most half as much again as one of the first (other work on the
machine changes the wall time, too). The program says which of these did not hold and exits with 1.
With `--postgres` an MLflow server on PostgreSQL remembers them and keeps their files.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import places
import psutil
import psycopg
from postgres import running_postgres

from tenfold.config import canonical_params
from tenfold.costs import DataSize
from tenfold.files import write_text
from tenfold.machine import describe_machine
from tenfold.records import FitUnit, Numerics, Predictions, Trial, TrialResult
from tenfold.runner import UnitRunner
from tenfold.servers import Server
from tenfold.sweep import Sweep
from tenfold.tracking import MlflowTracker
from tenfold.workspace import Workspace

CLASSES = 10
MOST_GROWTH = 1.5
#: By what costs, what the whole last part may take beyond its bound. These come in steps: Python
#: and numpy ask the system for memory by the block, and SQLite's log and PostgreSQL's tables grow
#: by the megabyte. A query is timed once, on a machine that may have other work. The processor
#: time of a part is a sum over its trials, and needs nothing.
TOLERANCES = {
    "CPU s of this process": 0.0,
    "MB of this process": 10.0,
    "MB of the database": 5.0,
    "s of the query": 0.25,
}


@dataclass(frozen=True)
class Part:
    """The trials between two of the numbers.

    Args:
        trials: How many these are.
        costs: What all of them cost together, by the names in `TOLERANCES`.
    """

    trials: int
    costs: Mapping[str, float]


def main(words: Sequence[str] | None = None) -> int:
    """Print the table; return 1 when a trial's cost grows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--at", default="1000,2500,5000,10000", help="numbers of trials, rising")
    parser.add_argument("--images", type=int, default=20, help="that each trial predicts")
    parser.add_argument("--threads", type=int, default=1, help="units at once")
    parser.add_argument("--postgres", action="store_true", help="remember on a server")
    parser.add_argument("--home", type=Path, help="a new workspace; default: one that is removed")
    arguments = parser.parse_args(words)
    numbers = [int(number) for number in arguments.at.split(",")]
    if len(numbers) < 2 or any(one >= other for one, other in pairwise([0, *numbers])):
        parser.error(f"--at is {arguments.at!r}: two numbers or more are compared, rising from 1")
    print(json.dumps(describe_machine()))
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tenfold-many-"))
        home = arguments.home or Path(folder) / "home"
        if arguments.postgres:
            database = stack.enter_context(running_postgres())
            server = Server(places.mlflow_server(home / "server", database))
            stack.enter_context(server).wait_until_ready()
            os.environ["MLFLOW_TRACKING_URI"] = server.url
        size_of = partial(postgres_bytes, database) if arguments.postgres else sqlite_bytes
        parts = list(
            measured(
                home, numbers, images=arguments.images, threads=arguments.threads, size_of=size_of
            )
        )
    broken = growing(parts)
    print("\n" + ("\n".join(broken) or "no cost of a trial grows"))
    return 1 if broken else 0


def growing(parts: Sequence[Part]) -> list[str]:
    """Return a line for each cost of a trial that grew beyond its bound.

    Args:
        parts: In the order in which they were run, at least two.
    """
    first, last = parts[0], parts[-1]
    lines = []
    for name, tolerance in TOLERANCES.items():
        before, after = (part.costs[name] / part.trials for part in (first, last))
        most = MOST_GROWTH * max(before, 0.0) + tolerance / last.trials
        if after > most:
            lines.append(
                f"GROWS: {name} for a thousand trials: {1000 * before:.3g} in the first part, "
                f"{1000 * after:.3g} in the last; at most {1000 * most:.3g}"
            )
    return lines


def measured(
    home: Path,
    numbers: Sequence[int],
    *,
    images: int,
    threads: int,
    size_of: Callable[[Path], int] | None = None,
) -> Iterator[Part]:
    """Print a row for each number of trials and yield what the trials up to it cost.

    Args:
        home: A new workspace.
        numbers: Of trials, rising.
        images: That each trial predicts.
        threads: Units at once.
        size_of: Returns the bytes of a workspace's database; None: of an SQLite file.
    """
    print("\n| trials | ms a trial | CPU ms a trial | process MB | database MB | files MB "
          "| query s | found again s |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    workspace = Workspace(home).open()
    tracker = MlflowTracker(workspace, "many")
    with workspace.locked("many"):
        parent = tracker.begin("many", lock="many", params={}, tags={})
        sweep = opened(workspace, tracker, parent, NoFits(images, threads))

        def look(cpu_s: float, number: int) -> list[float]:
            """Return what all trials so far have cost, as `TOLERANCES` names it."""
            process = psutil.Process().memory_info().rss / 1e6
            database = (size_of or sqlite_bytes)(home) / 1e6
            clock = time.perf_counter()
            assert len(tracker.finished()) == number
            return [cpu_s, process, database, time.perf_counter() - clock]

        before, seen = 0, look(0.0, 0)
        for number in numbers:
            trials = [trial(at) for at in range(before, number)]
            clock, cpu = time.perf_counter(), time.process_time()
            assert {result.status for result in sweep.fit(trials)} == {"finished"}
            fit_s, cpu_s = time.perf_counter() - clock, time.process_time() - cpu
            now = look(seen[0] + cpu_s, number)
            again_s = found_again(
                opened(workspace, tracker, parent, NoFits(images, threads)), number
            )
            give_memory_back()  # else the next part would seem to need none
            print(
                f"| {number:,} | {1000 * fit_s / len(trials):.1f} | "
                f"{1000 * cpu_s / len(trials):.1f} | {now[1]:.0f} | {now[2]:.1f} | "
                f"{folder_bytes(home) / 1e6:.1f} | {now[3]:.2f} | {again_s:.1f} |",
                flush=True,
            )
            costs = (after - earlier for after, earlier in zip(now, seen, strict=True))
            yield Part(len(trials), dict(zip(TOLERANCES, costs, strict=True)))
            before, seen = number, now
        tracker.end(parent, {}, [])


def found_again(sweep: Sweep, number: int) -> float:
    """Return the seconds of a sweep that finds so many trials finished."""
    clock = time.perf_counter()
    assert all(result.reused for result in sweep.fit([trial(at) for at in range(number)]))
    return time.perf_counter() - clock


def give_memory_back() -> None:
    """Hand freed memory back to the system, where the C library does so when asked."""
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


def trial(number: int) -> Trial:
    """Return one of many trials."""
    params = canonical_params("logistic_regression", {"C": 1 + number / 1000})
    return Trial("logistic_regression", params, "Logistic Regression", f"C={params['C']}", seed=0)


def opened(workspace: Workspace, tracker: MlflowTracker, parent: str, executor: Any) -> Sweep:
    """Return a sweep on no data."""
    return Sweep(
        runner=UnitRunner(
            workspace=workspace,
            tracker=tracker,
            parent=parent,
            payload={"dataset": {}, "data_dir": None, "fingerprint": "0" * 64},
            validation_metrics=lambda predictions: {"select_accuracy": 0.5},  # noqa: ARG005
        ),
        executor=executor,
        fingerprint="0" * 64,
        split="none",
        size=DataSize(1000, 64, CLASSES),
        numerics=Numerics("cpu", "float32", 1),
    )


class NoFits:
    """Runs units with a caller that fits nothing.

    Args:
        images: How many each trial predicts.
        threads: Units at once.
    """

    def __init__(self, images: int, threads: int) -> None:
        rows = np.full((images, CLASSES), 1 / CLASSES)
        self._predictions = Predictions(rows, rows)
        self._threads = threads

    def run(
        self, units: Sequence[FitUnit], fit: Callable[..., tuple[TrialResult, ...]]
    ) -> Iterator[tuple[TrialResult, ...]]:
        """Yield each unit's results."""
        with ThreadPoolExecutor(self._threads) as pool:
            for done in as_completed([pool.submit(fit, unit, self) for unit in units]):
                yield done.result()

    def call(
        self,
        function: str,
        payload: Mapping[str, Any],
        *,
        on_event: Callable[[Mapping[str, Any]], None],
        **limits: Any,  # noqa: ARG002  # nothing takes long here
    ) -> Mapping[str, Any]:
        """Write what a fit would have written."""
        if function != "tenfold.fitting:fit_unit":
            return {}
        for key in payload["keys"]:
            folder = Path(payload["folder"]) / key
            self._predictions.write(folder / "predictions.npz")
            write_text(folder / "trial.json", json.dumps(record(key)))
            on_event({"key": key, "done": True})
        return {}


def record(key: str) -> dict[str, Any]:
    """Return the fields of a trial's `trial.json`."""
    return {
        "fit_s": 0.0,
        "predict_us_per_image": 1.0,
        "model_bytes": 1,
        "fit_rows": 1000,
        "fitted_with": [key],
        "chosen": {},
        "calibration": None,
        "history": [],
        "outlier": None,
        "export_error": "nothing was fitted",
    }


def sqlite_bytes(home: Path) -> int:
    """Return the size of a workspace's own MLflow database with its log."""
    return sum(path.stat().st_size for path in home.glob("mlflow.db*"))


def postgres_bytes(database: str, home: Path) -> int:  # noqa: ARG001  # as the one above
    """Return the size of a database on a server."""
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        return int(connection.execute("SELECT pg_database_size(current_database())").fetchone()[0])


def folder_bytes(folder: Path) -> int:
    """Return the size of all files below a folder."""
    return sum(
        (Path(place) / name).stat().st_size for place, _, names in os.walk(folder) for name in names
    )


if __name__ == "__main__":
    sys.exit(main())
