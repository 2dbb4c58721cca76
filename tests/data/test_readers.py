from pathlib import Path

import pytest

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


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(CorruptDataError, match="cannot be read: Permission denied"):
        read_path(tmp_path)
