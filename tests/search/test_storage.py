"""Where studies are kept: addresses, locks, and a server that goes away and comes back."""

import socket

import filelock
import optuna
import pytest
import sqlalchemy

from tenfold.errors import StorageError, StudyError
from tenfold.search import StudyStorage
from tenfold.workspace import Workspace


def test_by_default_studies_lie_in_the_workspace(studies):
    storage = StudyStorage(None, studies)
    assert storage.shown == f"sqlite:///{studies.home}/studies.db"
    assert not storage.is_shared


@pytest.mark.parametrize(
    "url",
    [
        *("mysql://host/name", "sqlite://", "sqlite:///:memory:", "studies.db", "journal"),
        "postgresql://me:secret@host:port/studies",
    ],
)
def test_another_kind_of_address_is_refused_in_one_line(studies, url):
    with pytest.raises(StudyError, match=r"allowed: sqlite:///FILE or postgresql://") as caught:
        StudyStorage(url, studies)
    assert "secret" not in str(caught.value)


def test_a_file_in_no_folder_is_told_in_one_line_and_nothing_is_made(studies):
    with pytest.raises(StudyError, match=r"there is no folder .*no-folder; make it, or give"):
        StudyStorage(f"sqlite:///{studies.home}/no-folder/s.db", studies)
    assert not (studies.home / "no-folder").exists()


def test_a_file_that_is_no_database_is_told_in_one_line(studies):
    (studies.home / "s.db").write_text("something else, and quite a lot of it " * 99)
    with pytest.raises(StudyError, match=r"s.db cannot be opened: file is not a database"):
        StudyStorage(f"sqlite:///{studies.home}/s.db", studies)


def test_a_file_that_cannot_be_locked_is_told_in_one_line(studies):
    (studies.home / "s.db.lock").mkdir()
    with pytest.raises(StudyError, match=r"cannot lock .*s.db.lock: .*; make its folder writable"):
        StudyStorage(f"sqlite:///{studies.home}/s.db", studies)


def test_workspaces_that_use_one_file_keep_out_of_each_others_way(studies, tmp_path):
    here = StudyStorage(None, studies)
    there = StudyStorage(here.shown, Workspace(tmp_path / "another").open())
    for storage in (here, there):
        with storage.locked("any"), pytest.raises(filelock.Timeout):
            filelock.FileLock(f"{studies.home}/studies.db.lock").acquire(timeout=0)


def test_a_server_that_is_not_there_is_told_in_one_line_without_the_password(studies):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # a port on which nobody listens
        port = taken.getsockname()[1]
        with pytest.raises(StudyError) as caught:
            StudyStorage(f"postgresql://me:secret@127.0.0.1:{port}/studies", studies)
    assert "cannot be opened" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_with_tables_of_another_optuna_is_told_in_one_line(studies):
    engine = sqlalchemy.create_engine(f"sqlite:///{studies.home}/studies.db")
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE version_info SET schema_version = 99"))
        connection.execute(sqlalchemy.text("UPDATE alembic_version SET version_num = 'v99'"))
    engine.dispose()
    with pytest.raises(StudyError, match="cannot be opened: The runtime optuna version"):
        StudyStorage(None, studies)


def failing(times, error):
    calls = []

    def action():
        calls.append(None)
        if len(calls) <= times:
            raise error
        return len(calls)

    return action


def test_an_action_is_tried_again_while_the_server_is_away(studies):
    away = optuna.exceptions.StorageInternalError("away")
    assert StudyStorage(None, studies).insist(failing(2, away)) == 3


def test_a_server_that_does_not_come_back_is_told(studies):
    storage = StudyStorage(None, studies, patience_s=0)
    with pytest.raises(StorageError, match="the same command goes on when it is back"):
        storage.insist(failing(9, optuna.exceptions.StorageInternalError("away")))


def test_other_errors_come_out_at_once(studies):
    with pytest.raises(KeyError):
        StudyStorage(None, studies).insist(failing(1, KeyError("x")))
