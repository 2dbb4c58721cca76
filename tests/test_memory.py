"""How much memory is left: the machine's, or less where a container has less."""

import psutil
import pytest

from tenfold.memory import available_bytes

GIB = 1 << 30


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """Make a machine that has 8 GiB left."""
    memory = psutil.virtual_memory()._replace(available=8 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)


def group(root, lines, folder, files):
    """Write what Linux tells of this process's control group."""
    (root / "proc/self").mkdir(parents=True, exist_ok=True)
    (root / "proc/self/cgroup").write_text(lines)
    place = root / "sys/fs/cgroup" / folder
    place.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (place / name).write_text(f"{content}\n")


def v2(limit, used, *, cached=0):
    stat = f"anon 5\ninactive_file {cached}"
    return {"memory.max": limit, "memory.current": used, "memory.stat": stat}


def test_without_control_groups_it_is_what_the_machine_has_left(tmp_path):
    assert available_bytes(tmp_path) == 8 * GIB


def test_a_container_that_has_less_counts(tmp_path):
    group(tmp_path, "0::/\n", "", v2(4 * GIB, 3 * GIB))
    assert available_bytes(tmp_path) == GIB


def test_files_that_can_be_dropped_count_as_left(tmp_path):
    group(tmp_path, "0::/\n", "", v2(4 * GIB, 3 * GIB, cached=2 * GIB))
    assert available_bytes(tmp_path) == 3 * GIB


def test_a_group_without_a_limit_does_not_count(tmp_path):
    group(tmp_path, "0::/\n", "", v2("max", 3 * GIB))
    assert available_bytes(tmp_path) == 8 * GIB


def test_the_limit_of_a_group_above_counts(tmp_path):
    group(tmp_path, "0::/slice/mine\n", "slice", v2(4 * GIB, 2 * GIB))
    group(tmp_path, "0::/slice/mine\n", "slice/mine", v2("max", GIB))
    assert available_bytes(tmp_path) == 2 * GIB


def test_more_taken_than_allowed_leaves_nothing(tmp_path):
    group(tmp_path, "0::/\n", "", v2(GIB, 2 * GIB))
    assert available_bytes(tmp_path) == 0


@pytest.mark.parametrize("folder", ["memory", "memory/docker/abc"])
def test_the_older_kind_of_groups_counts_too(tmp_path, folder):
    files = {
        "memory.limit_in_bytes": 4 * GIB,
        "memory.usage_in_bytes": 3 * GIB,
        "memory.stat": f"total_inactive_file {GIB}",
    }
    group(tmp_path, "9:cpu:/docker/abc\n5:memory:/docker/abc\n", folder, files)
    assert available_bytes(tmp_path) == 2 * GIB
