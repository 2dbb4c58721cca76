"""Kill a study, and restart its server: no trial may be lost, left running, or done twice.

    python benchmarks/study_kills.py kills
    python benchmarks/study_kills.py postgres

`kills` starts ``tenfold tune`` and kills it (SIGKILL) within a trial, five times: each time once a
random number of trials has ended, and a random share of a trial's time after the next has begun. A
kill that met no running trial does not count; where a study ends before enough of them did, another
is begun. Each study is then let end, and must have exactly the trials asked for, none failed, none
running, no parameter set twice; in MLflow no run may be left running and no trial finished twice.

`postgres` starts two such commands on one study in a real PostgreSQL server, each with a workspace
of its own. Once both have ended a trial and a third of all is done, the server ends, and starts
again two seconds later, while both live: both must end well, each with trials of its own, and the
same must hold.

Each exits with 1 where it does not, where a command fails, and where one takes too long.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import optuna
from mlflow import MlflowClient
from postgres import kept_postgres, wait_until_ready

from tenfold.machine import describe_machine
from tenfold.search import StudyStorage, keeping
from tenfold.servers import Server
from tenfold.workspace import Workspace

NAME = "killed"
LIMIT_S = 900.0
_LOOK_S = 0.1
_AWAY_S = 2.0


def main(words: Sequence[str] | None = None) -> int:
    """Run one measurement; return 1 when something was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("kills", "postgres"))
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--kills", type=int, default=5, help="that meet a running trial")
    parser.add_argument("--seed", type=int, default=0, help="decides the moments")
    arguments = parser.parse_args(words)
    print(json.dumps(describe_machine()))
    with tempfile.TemporaryDirectory(prefix="tenfold-study-") as folder:
        holds = {"kills": kills, "postgres": postgres}[arguments.what](arguments, Path(folder))
    print("all hold" if holds else "NOT ALL HOLD")
    return 0 if holds else 1


def kills(arguments: argparse.Namespace, folder: Path) -> bool:
    """Kill studies within their trials, let them end, and say whether they are whole."""
    chance = random.Random(arguments.seed)
    met, holds = 0, True
    while met < arguments.kills:
        home = folder / f"after-{met}-kills"
        study = Watched(home)
        found = killed(arguments, study, chance, wanted=arguments.kills - met)
        with running(arguments, home) as process:
            finish(process)
        holds &= study.is_whole(arguments.trials)
        holds &= is_tracked_once(study.workspace)
        if not found:
            print("NO KILL met a running trial: raise --trials or --epochs")
            return False
        met += found
    return holds


def killed(
    arguments: argparse.Namespace, study: Watched, chance: random.Random, *, wanted: int
) -> int:
    """Kill the commands of one study; return how many of them ran a trial then."""
    met = 0
    moments = chance.sample(range(arguments.trials), min(wanted, arguments.trials))
    for n_ended in sorted(moments):
        hit = kill(arguments, study, n_ended, share=chance.random())
        if hit is None:
            break  # a study that is done has no moments left
        met += hit
    return met


def kill(
    arguments: argparse.Namespace, study: Watched, n_ended: int, *, share: float
) -> bool | None:
    """Kill a command in the trial that follows so many; say whether it ran one then.

    Args:
        arguments: Of the program.
        study: The command's.
        n_ended: Trials that have ended by then.
        share: Of a trial's time, when it is killed, 0 to 1.

    Returns:
        None where the command was done before.
    """
    before = study.running()
    with running(arguments, study.workspace.home) as process:
        if not wait(lambda: study.ended() >= n_ended and study.running() - before, process):
            return None
        time.sleep(share * study.trial_s())
        process.kill()
        if not finish(process, expected=-signal.SIGKILL):
            return None
    hit = sorted(study.running() - before)
    shown = f"trial {hit[0]} was running" if hit else "between two trials: does not count"
    print(f"killed with {study.ended()} trials ended: {shown}; {study.states()}", flush=True)
    return bool(hit)


def postgres(arguments: argparse.Namespace, folder: Path) -> bool:
    """Restart the server under two processes and say whether their study is whole."""
    homes = [folder / name for name in ("one", "two")]
    with kept_postgres() as (plan, url), ExitStack() as stack:
        with Server(plan):
            wait_until_ready(url)
            study = Watched(folder / "look", url)
            both = [
                stack.enter_context(running(arguments, home, "--storage", url)) for home in homes
            ]
            third = arguments.trials // 3
            met = wait(lambda: len(study.owners()) == 2 and study.ended() >= third, *both)
            if not met or study.ended() >= arguments.trials:
                print("TOO FAST for the server to end in the middle: raise --trials or --epochs")
                return False
            print(f"server ends; {study.states()}", flush=True)
        time.sleep(_AWAY_S)
        with Server(plan):
            wait_until_ready(url)
            alive = [process.poll() is None for process in both]
            print(f"server is back; commands that live: {sum(alive)} of 2", flush=True)
            for process in both:
                finish(process)
            holds = study.is_whole(arguments.trials) and all(alive) and len(study.owners()) == 2
    tracked = [is_tracked_once(Workspace(home)) for home in homes]  # each says what it has
    return holds and all(tracked)


