from pathlib import Path

import pytest

from tenfold.data import load_dataset
from tenfold.data.readers import read_path
from tenfold.errors import CorruptDataError, DatasetNotFoundError


def test_a_missing_path_says_what_may_be_given(tmp_path):
    with pytest.raises(DatasetNotFoundError, match=r"nothing does not exist; give the path of"):
        read_path(tmp_path / "nothing")


def test_an_unknown_format_says_what_is_allowed(tmp_path):
    path = tmp_path / "data.pkl"
    path.touch()
    with pytest.raises(CorruptDataError, match=r"unknown format; allowed are \.npz, \.csv"):
        read_path(path)


@pytest.mark.parametrize("folder", ["", "~no-such-user/"])
@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + ".csv", "a\0b.csv", "loop.csv"])
def test_a_path_that_nobody_can_look_at_is_told_in_one_line(tmp_path, folder, name):
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    source = f"{folder or tmp_path}/{name}"
    with pytest.raises(DatasetNotFoundError, match="cannot be reached: .*; give a path") as caught:
        load_dataset(source)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_path_in_a_folder_of_another_user_is_told(tmp_path, monkeypatch):
    def refuse(path, **_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(DatasetNotFoundError, match="cannot be reached: Permission denied"):
        load_dataset(tmp_path / "x.csv")


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(CorruptDataError, match="cannot be read: Permission denied"):
        read_path(tmp_path)
