"""Records as tables in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness import Record, at_quiet_speed

USE_COLUMNS = ("seconds", "at 50 s an epoch", "CPU s", "process s", "its CPU s", "peak MB")


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table."""
    print(f"| {' | '.join(header)} |")
    print(f"|{'---|' * len(header)}")
    for cells in rows:
        print(f"| {' | '.join(cells)} |")
    print()


def print_races(pairs: Mapping[int, Sequence[Record]]) -> float:
    """Print theirs and ours by seed and how much faster ours was.

    Args:
        pairs: By seed, the record of their training and of ours.

    Returns:
        The median ratio of their seconds to ours, each at quiet speed; 0 without any pair.
    """
    records = [record for pair in pairs.values() for record in pair]
    print_table(
        ("run", "epochs", "test accuracy", "95 % interval", *USE_COLUMNS),
        [(record["name"], epochs(record), *accuracy(record), *use(record)) for record in records],
    )
    if not pairs:
        return 0.0
    ratios = {
        seed: (
            theirs["result"]["seconds"] / ours["result"]["seconds"],
            quiet_s(theirs) / quiet_s(ours),
            theirs["result"]["cpu_s"] / ours["result"]["cpu_s"],
        )
        for seed, (theirs, ours) in pairs.items()
    }
    medians = [statistics.median(column) for column in zip(*ratios.values(), strict=True)]
    print_table(
        ("seed", "theirs : ours, seconds", "at 50 s an epoch", "CPU s"),
        [
            (str(name), *(f"{ratio:.1f}" for ratio in row))
            for name, row in [*ratios.items(), ("median", medians)]
        ],
    )
    return medians[1]


def print_machines(records: Iterable[Record]) -> None:
    """Print one line for each machine and state of the sources that the records come from."""
    for line in dict.fromkeys(_machine_line(record["machine"]) for record in records):
        print(line)


def use(record: Record) -> tuple[str, ...]:
    """Return what a training took, then what its whole process took: cells of `USE_COLUMNS`."""
    result, process = record["result"], record["process"]
    seconds = (result["seconds"], quiet_s(record), result["cpu_s"])
    whole = (process["wall_s"], process["cpu_s"])
    return (*(f"{value:.1f}" for value in (*seconds, *whole)), megabytes(process["peak_bytes"]))


def quiet_s(record: Record) -> float:
    """Return the seconds of a training where an epoch of the classic recipe takes 50 s."""
    return at_quiet_speed(record, record["result"]["seconds"])


def accuracy(record: Record) -> tuple[str, str]:
    """Return cells for accuracy and interval, empty where nothing was graded."""
    result = record["result"]
    if "accuracy" not in result:
        return "", ""
    return f"{result['accuracy']:.4f}", f"{result['low']:.4f} to {result['high']:.4f}"


def epochs(record: Record) -> str:
    """Return the number of epochs, and how many of them were timed if not all."""
    result = record["result"]
    timed = result.get("epochs_timed")
    return f"{result['epochs']}" + (f", in proportion to {timed}" if timed else "")


def megabytes(n_bytes: float) -> str:
    """Return bytes as whole megabytes of 10^6."""
    return f"{n_bytes / 1e6:.0f}"


def _machine_line(machine: Mapping[str, Any]) -> str:
    changed = ", with changes" if machine["changed"] else ""
    return (
        f"{machine['machine']} ({' '.join(machine['flags'])}), {machine['memory_gib']} GiB; "
        f"python {machine['python']}, torch {machine.get('torch')}, numpy {machine.get('numpy')}, "
        f"tenfold {machine['tenfold']} (commit {machine['commit']}{changed})"
    )
