"""Run an experiment here and on a small cluster that loses a worker: the results must be the same.

    python benchmarks/cluster.py experiments/mnist-18.yaml
    python benchmarks/cluster.py --short

The cluster: PostgreSQL, an MLflow server on it that hands artifacts on, a Prefect server, a Dask
scheduler and two workers. Each is a process with folders of its own; nothing is shared but what
goes over the network. Once a unit has ended, the worker that has been at its own for longest is
killed (SIGKILL) and does not come back. Then every cell of `results.csv` but the times must be as
in a run on this machine alone, each trial must have one run, finished, and no process may be left.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import distributed
import places
import psutil
from postgres import running_postgres

from tenfold.config import load_config, load_settings
from tenfold.evaluation import TIME_COLUMNS
from tenfold.machine import describe_machine
from tenfold.servers import Server, prefect_plan
from tenfold.workspace import Workspace

SHORT = """
name: cluster-short
dataset: {source: digits, cv_below: 0}
refit: none
threads: 1
models:
- {model: random_forest, grid: {n_estimators: [400, 800]}}
- {model: svm, grid: {C: [1, 10]}}
- {model: knn, grid: {n_neighbors: [3, 5, 7]}}
- logistic_regression
"""
_LOOK_S = 0.05


def main() -> int:
    """Print the tables; return 1 when anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", nargs="?", type=Path)
    parser.add_argument("--short", action="store_true", help="some seconds of fits on the digits")
    parser.add_argument("--set", action="append", default=[], help="as of `tenfold compare`")
    parser.add_argument("--kill-after-s", type=float, default=0.0, help="seconds within a unit")
    arguments = parser.parse_args()
    if arguments.short == (arguments.config is not None):
        parser.error("give a configuration, or --short")
    with tempfile.TemporaryDirectory(prefix="tenfold-cluster-") as folder:
        base = Path(folder)
        config = arguments.config or base / "short.yaml"
        if arguments.short:
            config.write_text(SHORT, encoding="utf-8")
        return compared(base, config.resolve(), arguments.set, arguments.kill_after_s)


def compared(base: Path, config: Path, sets: list[str], kill_after_s: float) -> int:
    """Run both and print what came of them."""
    made = load_config(config, overrides=sets)
    command = ["compare", str(config), *(word for value in sets for word in ("--set", value))]
    print(json.dumps(describe_machine()))
    here = timed(command, base / "here", base, executor="local")
    with ExitStack() as stack:
        cluster = Cluster(base, made.dataset.source, stack)
        killer = threading.Thread(target=cluster.kill_one, args=(kill_after_s,), daemon=True)
        killer.start()
        there = timed(command, base / "there", base, cluster=cluster.address, **cluster.environ)
        statuses = cluster.statuses()
    one, other = (rows(base / place, made.name) for place in ("here", "there"))
    different = [row["Key"] for row, twin in zip(one, other, strict=True) if row != twin]
    left = left_of(base)
    print(f"\nkilled: {cluster.killed or 'NOTHING'}\n")
    print("| run | seconds | rows | differing rows | runs | left processes |")
    print("|---|---|---|---|---|---|")
    print(f"| here, --executor local | {here:.1f} | {len(one)} | | | |")
    print(
        f"| cluster, a worker killed | {there:.1f} | {len(other)} | {len(different)} | "
        f"{dict(statuses)} | {len(left)} |"
    )
    right = cluster.killed and not different and not left and set(statuses) == {"FINISHED 1x"}
    return 0 if right else 1


