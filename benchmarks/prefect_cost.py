"""What Prefect adds: to a run whose trials are all remembered, and to each task.

    python benchmarks/prefect_cost.py

An experiment is run once, so that everything is remembered. Then it is run again, in turn: without
Prefect, with a Prefect server that is up, and with one that the run starts for itself; several
rounds, the median counts. After that 200 units that do nothing go through the local executor and
through Prefect; its cost per task is told until the last result, and until the server has every
state and log of them.

The bars: 10 s more for the warm run with a server of its own, 20 ms a task.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness import HERE, Run, describe, measure, say

from tenfold.executor import LocalExecutor
from tenfold.files import write_text
from tenfold.records import FitUnit, Numerics, Trial, TrialResult
from tenfold.servers import Server, prefect_environ, prefect_plan
from tenfold.workspace import Workspace

WARM_BAR_S = 10.0
TASK_BAR_MS = 20.0


def main() -> int:
    """Print the tables; return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default=str(HERE.parent / "experiments" / "quickstart.yaml"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--units", type=int, default=200)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "prefect_cost.json")
    arguments = parser.parse_args()
    words = [arguments.config, *(word for value in arguments.set for word in ("--set", value))]
    with tempfile.TemporaryDirectory(prefix="tenfold-") as folder:
        workspace = Workspace(Path(folder) / "workspace").open()
        record = {
            "machine": describe(),
            "warm": warm_runs(workspace, words, arguments.rounds),
            "tasks": tasks(workspace, arguments.units),
        }
    write_text(arguments.out, json.dumps(record, indent=2) + "\n")
    return report(record)


def report(record: dict[str, Any]) -> int:
    """Print the tables and return 1 when a bar is missed."""
    print(json.dumps(record["machine"]))
    medians = {}
    print(f"{'warm run':<24} {'seconds':>8} {'CPU s':>8}")
    for name, runs in record["warm"].items():
        medians[name] = statistics.median(run["wall_s"] for run in runs)
        cpu_s = statistics.median(run["cpu_s"] for run in runs)
        print(f"{name:<24} {medians[name]:8.2f} {cpu_s:8.2f}")
    added_s = medians["own server"] - medians["local"]
    print(f"Prefect adds {added_s:.2f} s to a warm run with a server of its own (bar {WARM_BAR_S})")
    local, flow = record["tasks"]["local"], record["tasks"]["prefect"]
    units = record["tasks"]["units"]
    added_ms = 1e3 * (flow["stored_s"] - local["results_s"]) / units
    results_ms = 1e3 * (flow["results_s"] - local["results_s"]) / units
    print(
        f"{units} units that do nothing: {results_ms:.1f} ms a task until the last result, "
        f"{added_ms:.1f} ms until all is stored (bar {TASK_BAR_MS})"
    )
    return 0 if added_s <= WARM_BAR_S and added_ms <= TASK_BAR_MS else 1


def warm_runs(workspace: Workspace, words: list[str], rounds: int) -> dict[str, list[Any]]:
    """Return what the runs used, by the way in which they were made."""
    environ = {"TENFOLD_HOME": str(workspace.home)}
    say("the run that fills the memory")
    compare(words, "local", environ)
    compare(words, "prefect", environ)  # makes Prefect's database
    found: dict[str, list[Any]] = {"local": [], "server up": [], "own server": []}
    for number in range(1, rounds + 1):
        say(f"round {number} of {rounds}")
        found["local"].append(compare(words, "local", environ))
        found["own server"].append(compare(words, "prefect", environ))
        with server_of(workspace) as api:
            up = {**environ, "PREFECT_API_URL": api}
            found["server up"].append(compare(words, "auto", up))
    return found


def compare(words: list[str], executor: str, environ: dict[str, str]) -> Any:
    """Return what a run of the command used."""
    run = Run(
        suite="prefect_cost",
        name=executor,
        program="tenfold",
        arguments=("compare", *words, "--executor", executor),
        environ=environ,
    )
    return measure(run)["process"]


@contextmanager
def server_of(workspace: Workspace) -> Iterator[str]:
    """Give the address of a server of a workspace."""
    with Server(prefect_plan(workspace)) as server:
        server.wait_until_ready()
        yield f"{server.url}/api"


def tasks(workspace: Workspace, count: int) -> dict[str, Any]:
    """Return the seconds that units which do nothing take through both executors."""
    numerics = Numerics("cpu", "float32", 1)
    units = [
        FitUnit((Trial("knn", {}, f"unit {number}", "", 0),), (str(number),), numerics)
        for number in range(count)
    ]
    say(f"{count} units that do nothing")
    started = time.perf_counter()
    assert sum(1 for _ in LocalExecutor(2).run(units, nothing)) == count
    local_s = time.perf_counter() - started
    os.environ.update(prefect_environ(workspace))
    with server_of(workspace) as api:
        flow = through_prefect(api, units)
    return {"units": count, "local": {"results_s": local_s}, "prefect": flow}


def through_prefect(api: str, units: list[FitUnit]) -> dict[str, float]:
    """Return the seconds until the last result, and until the server has everything."""
    from prefect import flow

    from tenfold.cli.executors import keep_prefect_quiet
    from tenfold.flow import PrefectExecutor, connected

    seconds: dict[str, float] = {}

    @flow(name="nothing", persist_result=False)
    def do_nothing() -> None:
        started = time.perf_counter()
        assert sum(1 for _ in PrefectExecutor(LocalExecutor(2)).run(units, nothing)) == len(units)
        seconds["results_s"] = time.perf_counter() - started

    keep_prefect_quiet()
    with connected(api):
        do_nothing()
        started = time.perf_counter()
    seconds["stored_s"] = seconds["results_s"] + time.perf_counter() - started
    return seconds


def nothing(unit: FitUnit, caller: object) -> tuple[TrialResult, ...]:  # noqa: ARG001
    """Do nothing, and say that it is done."""
    return (TrialResult(unit.trials[0], unit.keys[0], "finished"),)


if __name__ == "__main__":
    sys.exit(main())
