"""Run thousands of trials whose fits do nothing: what a trial costs besides its fit.

    python benchmarks/many_trials.py
    python benchmarks/many_trials.py --at 100,200,300
    python benchmarks/many_trials.py --postgres --at 100,200,300

Sweep, runner, locks and tracker are the real ones; the fit writes the files of a trial that
predicts a few images, at once. After each number of trials the table says how long a trial of the
last part took, how large this process, the database and all files are, how long the query for
finished trials takes, and how long a second run needs that finds all of them finished. A trial's
cost must not grow: the last part may take at most half as much processor time again per trial as
the first (other work on the machine changes the wall time, too).
With `--postgres` an MLflow server on PostgreSQL remembers them and keeps their files.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from functools import partial
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


def main() -> int:
    """Print the table; return 1 when a trial's cost grows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--at", default="1000,2500,5000,10000", help="numbers of trials")
    parser.add_argument("--images", type=int, default=20, help="that each trial predicts")
    parser.add_argument("--threads", type=int, default=1, help="units at once")
    parser.add_argument("--postgres", action="store_true", help="remember on a server")
    parser.add_argument("--home", type=Path, help="a new workspace; default: one that is removed")
    arguments = parser.parse_args()
    numbers = [int(number) for number in arguments.at.split(",")]
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
        costs = list(
            measured(
                home, numbers, images=arguments.images, threads=arguments.threads, size_of=size_of
            )
        )
    return 0 if costs[-1] <= MOST_GROWTH * costs[0] else 1


def measured(
    home: Path,
    numbers: Sequence[int],
    *,
    images: int,
    threads: int,
    size_of: Callable[[Path], int] | None = None,
) -> Iterator[float]:
    """Print a row for each number of trials and yield the processor time of one of its trials.

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
        before = 0
        for number in numbers:
            trials = [trial(at) for at in range(before, number)]
            clock, cpu = time.perf_counter(), time.process_time()
            results = sweep.fit(trials)
            assert {result.status for result in results} == {"finished"}
            ms = 1000 * (time.perf_counter() - clock) / len(trials)
            cpu_ms = 1000 * (time.process_time() - cpu) / len(trials)
            process = psutil.Process().memory_info().rss / 1e6
            clock = time.perf_counter()
            known = tracker.finished()
            query_s = time.perf_counter() - clock
            assert len(known) == number
            again = opened(workspace, tracker, parent, NoFits(images, threads))
            clock = time.perf_counter()
            found = again.fit([trial(at) for at in range(number)])
            again_s = time.perf_counter() - clock
            assert all(result.reused for result in found)
            sizes = (size_of or sqlite_bytes)(home), folder_bytes(home)
            print(
                f"| {number:,} | {ms:.1f} | {cpu_ms:.1f} | {process:.0f} | {sizes[0] / 1e6:.1f} | "
                f"{sizes[1] / 1e6:.1f} | {query_s:.2f} | {again_s:.1f} |",
                flush=True,
            )
            before = number
            yield cpu_ms
        tracker.end(parent, {}, [])


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
