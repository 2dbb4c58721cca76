"""Files appear whole or not at all."""

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
