"""What `knn.py` and `sweep_18.py` share: their command line, and the records of their runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness import HERE, Record, Run, RunFailedError, Series, job


def race_parser(description: str) -> argparse.ArgumentParser:
    """Return a parser of the options that every race has."""
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    add("--threads", type=int, default=2, help="of either side; default: 2")
    add("--out", type=Path, default=HERE / "results", help="where the JSON files lie")
    add("--fresh", action="store_true", help="run what is on file again")
    add("--rows", type=int, help="learn from so few images: proves that the command works")
    return parser


class Race:
    """Runs of `fits.py`, each on file, all with the same data and threads.

    Args:
        given: What `race_parser` read.
        suite: What the runs belong to.
    """

    def __init__(self, given: argparse.Namespace, suite: str) -> None:
        self.suite, self.threads, self.rows = suite, given.threads, given.rows
        steps = {"steps": 100, "warm_up": 5} if self.full else {"steps": 1, "warm_up": 1}
        data = self.data("mnist" if self.full else "digits", "all")
        spec = {**data, **steps, "device": "cpu"}
        yardstick = job("yardstick", "yardstick", "classic.py", "yardstick", spec)
        self.series = Series(given.out, yardstick, fresh=given.fresh)
        if not self.full:  # times mean nothing there; one yardstick shows that it works
            self.series.keep_s = float("inf")

    @property
    def full(self) -> bool:
        """Whether all images are learned from, so that times can be held to bars."""
        return self.rows is None

    def data(self, dataset: str, part: str) -> dict[str, Any]:
        """Return the settings that every job has."""
        return {
            "dataset": dataset,
            "max_images": self.rows,
            "part": part,
            "threads": self.threads,
        }

    def run(self, name: str, what: str, spec: Mapping[str, Any]) -> Record | None:
        """Return the record of a job of `fits.py`; None if it failed."""
        made = job(self.suite, name, "fits.py", what, spec)
        threads = {"OMP_NUM_THREADS": str(self.threads)}
        return self.series.run(Run(made.suite, made.name, made.program, made.arguments, threads))


def finish(race: Callable[[], bool], series: Series) -> int:
    """Run a race; return 0 where it holds, 1 where it does not or a run failed."""
    try:
        holds = race()
    except RunFailedError as error:
        print(f"stopped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; what is finished is kept, the same command goes on", file=sys.stderr)
        return 130
    for failed in series.failed:
        print(f"FAILED: {failed}")
    return 0 if holds and not series.failed else 1
