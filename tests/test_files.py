"""Files appear whole or not at all."""

import subprocess
import sys

import pytest

from tenfold.errors import StorageError
from tenfold.files import replacing, write_text


def test_a_file_is_made_with_its_folders(tmp_path):
    path = write_text(tmp_path / "a" / "b.txt", "grüße")
    assert path.read_text(encoding="utf-8") == "grüße"


def test_an_error_leaves_the_old_file_and_no_temporary_one(tmp_path):
    path = write_text(tmp_path / "a.txt", "old")

    def write_half():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write .*choose another folder"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_a_full_disk_leaves_the_old_file_and_no_temporary_one(tmp_path):
    path = write_text(tmp_path / "a.txt", "old")
    script = (
        "import pathlib, resource, signal\n"
        "from tenfold.files import write_bytes\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "before = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))\n"  # a larger write fails
        "try:\n"
        f"    write_bytes(pathlib.Path({str(path)!r}), bytes(5000))\n"
        "finally:\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"tenfold.errors.StorageError: cannot write {path}: File too large")
    assert "then run the same command again" in last
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
