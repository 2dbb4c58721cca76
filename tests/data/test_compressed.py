import bz2
import gzip

import pytest

from tenfold.data.compressed import read_content
from tenfold.errors import CorruptDataError, DatasetNotFoundError


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
def test_content_is_unpacked_whatever_the_name(tmp_path, pack):
    path = tmp_path / "name.txt"
    path.write_bytes(pack(b"content"))
    assert read_content(path) == b"content"


def test_more_than_the_bound_is_refused(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes(10_000)))
    assert len(read_content(path, max_bytes=10_000)) == 10_000
    with pytest.raises(CorruptDataError, match=r"bomb\.gz unpacks to more than 9,999 bytes"):
        read_content(path, max_bytes=9_999)


def test_a_folder_in_place_of_a_file_is_refused(tmp_path):
    with pytest.raises(CorruptDataError, match="cannot be read"):
        read_content(tmp_path)
    with pytest.raises(DatasetNotFoundError, match="does not exist"):
        read_content(tmp_path / "nothing")
