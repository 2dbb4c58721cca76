"""The workspace's folders and locks."""

import subprocess
import sys

import pytest

from tenfold.errors import StorageError
from tenfold.workspace import Workspace


def test_opening_makes_the_folders(tmp_path):
    workspace = Workspace(tmp_path / "w").open()
    assert workspace.artifacts.is_dir()
    assert workspace.jobs.is_dir()
    assert workspace.results("mine") == tmp_path / "w" / "results" / "mine"


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="set TENFOLD_HOME"):
        Workspace(tmp_path / "file").open()


def test_a_lock_is_seen_while_held_and_free_after(tmp_path):
    workspace = Workspace(tmp_path).open()
    with workspace.locked("a", "b"):
        assert workspace.is_held("a")
        assert workspace.is_held("b")
        assert not workspace.is_held("c")
    assert not workspace.is_held("a")


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    workspace = Workspace(tmp_path).open()
    script = (
        "import pathlib, sys, threading\n"
        "from tenfold.workspace import Workspace\n"
        f"with Workspace(pathlib.Path({str(tmp_path)!r})).locked('a'):\n"
        "    print('held', flush=True)\n"
        "    threading.Event().wait()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    assert workspace.is_held("a")
    process.kill()
    process.wait()
    assert not workspace.is_held("a")


def test_whoever_waits_for_a_lock_is_asked_whether_to_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr("tenfold.workspace._LOOK_S", 0.05)
    workspace, asked = Workspace(tmp_path).open(), []

    def enough():
        asked.append(workspace.is_held("a"))
        if len(asked) == 2:
            raise KeyboardInterrupt

    with workspace.locked("b"):
        with pytest.raises(KeyboardInterrupt), workspace.locked("a", "b", waiting=enough):
            pytest.fail("the lock was held")
        assert asked == [True, True], "the first was had, the second waited for"
        assert not workspace.is_held("a"), "it is given back"


def test_a_lock_that_cannot_be_written_is_told(tmp_path):
    workspace = Workspace(tmp_path).open()
    (tmp_path / "locks" / "a.lock").mkdir()
    with (
        pytest.raises(StorageError, match="cannot lock .*a.lock: .*TENFOLD_HOME"),
        workspace.locked("a"),
    ):
        pytest.fail("there is no lock")
