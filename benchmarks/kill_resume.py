"""Kill a training of `cnn` on MNIST at five moments and resume it: the weights must be the same.

    python benchmarks/kill_resume.py

An uninterrupted training is measured first. Then five more are killed (SIGKILL): three by this
process, at random moments of the first, the middle and the last third of the measured time, and two
by themselves inside the write of a random checkpoint, one with half of the file written and one
with the file complete but not yet renamed. Each is started again with the same folder and must end
with the weights of the uninterrupted one, to the bit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenfold.machine import describe_machine

WAYS = ("half written", "not renamed")


@dataclass(frozen=True)
class Moment:
    """When a training is killed.

    Args:
        after_s: Seconds after its start; None: inside a write.
        write: Number of the write, from 1.
        way: One of `WAYS`.
    """

    after_s: float | None = None
    write: int = 0
    way: str = ""

    def __str__(self) -> str:
        if self.after_s is None:
            return f"inside write {self.write}: {self.way}"
        return f"after {self.after_s:.1f} s"


def main() -> int:
    """Print the table; return 1 when weights differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, help="train on the first so many rows")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--every-s", type=float, default=2.0, help="seconds between checkpoints")
    parser.add_argument("--seed", type=int, default=0, help="decides the moments")
    parser.add_argument("--train-in", help=argparse.SUPPRESS)  # how the trainings are started
    parser.add_argument("--write", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--way", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train_in:
        train(arguments)
        return 0
    print(json.dumps(describe_machine()))
    passed_on = [f"--{name}={value}" for name, value in vars(arguments).items() if value]
    passed_on = [word.replace("every_s", "every-s") for word in passed_on]
    with tempfile.TemporaryDirectory() as folder:
        return 0 if all_equal(Path(folder), passed_on, arguments.seed) else 1


def all_equal(folder: Path, passed_on: list[str], seed: int) -> bool:
    """Print the table and say whether every resumed training ends with the same weights."""
    whole = finished(start(folder / "whole", passed_on))
    share = whole["writing_s"] / whole["fit_s"]
    print(
        f"uninterrupted: {whole['fit_s']:.1f} s, of which {whole['writes']} checkpoints took "
        f"{1000 * whole['writing_s']:.0f} ms ({share:.2%}); the moments' seed is {seed}\n"
    )
    print("| killed | checkpoints there | half-made files | taken up at | resumed | same weights |")
    print("|---|---|---|---|---|---|")
    same = True
    for number, planned in enumerate(moments(random.Random(seed), whole)):
        place = folder / str(number)
        moment, n_whole, n_half = killed(place, passed_on, planned)
        resumed = finished(start(place, passed_on))
        equal = resumed["weights"] == whole["weights"]
        same = same and equal
        print(
            f"| {moment} | {n_whole} | {n_half} | {resumed['resumed_s']:.1f} s | "
            f"{resumed['fit_s']:.1f} s | {'yes' if equal else 'NO'} |",
            flush=True,
        )
    return same


def moments(chance: random.Random, whole: dict[str, Any]) -> list[Moment]:
    """Return five moments: three spread over the time, two inside the write of a checkpoint."""
    if whole["writes"] < 2:
        sys.exit("fewer than two checkpoints were written: lower --every-s")
    timed = [Moment(after_s=whole["fit_s"] * (third + chance.random()) / 3) for third in range(3)]
    writes = sorted(chance.sample(range(1, whole["writes"] + 1), 2))
    inside = [Moment(write=write, way=way) for write, way in zip(writes, WAYS, strict=True)]
    return [timed[0], inside[0], timed[1], inside[1], timed[2]]


def killed(place: Path, passed_on: list[str], moment: Moment) -> tuple[Moment, int, int]:
    """Kill a training; return when, how many checkpoints it left, and how many half-made files."""
    while True:
        options = [f"--write={moment.write}", f"--way={moment.way}"] if moment.write else []
        process = start(place, [*passed_on, *options])
        assert process.stdout is not None
        process.stdout.readline()  # it starts now
        try:
            process.wait(timeout=moment.after_s)
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        if process.returncode == -signal.SIGKILL:
            names = [path.name for path in place.glob("*")]
            n_half = sum(name.startswith(".") for name in names)
            return moment, len(names) - n_half, n_half
        if moment.after_s is None:
            sys.exit(f"the training was not killed {moment}: exit code {process.returncode}")
        moment = Moment(after_s=moment.after_s * 0.8)  # it was faster than the measured one


def start(place: Path, passed_on: list[str]) -> subprocess.Popen[str]:
    """Start a training with its checkpoints in a folder."""
    command = [sys.executable, __file__, f"--train-in={place}", *passed_on]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return what a training says when it is done."""
    said, _ = process.communicate()
    if process.returncode:
        sys.exit(f"a training failed with exit code {process.returncode}")
    answer: dict[str, Any] = json.loads(said.splitlines()[-1])
    return answer


def train(arguments: argparse.Namespace) -> None:
    """Train, and print a line when it starts and one when it is done."""
    from tenfold.config import load_settings
    from tenfold.data import load_dataset, make_split
    from tenfold.models import build_model
    from tenfold.models.torch.checkpoint import Checkpoints

    split = make_split(load_dataset("mnist", data_dir=load_settings().data_dir))
    rows = split.train[: arguments.rows]
    spent = []
    write = Checkpoints.write

    def timed(*given: Any) -> None:
        began = time.perf_counter()
        if len(spent) + 1 == arguments.write:
            kill_inside(arguments.way)
        write(*given)
        spent.append(time.perf_counter() - began)

    Checkpoints.write = timed  # type: ignore[method-assign]
    model = build_model(
        "cnn",
        {"epochs": arguments.epochs},
        image_shape=split.image_shape,
        threads=arguments.threads,
        precision="auto",
    )
    print("started", flush=True)
    began = time.perf_counter()
    model.fit(
        split.images[rows],
        split.labels[rows],
        checkpoints=Path(arguments.train_in),
        checkpoint_every_s=arguments.every_s,
    )
    weights = hashlib.sha256()
    for tensor in model.network_.state_dict().values():
        weights.update(tensor.contiguous().numpy().tobytes())
    answer = {
        "fit_s": time.perf_counter() - began,
        "resumed_s": model.resumed_s_,
        "writes": len(spent),
        "writing_s": sum(spent),
        "weights": weights.hexdigest(),
    }
    print(json.dumps(answer), flush=True)


def kill_inside(way: str) -> None:
    """Kill this process within the next file that it writes."""

    def half(path: Path, content: bytes) -> None:
        with path.open("wb", buffering=0) as file:
            file.write(content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    def not_renamed(path: Path, target: Path) -> None:  # noqa: ARG001 as the method it replaces
        os.kill(os.getpid(), signal.SIGKILL)

    if way == WAYS[0]:
        Path.write_bytes = half  # type: ignore[assignment]
    else:
        Path.replace = not_renamed  # type: ignore[assignment]


if __name__ == "__main__":
    sys.exit(main())
