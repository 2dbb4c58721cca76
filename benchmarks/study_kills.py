"""Kill a study, and restart its server: no trial may be lost, left running, or done twice.

    python benchmarks/study_kills.py kills
    python benchmarks/study_kills.py postgres

`kills` starts ``tenfold tune`` five times and kills it (SIGKILL) at moments spread over the time
that an uninterrupted study takes, then lets it end: the study must have exactly the trials asked
for, none running, no parameter set twice. `postgres` starts two such commands on one study in a
real PostgreSQL server, each with a workspace of its own, ends the server in the middle and starts
it again: both must end well, and the same must hold. Each exits with 1 where it does not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
from postgres import kept_postgres, wait_until_ready

from tenfold.machine import describe_machine
from tenfold.servers import Server

NAME = "killed"
UNCOUNTED = "not counted"


def main() -> int:
    """Run one measurement; return 1 when something was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("kills", "postgres"))
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="decides the moments")
    arguments = parser.parse_args()
    print(json.dumps(describe_machine()))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="tenfold-study-") as folder:
        holds = {"kills": kills, "postgres": postgres}[arguments.what](arguments, Path(folder))
    return 0 if holds else 1


def kills(arguments: argparse.Namespace, folder: Path) -> bool:
    """Kill a study at some moments, let it end, and say whether it is whole."""
    started = time.monotonic()
    ended(start(arguments, folder / "whole"))
    whole_s = time.monotonic() - started
    chance = random.Random(arguments.seed)
    home = folder / "killed"
    for number in range(arguments.kills):
        moment = whole_s * (0.3 + 0.6 * chance.random()) / (1 + 0.5 * number)
        process = start(arguments, home)
        try:
            process.wait(timeout=moment)
            print(f"kill {number + 1}: the study had ended before {moment:.1f} s")
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            print(f"kill {number + 1}: after {moment:.1f} s; {states(url_of(home))}", flush=True)
    ended(start(arguments, home))
    return is_whole(url_of(home), arguments.trials)


def postgres(arguments: argparse.Namespace, folder: Path) -> bool:
    """Restart the server under two processes and say whether their study is whole."""
    with kept_postgres() as (plan, url):
        with Server(plan):
            wait_until_ready(url)
            processes = [
                start(arguments, folder / name, "--storage", url) for name in ("one", "two")
            ]
            while done_of(url) < arguments.trials // 3:
                time.sleep(0.2)
            print(f"server ends; {states(url)}", flush=True)
        time.sleep(2)
        with Server(plan):
            wait_until_ready(url)
            print("server is back", flush=True)
            for process in processes:
                ended(process)
            return is_whole(url, arguments.trials)


def start(arguments: argparse.Namespace, home: Path, *more: str) -> subprocess.Popen[str]:
    """Start the command in a workspace."""
    command = [sys.executable, "-m", "tenfold", "tune", "mlp", "--n-trials", str(arguments.trials)]
    command += ["--epochs", str(arguments.epochs), "--study-name", NAME, *more]
    for setting in ("dataset.cv_below=0", "threads=1", "units_at_once=1", "refit=none"):
        command += ["--set", setting]
    environ = {**os.environ, "TENFOLD_HOME": str(home)}
    return subprocess.Popen(command, env=environ, text=True, stdout=subprocess.DEVNULL)


def ended(process: subprocess.Popen[str]) -> None:
    """Wait until a command is done; leave when it failed."""
    if process.wait():
        sys.exit(f"a command failed with exit code {process.returncode}")


def url_of(home: Path) -> str:
    """Return where a workspace's studies are."""
    return f"sqlite:///{home / 'studies.db'}"


def trials_of(url: str) -> list[Any]:
    """Return Optuna's trials of the study, none where there is no study yet."""
    try:
        return optuna.load_study(study_name=NAME, storage=url).trials
    except (KeyError, optuna.exceptions.StorageInternalError):
        return []


def done_of(url: str) -> int:
    """Return how many trials have ended and count."""
    found = trials_of(url)
    return sum(t.state.is_finished() and UNCOUNTED not in t.user_attrs for t in found)


def states(url: str) -> str:
    """Return how many trials are in which state."""
    return ", ".join(
        f"{n} {state}" for state, n in Counter(t.state.name for t in trials_of(url)).items()
    )


def is_whole(url: str, wanted: int) -> bool:
    """Print what the study came to and say whether nothing was lost or done twice."""
    trials = trials_of(url)
    counted = [trial for trial in trials if UNCOUNTED not in trial.user_attrs]
    recipes = Counter(trial.user_attrs.get("recipe") for trial in counted)
    running = [trial.number for trial in trials if not trial.state.is_finished()]
    print(f"{len(counted)} trials of {wanted}; not ended: {running}; {states(url)}")
    print(f"parameter sets tried more than once: {sum(n > 1 for n in recipes.values())}")
    reasons = Counter(t.user_attrs[UNCOUNTED] for t in trials if UNCOUNTED in t.user_attrs)
    print(f"not counted: {dict(reasons)}")
    return len(counted) == wanted and not running and max(recipes.values()) == 1


if __name__ == "__main__":
    sys.exit(main())
