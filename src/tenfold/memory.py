"""How much memory the machine has left for further processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tenfold._optional import require


def available_bytes(root: Path = Path("/")) -> int:
    """Return how much memory further processes can take before the system swaps or kills.

    Args:
        root: Where ``proc`` and ``sys`` lie.

    Returns:
        What the system has left, or less where a control group, such as a container's, has less.
    """
    return min([int(require("psutil").virtual_memory().available), *_left_to_groups(root)])


def _left_to_groups(root: Path) -> Iterator[int]:
    """Yield what is left of each limit that a control group sets over this process.

    Linux has two kinds: https://docs.kernel.org/admin-guide/cgroup-v2.html and cgroup-v1.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    mount = root / "sys/fs/cgroup"
    for _, controllers, group in (line.split(":", 2) for line in lines):
        if not controllers:
            for folder in _upwards(mount, group):
                yield from _left(folder, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            for folder in _upwards(mount / "memory", group):
                yield from _left(folder, *names)


def _upwards(top: Path, group: str) -> Iterator[Path]:
    """Yield the folders of a group and of those above it.

    Inside a container the group's path may be the host's, while the group itself lies at the top.
    """
    folder = top / group.lstrip("/")
    while folder != top and top in folder.parents:
        yield folder
        folder = folder.parent
    yield top


def _left(folder: Path, limit: str, used: str, files: str) -> Iterator[int]:
    """Yield what is left of a group's limit, if it has one.

    Files that were read and can be dropped from memory at once make room, and count as left.
    """
    try:
        most = int((folder / limit).read_text(encoding="utf-8"))
        taken = int((folder / used).read_text(encoding="utf-8"))
        stat = (folder / "memory.stat").read_text(encoding="utf-8").splitlines()
        counts = dict(line.split() for line in stat)
        yield max(0, most - taken + int(counts.get(files, 0)))
    except (OSError, ValueError):
        return  # no such group here, or its limit is "max"
