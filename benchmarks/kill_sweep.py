"""Kill an experiment at many moments and run it again: the results must be the same.

    python benchmarks/kill_sweep.py --executor local --kills 20

The experiment (several families and two networks on the embedded digits, two fits at a time) is run
uninterrupted first. Then, each time in a workspace of its own, the command is killed (SIGKILL, the
process alone, not its children): most times at a moment that is uniform over the measured time, and
once in four inside a write, when a file is half made or complete but not yet renamed. After each:

- no process that the command started is left, within seconds;
- the same command, run again, ends well;
- no trial that was finished is run again: its MLflow run stays the only finished one of its key;
- no run is left marked as running;
- ``results.csv`` is that of the uninterrupted run but for its columns of times.

The program exits with 1 when any of that does not hold.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
from kill_resume import Moment

from tenfold.evaluation import TIME_COLUMNS
from tenfold.machine import describe_machine
from tenfold.tracking import MlflowTracker
from tenfold.workspace import Workspace

EXPERIMENT = """
name: killed
dataset: {source: digits, cv_repeats: 1, cv_folds: 3}
threads: 1
units_at_once: 2
models:
- logistic_regression
- {model: knn, grid: {n_neighbors: [1, 3, 5]}}
- {model: svm, grid: {C: [1, 10]}}
- {model: random_forest, grid: {n_estimators: [50, 100]}}
- sgd
- {model: mlp, params: {epochs: 30}}
- {model: keras_cnn, params: {epochs: 20}}
"""
#: What follows `tenfold compare FILE` for each executor.
EXECUTORS = {"local": ("--executor", "local"), "prefect": ("--executor", "prefect")}
WAYS = ("half made", "not renamed")
MARK = "KILL_SWEEP_MARK"
_GONE_WITHIN_S = 10.0

# Python runs a module of this name at the start of every process, the workers' too. A file of
# tenfold's is written beside its place and renamed; the one whose turn it is never comes there.
SITECUSTOMIZE = r"""
import os, pathlib, re, signal, time
home, at, way = (os.environ.get("KILL_SWEEP_" + name, "") for name in ("HOME", "AT", "WAY"))
if home:
    victim = int(os.environ.setdefault("KILL_SWEEP_VICTIM", str(os.getpid())))
    rename = pathlib.Path.replace

    def replace(self, target):
        if re.fullmatch(r"\..+\.[0-9a-f]{8}(\.\w+)?", self.name):
            turns = os.open(os.path.join(home, "turns"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(turns, b".")
            turn = os.lseek(turns, 0, os.SEEK_CUR)
            os.close(turns)
            if turn == int(at):
                if way == "half made":
                    os.truncate(self, self.stat().st_size // 2)
                os.kill(victim, signal.SIGKILL)
                time.sleep(60)  # a worker: what ends it is what is tested
        return rename(self, target)

    pathlib.Path.replace = replace
"""


@dataclass
class Place:
    """A workspace of its own, and the command that runs there.

    Args:
        folder: Holds everything.
        arguments: What follows ``tenfold compare FILE``.
        mark: Is in the environment of every process that the command starts.
    """

    folder: Path
    arguments: Sequence[str]
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)

    @classmethod
    def prepared(cls, folder: Path, database: Path, arguments: Sequence[str]) -> Place:
        """Return a place with an MLflow database, which takes seconds to make, copied into it."""
        place = cls(folder, arguments)
        shutil.copy(database, place.workspace.open().home)
        (folder / "sitecustomize.py").write_text(SITECUSTOMIZE)
        (folder / "killed.yaml").write_text(EXPERIMENT)
        return place

    @property
    def workspace(self) -> Workspace:
        """Where the command works."""
        return Workspace(self.folder / "workspace")

    def start(self, moment: Moment | None = None) -> subprocess.Popen[bytes]:
        """Start the command; with a moment inside a write, it is killed there."""
        given = os.environ.get("PYTHONPATH")
        environ = {
            **os.environ,
            MARK: self.mark,
            "TENFOLD_HOME": str(self.workspace.home),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(self.folder), given])),
            "KILL_SWEEP_HOME": str(self.folder),
            "KILL_SWEEP_AT": str(moment.write if moment else 0),
            "KILL_SWEEP_WAY": moment.way if moment else "",
        }
        command = [sys.executable, "-m", "tenfold", "compare", str(self.folder / "killed.yaml")]
        with (self.folder / "output").open("ab") as output:
            return subprocess.Popen(
                [*command, *self.arguments], env=environ, stdout=output, stderr=output
            )

    def finish(self) -> float:
        """Run the command to its end; return its seconds."""
        began = time.monotonic()
        code = self.start().wait()
        if code:
            sys.exit(f"the command ended with {code}: {(self.folder / 'output').read_text()}")
        return time.monotonic() - began

    def rows(self) -> list[dict[str, str]]:
        """Return the rows of ``results.csv`` without its times."""
        path = self.workspace.results("killed") / "results.csv"
        with path.open(newline="", encoding="utf-8") as file:
            return [
                {name: cell for name, cell in row.items() if name not in TIME_COLUMNS}
                for row in csv.DictReader(file)
            ]

    def runs(self) -> list[tuple[str, str, str]]:
        """Return every run's id, status and trial key; the key is empty for an experiment's."""
        from mlflow import MlflowClient

        uri = os.environ.get("MLFLOW_TRACKING_URI") or self.workspace.tracking_uri
        client = MlflowClient(tracking_uri=uri)
        experiments = [found.experiment_id for found in client.search_experiments()]
        return [
            (run.info.run_id, run.info.status, run.data.tags.get("tenfold.key", ""))
            for run in client.search_runs(experiments)
        ]

    def finished(self) -> dict[str, str]:
        """Return the keys of finished trials by their runs."""
        return {run: key for run, status, key in self.runs() if key and status == "FINISHED"}

    def processes(self) -> list[psutil.Process]:
        """Return what the command started and still runs."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.mark:
                    found.append(process)
            except psutil.Error:  # another user's, or it has just ended
                continue
        return found

    def orphans(self) -> int:
        """Return how many processes are left after a few seconds."""
        until = time.monotonic() + _GONE_WITHIN_S
        while (left := self.processes()) and time.monotonic() < until:
            psutil.wait_procs(left, timeout=0.2)
        return len(left)


def main(words: Sequence[str] | None = None) -> int:
    """Print the table; return 1 when something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--executor", choices=sorted(EXECUTORS), default="local")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--inside", type=int, help="of these inside a write; default: a quarter")
    parser.add_argument("--seed", type=int, default=0, help="decides the moments")
    arguments = parser.parse_args(words)
    inside = -(-arguments.kills // 4) if arguments.inside is None else arguments.inside
    print(json.dumps(describe_machine()))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = empty_database(folder / "prepared")
        options = EXECUTORS[arguments.executor]
        whole = Place.prepared(folder / "whole", database, options)
        seconds = whole.finish()
        n_writes = (whole.folder / "turns").stat().st_size
        print(
            f"uninterrupted: {seconds:.1f} s, {n_writes} files written, "
            f"{len(whole.finished())} trials; the moments' seed is {arguments.seed}\n"
        )
        print("| killed | finished then | files half made | orphans | again s | held |")
        print("|---|---|---|---|---|---|")
        good = True
        chance = random.Random(arguments.seed)
        for moment in moments(chance, arguments.kills, inside, seconds, n_writes):
            place, when = killed(
                moment, lambda: Place.prepared(folder / uuid.uuid4().hex, database, options)
            )
            good &= holds(place, when, whole.rows())
            shutil.rmtree(place.folder)
    print("\nall hold" if good else "\nNOT ALL HOLD")
    return 0 if good else 1


def empty_database(home: Path) -> Path:
    """Return an MLflow database as it is before the first experiment."""
    workspace = Workspace(home).open()
    MlflowTracker(workspace, None)
    return workspace.home / "mlflow.db"


def moments(
    chance: random.Random, n: int, n_inside: int, seconds: float, n_writes: int
) -> list[Moment]:
    """Return when to kill: some inside a write of any file, the rest at any time."""
    inside = [
        Moment(write=chance.randint(1, n_writes), way=WAYS[number % 2])
        for number in range(n_inside)
    ]
    timed = [Moment(after_s=chance.uniform(0, seconds)) for _ in range(n - n_inside)]
    return chance.sample([*inside, *timed], n)


def holds(place: Place, moment: Moment, rows: list[dict[str, str]]) -> bool:
    """Run again what was killed; print a row and say whether all is as it should be."""
    orphans = place.orphans()
    before = place.finished()
    n_half = sum(1 for path in place.workspace.home.rglob(".*") if path.is_file())
    seconds = place.finish()
    orphans += place.orphans()
    runs = place.runs()
    after = Counter(key for _, status, key in runs if key and status == "FINISHED")
    checks = {
        "a process was left": orphans == 0,
        "results.csv differs": place.rows() == rows,
        "a finished trial was run again": all(after[key] == 1 for key in before.values()),
        "a run is marked as running": all(status != "RUNNING" for _, status, _ in runs),
    }
    broken = [text for text, held in checks.items() if not held]
    print(
        f"| {moment} | {len(before)} of {len(after)} | {n_half} | {orphans} | {seconds:.1f} | "
        f"{'; '.join(broken).upper() or 'yes'} |",
        flush=True,
    )
    return not broken


def killed(moment: Moment, prepare: Callable[[], Place]) -> tuple[Place, Moment]:
    """Start the command and kill it; return where, and when: earlier, if it had ended by then."""
    while True:
        place = prepare()
        process = place.start(moment)
        try:
            process.wait(timeout=moment.after_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.returncode == -signal.SIGKILL:
            return place, moment
        if process.returncode:
            sys.exit(f"the command failed: {(place.folder / 'output').read_text()}")
        shutil.rmtree(place.folder)
        # It was faster than the measured one, or wrote fewer checkpoints.
        if moment.after_s is None:
            moment = replace(moment, write=max(1, moment.write * 4 // 5))
        else:
            moment = replace(moment, after_s=moment.after_s * 0.8)


if __name__ == "__main__":
    sys.exit(main())
