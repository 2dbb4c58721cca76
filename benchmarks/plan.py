"""What is measured, and how: the command line of `networks.py`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import HERE, Run, Series, job

from tenfold.config import canonical_params


@dataclass(frozen=True)
class Plan:
    """What is measured, and how.

    Args:
        suites: Names of the suites, in their order.
        series: Runs what is not on file.
        seeds: Seeds of every suite; empty: each suite's own.
        threads: Threads of either side.
        device: What either side computes on.
        only: Names of the rows of `networks` that are wanted; empty: all.
        validate: Train `networks` on the training rows and grade on the validation rows.
        changes: Parameters to try with `validate`.
        epochs_timed: Epochs of the plain loop of `classic-003` to time; None: all.
        miniature: Take one epoch, one seed, some hundred images of the embedded digits and no bars.
    """

    suites: tuple[str, ...]
    series: Series
    seeds: tuple[int, ...] = ()
    threads: int = 2
    device: str = "cpu"
    only: tuple[str, ...] = ()
    validate: bool = False
    changes: Mapping[str, Any] = field(default_factory=dict)
    epochs_timed: int | None = None
    miniature: bool = False

    def spec(self, dataset: str, part: str, **settings: Any) -> dict[str, Any]:
        """Return the settings of a job: what `load_rows` takes, and more."""
        return {
            **_data(dataset, part, miniature=self.miniature),
            "threads": self.threads,
            "device": self.device,
            **settings,
        }

    def params(self, model: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return all of a model's parameters, so that other defaults are another run."""
        short = {"epochs": 1} if self.miniature else {}
        return canonical_params(model, {**params, **self.changes, **short})

    def seeds_or(self, own: tuple[int, ...]) -> tuple[int, ...]:
        """Return the seeds that were asked for, else a suite's own."""
        return self.seeds or (own[:1] if self.miniature else own)


def read_plan(suites: Sequence[str], rows: Sequence[str]) -> Plan:
    """Return the plan that the command line asks for.

    Args:
        suites: The suites that there are.
        rows: The rows of `networks` that there are.
    """
    parser = argparse.ArgumentParser(description="Measure the networks.")
    add = parser.add_argument
    add("suite", choices=[*suites, "all"])
    add("--seeds", type=_numbers, default=(), help="for example 0,1,2; default: the suite's own")
    add("--threads", type=int, default=2, help="of either side; default: 2")
    add("--device", choices=("cpu", "cuda", "mps"), default="cpu", help="of either side")
    add("--out", type=Path, default=HERE / "results", help="where the JSON files lie")
    add("--fresh", action="store_true", help="run what is on file again")
    add("--only", type=_names, default=(), help=f"rows of networks: {','.join(rows)}")
    add("--validate", action="store_true", help="grade networks on validation rows, not the test")
    add("--set", action="append", default=[], help="NAME=VALUE, a parameter to try with --validate")
    add("--epochs-timed", type=int, help="of the plain loop of classic-003; the rest in proportion")
    add("--miniature", action="store_true", help="prove within a minute that the commands work")
    given = parser.parse_args()
    if (given.set or given.validate) and not (given.validate and given.suite == "networks"):
        parser.error("--validate goes with networks, and --set with --validate")
    if set(given.only) - set(rows):
        parser.error(f"--only {','.join(given.only)}: known are {','.join(rows)}")
    return Plan(
        suites=tuple(suites) if given.suite == "all" else (given.suite,),
        series=_series(given),
        seeds=given.seeds,
        threads=given.threads,
        device=given.device,
        only=given.only,
        validate=given.validate,
        changes=dict(_assignment(text) for text in given.set),
        epochs_timed=given.epochs_timed,
        miniature=given.miniature,
    )


def _series(given: argparse.Namespace) -> Series:
    """Return a series whose yardstick has the same threads; it is always of the processor."""
    steps = {"steps": 1, "warm_up": 1} if given.miniature else {"steps": 100, "warm_up": 5}
    data = _data("mnist", "all", miniature=given.miniature)
    spec = {**data, **steps, "threads": given.threads, "device": "cpu"}
    yardstick: Run = job("yardstick", "yardstick", "classic.py", "yardstick", spec)
    if given.miniature:  # times mean nothing there; one yardstick shows that it works
        return Series(given.out, yardstick, fresh=given.fresh, keep_s=float("inf"))
    return Series(given.out, yardstick, fresh=given.fresh)


def _data(dataset: str, part: str, *, miniature: bool) -> dict[str, Any]:
    if miniature:
        return {"dataset": "digits", "max_images": 300, "part": part}
    return {"dataset": dataset, "max_images": None, "part": part}


def _assignment(text: str) -> tuple[str, Any]:
    """Return name and value of ``NAME=VALUE``; what is not JSON is text."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))