class Watched:
    """A study as its storage has it.

    Args:
        home: The workspace whose studies are looked at; made when missing.
        url: Of a storage elsewhere.
    """

    def __init__(self, home: Path, url: str | None = None) -> None:
        self.workspace = Workspace(home).open()
        self._storage = StudyStorage(url, self.workspace)

    def trials(self) -> list[Any]:
        """Return Optuna's trials; none where there is no study yet."""

        def found() -> list[Any]:
            try:
                return optuna.load_study(study_name=NAME, storage=self._storage.backend).trials
            except KeyError:
                return []

        return self._storage.insist(found)

    def running(self) -> set[int]:
        """Return the numbers of the trials under way, those of a killed process among them."""
        return {trial.number for trial in self.trials() if keeping.is_running(trial)}

    def counted(self) -> list[Any]:
        """Return the trials that have ended and count."""
        return [t for t in self.trials() if t.state.is_finished() and keeping.counts(t)]

    def ended(self) -> int:
        """Return how many trials have ended and count."""
        return len(self.counted())

    def owners(self) -> set[str]:
        """Return the processes whose trials have ended and count."""
        return {trial.user_attrs[keeping.OWNER] for trial in self.counted()}

    def trial_s(self) -> float:
        """Return about how long a trial takes; 0 before the first has ended."""
        return statistics.median([t.duration.total_seconds() for t in self.counted()] or [0.0])

    def states(self) -> str:
        """Return how many trials are in which state."""
        found = Counter(trial.state.name for trial in self.trials())
        return ", ".join(f"{n} {state}" for state, n in found.items())

    def is_whole(self, wanted: int) -> bool:
        """Print what the study came to and say whether nothing was lost or done twice."""
        counted, running = self.counted(), sorted(self.running())
        recipes = Counter(trial.user_attrs.get(keeping.RECIPE) for trial in counted)
        twice = sum(n > 1 for n in recipes.values())
        failed = [trial.number for trial in counted if trial.state.name == "FAIL"]
        print(f"{len(counted)} trials of {wanted}; not ended: {running}; failed: {failed}; "
              f"parameter sets tried more than once: {twice}; {self.states()}")  # fmt: skip
        reasons = [trial.user_attrs.get(keeping.UNCOUNTED) for trial in self.trials()]
        print(f"not counted: {dict(Counter(reason for reason in reasons if reason))}", flush=True)
        return len(counted) == wanted and not (running or failed or twice)


def is_tracked_once(workspace: Workspace) -> bool:
    """Print what MLflow has, and say whether no run is left running and no key finished twice."""
    client = MlflowClient(tracking_uri=workspace.tracking_uri)
    found = client.search_runs([item.experiment_id for item in client.search_experiments()])
    statuses = Counter(run.info.status for run in found)
    finished = Counter(
        run.data.tags["tenfold.key"]
        for run in found
        if run.info.status == "FINISHED" and "tenfold.key" in run.data.tags
    )
    twice = [key for key, n in finished.items() if n > 1]
    print(f"MLflow: {dict(statuses)}; trials finished twice: {len(twice)}", flush=True)
    return statuses["RUNNING"] == 0 and not twice


def command(arguments: argparse.Namespace, *more: str) -> list[str]:
    """Return the command that is killed."""
    words = [sys.executable, "-m", "tenfold", "tune", "mlp", "--n-trials", str(arguments.trials)]
    words += ["--epochs", str(arguments.epochs), "--study-name", NAME, *more]
    for setting in ("dataset.cv_below=0", "threads=1", "units_at_once=1", "refit=none"):
        words += ["--set", setting]
    return words


@contextmanager
def running(
    arguments: argparse.Namespace, home: Path, *more: str
) -> Iterator[subprocess.Popen[str]]:
    """Start the command in a workspace; leaving the block ends it, if nothing else has."""
    environ = {**os.environ, "TENFOLD_HOME": str(home)}
    words = command(arguments, *more)
    process = subprocess.Popen(words, env=environ, text=True, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait(condition: Callable[[], object], *processes: subprocess.Popen[str]) -> bool:
    """Wait until a condition holds; say whether it did before one of the processes was done.

    Leaves the program where one failed, or where it takes too long.
    """
    until = time.monotonic() + LIMIT_S
    while not condition():
        for process in processes:
            if process.poll() is not None:
                finish(process)
                return False
        if time.monotonic() > until:
            sys.exit(f"what was waited for did not come within {LIMIT_S:g} s")
        time.sleep(_LOOK_S)
    return True


def finish(process: subprocess.Popen[str], *, expected: int = 0) -> bool:
    """Wait until a command is done; say whether it ended as expected, and not simply well.

    Leaves the program where it failed, or where it takes too long.
    """
    try:
        code = process.wait(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        sys.exit(f"a command did not end within {LIMIT_S:g} s")
    if code not in (0, expected):
        sys.exit(f"a command failed with exit code {code}")
    return code == expected


if __name__ == "__main__":
    sys.exit(main())