def timed(command: list[str], home: Path, base: Path, **options: str) -> float:
    """Run `tenfold` with a workspace and return its seconds.

    Args:
        command: Its command and arguments.
        home: The workspace.
        base: The folder that it runs in.
        options: `executor` and `cluster` as the command takes them; others are variables.
    """
    flags = [f"--{name}={options.pop(name)}" for name in ("executor", "cluster") if name in options]
    started = time.monotonic()
    environ = {**os.environ, "TENFOLD_HOME": str(home), **options}
    words = [sys.executable, "-m", "tenfold", *command, *flags]
    subprocess.run(words, env=environ, cwd=base, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


@dataclass
class Cluster:
    """Everything that an experiment on a cluster needs, running.

    Args:
        base: Holds a folder for each.
        source: The data set; what lies of it in this user's cache is given to each worker.
        stack: Ends everything.
        killed: Says what was killed.
    """

    base: Path
    source: str
    stack: ExitStack
    killed: str = ""
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        database = self.stack.enter_context(running_postgres(durable=False))
        started = [
            self._start(places.mlflow_server(self.base / "mlflow", database)),
            self._start(prefect_plan(Workspace(self.base / "prefect").open())),
            self._start(places.scheduler(self.base / "scheduler")),
        ]
        self.address = places.address_of(started[2], self.base / "scheduler")
        self.workers = {name: self._worker(name) for name in ("one", "two")}
        for server in started[:2]:
            server.wait_until_ready()
        # Ready before the first unit starts: whoever looks late sees the last unit only.
        client = distributed.Client(self.address, set_as_default=False)
        self._client = self.stack.enter_context(client)
        self.environ = {
            "MLFLOW_TRACKING_URI": started[0].url,
            "PREFECT_API_URL": f"{started[1].url}/api",
            "PREFECT_HOME": str(self.base / "prefect-client"),
        }

    def kill_one(self, after_s: float) -> None:
        """Kill the worker that has been at its unit for longest, once another unit ended.

        Args:
            after_s: Seconds that it must have been at it.
        """
        seen: dict[str, float] = {}
        while not self.killed:
            names = {
                address: found["name"]
                for address, found in self._client.scheduler_info(n_workers=-1)["workers"].items()
            }
            at_work = {
                key: names[address]
                for address, keys in self._client.processing().items()
                for key in keys[:1]
                if address in names
            }
            now = time.monotonic()
            for key in at_work:
                seen.setdefault(key, now)
            ended = len(seen) - len(at_work)
            longest = min(at_work, key=seen.__getitem__, default=None)
            if ended and longest and now - seen[longest] >= after_s:
                name = at_work[longest]
                places.kill(self.workers[name])
                self.killed = f"worker {name}, {now - seen[longest]:.1f} s into a unit"
            time.sleep(_LOOK_S)

    def statuses(self) -> Counter[str]:
        """Return how many trials have which statuses, each with how often it is there."""
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=self.environ["MLFLOW_TRACKING_URI"])
        found = client.search_runs([item.experiment_id for item in client.search_experiments()])
        by_key: dict[str, list[str]] = {}
        for run in found:
            by_key.setdefault(run.data.tags.get("tenfold.key", ""), []).append(run.info.status)
        return Counter(f"{'/'.join(set(many))} {len(many)}x" for many in by_key.values())

    def _start(self, plan: Any) -> Server:
        return self.stack.enter_context(Server(plan))

    def _worker(self, name: str) -> Server:
        data_dir = load_settings().data_dir
        if data_dir is not None and (data_dir / self.source).is_dir():
            shutil.copytree(data_dir / self.source, self.base / name / "data" / self.source)
        prefect_home = str(self.base / name / "prefect")
        return self._start(places.worker(self.address, self.base / name, PREFECT_HOME=prefect_home))


def left_of(base: Path) -> list[int]:
    """Return the processes that work in folders below `base`, whoever their parent is now."""
    return [
        process.pid
        for process in psutil.process_iter(["environ"])
        if any(str(base) in value for value in (process.info["environ"] or {}).values())
    ]


def rows(home: Path, experiment: str) -> list[dict[str, str]]:
    """Return the rows of an experiment's `results.csv` without the times."""
    path = Workspace(home).results(experiment) / "results.csv"
    with path.open(newline="", encoding="utf-8") as file:
        return [
            {column: cell for column, cell in row.items() if column not in TIME_COLUMNS}
            for row in csv.DictReader(file)
        ]


if __name__ == "__main__":
    sys.exit(main())
