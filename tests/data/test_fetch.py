import gzip
import hashlib
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from tenfold.data import default_data_dir, fetch_dataset, find_data_dir, get_entry, load_dataset
from tenfold.data.catalog import ENTRIES, CatalogFile
from tenfold.errors import CorruptDataError, DownloadError, StorageError

CONTENT = bytes(range(256)) * 4000


class Mirror(ThreadingHTTPServer):
    """A server on a free port of this machine that serves, breaks off and counts."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = {}
        self.ranges = True
        self.breaks = 0  # so many answers are cut in the middle
        self.without_length = False
        self.chunked = False
        self.garbage = False
        self.requests = []

    def url(self, name):
        return f"http://127.0.0.1:{self.server_port}/{name}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.requests.append((self.path, wanted))
        content = server.files.get(self.path[1:])
        if content is None:
            self.send_error(404)
            return
        start = int(wanted[6:-1]) if wanted and server.ranges else 0
        if start >= len(content) and start:
            self.send_error(416)
            return
        if not server.garbage:
            self.send_response(206 if start else 200)
        body = content[start:]
        if server.garbage:
            self.wfile.write(b"garbage")
            return
        if server.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif not server.without_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.chunked and server.breaks:
            server.breaks -= 1
            self.wfile.write(b"fffff\r\n" + body[:100])
            return
        if server.chunked:
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        if server.breaks:
            server.breaks -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture
def mirror(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with Mirror() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def entry(mirror):
    """Return a data set of one file that only this machine's mirror has."""
    mirror.files["a/x.gz"] = mirror.files["b/x.gz"] = gzip.compress(CONTENT, mtime=0)
    file = CatalogFile(
        "train",
        "x.gz",
        (mirror.url("a/x.gz"), mirror.url("b/x.gz")),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )
    return replace(get_entry("usps"), name="local", folder="local", files=(file,))


def fetched(entry, folder, **options):
    ((file, path),) = fetch_dataset(entry, folder, **options).values()
    assert file in entry.files
    assert not [p.name for p in path.parent.iterdir() if p.name.endswith(".part")]
    return gzip.decompress(path.read_bytes())


def test_a_file_is_fetched_once(mirror, entry, tmp_path):
    seen = []
    assert fetched(entry, tmp_path, on_progress=lambda *args: seen.append(args)) == CONTENT
    size = len(mirror.files["a/x.gz"])
    assert seen[-1] == ("x.gz", size, size)
    assert fetched(entry, tmp_path) == CONTENT
    assert [path for path, _ in mirror.requests] == ["/a/x.gz"]


def test_what_lies_there_is_never_fetched(mirror, entry, tmp_path):
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "x").write_bytes(b"anything")
    assert fetch_dataset(entry, tmp_path)["train"][1] == tmp_path / "local" / "x"
    assert mirror.requests == []


def test_the_next_mirror_is_asked_when_one_has_nothing(mirror, entry, tmp_path):
    del mirror.files["a/x.gz"]
    assert fetched(entry, tmp_path) == CONTENT
    assert [path for path, _ in mirror.requests] == ["/a/x.gz", "/b/x.gz"]


@pytest.mark.parametrize("wrong", [gzip.compress(b"other"), b"no gzip", b"\x1f\x8bcut", b""])
def test_the_next_mirror_is_asked_when_one_has_something_else(mirror, entry, tmp_path, wrong):
    mirror.files["a/x.gz"] = wrong
    assert fetched(entry, tmp_path) == CONTENT


def test_a_cut_download_goes_on_where_it_stopped(mirror, entry, tmp_path):
    mirror.breaks = 1
    assert fetched(entry, tmp_path) == CONTENT
    size = len(mirror.files["a/x.gz"])
    assert mirror.requests == [("/a/x.gz", None), ("/a/x.gz", f"bytes={size // 2}-")]


def test_a_later_call_goes_on_too(mirror, entry, tmp_path):
    mirror.breaks = 100
    with pytest.raises(DownloadError, match="cut off again and again"):
        fetch_dataset(entry, tmp_path)
    assert list((tmp_path / "local").glob("x.gz")) == []
    mirror.breaks, mirror.requests = 0, []
    fetch_dataset(entry, tmp_path)
    assert mirror.requests[0][1].startswith("bytes=")
    assert gzip.decompress((tmp_path / "local" / "x.gz").read_bytes()) == CONTENT


def test_a_mirror_that_cannot_resume_sends_all(mirror, entry, tmp_path):
    mirror.breaks, mirror.ranges = 1, False
    assert fetched(entry, tmp_path) == CONTENT


def test_a_mirror_that_does_not_say_the_size_is_read_to_its_end(mirror, entry, tmp_path):
    mirror.without_length = True
    assert fetched(entry, tmp_path) == CONTENT


def test_a_cut_chunk_is_noticed(mirror, entry, tmp_path):
    mirror.chunked, mirror.breaks = True, 1
    assert fetched(entry, tmp_path) == CONTENT
    assert [path for path, _ in mirror.requests] == ["/a/x.gz", "/a/x.gz"]


def test_an_answer_that_is_no_http_is_a_failed_mirror(mirror, entry, tmp_path):
    mirror.garbage = True
    with pytest.raises(DownloadError, match="no mirror gave"):
        fetch_dataset(entry, tmp_path)


@pytest.mark.parametrize("rest", ["same", "wrong"])
def test_a_partial_file_that_is_whole_or_wrong_is_noticed(mirror, entry, tmp_path, rest):
    mirror.breaks = 100
    with pytest.raises(DownloadError):
        fetch_dataset(entry, tmp_path)
    whole = mirror.files["a/x.gz"]
    for partial in (tmp_path / "local").glob(".*.part"):
        partial.write_bytes(whole if rest == "same" else bytes(len(whole)))
    mirror.breaks = 0
    fetch_dataset(entry, tmp_path)
    assert gzip.decompress((tmp_path / "local" / "x.gz").read_bytes()) == CONTENT


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_the_packed_sum_is_checked_where_only_it_is_known(mirror, entry, tmp_path, algorithm):
    packed = mirror.files["a/x.gz"]
    right = f"{algorithm}:{hashlib.new(algorithm, packed).hexdigest()}"
    file = replace(entry.files[0], sha256=None, packed_sum=right)
    assert fetched(replace(entry, files=(file,)), tmp_path / "a") == CONTENT
    wrong = replace(file, packed_sum=right[:-3] + "000")
    with pytest.raises(DownloadError, match=f"wrong {algorithm}"):
        fetch_dataset(replace(entry, files=(wrong,)), tmp_path / "b")


def test_an_alternative_file_is_fetched_when_the_first_is_nowhere(mirror, entry, tmp_path):
    first = replace(entry.files[0], name="y.gz", urls=(mirror.url("y.gz"),))
    both = replace(entry, files=(first, entry.files[0]))
    assert fetched(both, tmp_path) == CONTENT


def test_without_a_network_the_error_says_what_to_put_where(entry, tmp_path):
    nowhere = ("http://127.0.0.1:1/x.gz", "http://tenfold.invalid/x.gz")
    offline = replace(entry, files=(replace(entry.files[0], urls=nowhere),))
    with pytest.raises(DownloadError) as caught:
        fetch_dataset(offline, tmp_path)
    message = str(caught.value)
    assert "no mirror gave x.gz of local (127.0.0.1:1: " in message
    assert f"get the file elsewhere and put it into {tmp_path / 'local'}" in message
    assert "TENFOLD_DATA_DIR to a folder that has local/x.gz" in message


def test_an_endless_download_is_ended(mirror, entry, tmp_path, monkeypatch):
    monkeypatch.setattr("tenfold.data.fetch._MAX_DOWNLOAD_BYTES", 100)
    with pytest.raises(DownloadError, match="it sent more than 100 bytes"):
        fetch_dataset(entry, tmp_path)


def test_a_folder_that_cannot_be_made_is_a_storage_error(entry, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written.*point TENFOLD_DATA_DIR at"):
        fetch_dataset(entry, tmp_path / "file")


def test_two_at_once_fetch_once(mirror, entry, tmp_path):
    threads = [threading.Thread(target=fetch_dataset, args=(entry, tmp_path)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(mirror.requests) == 1


def test_a_data_set_is_loaded_from_a_mirror(mirror, tmp_path, monkeypatch, idx_bytes):
    rng = np.random.default_rng(0)
    files = []
    for role, name, array in (
        ("train_images", "a.gz", rng.integers(0, 256, (40, 28, 28), np.uint8)),
        ("train_labels", "b.gz", np.arange(40, dtype=np.uint8) % 10),
        ("test_images", "c.gz", rng.integers(0, 256, (10, 28, 28), np.uint8)),
        ("test_labels", "d.gz", np.arange(10, dtype=np.uint8)),
    ):
        content = idx_bytes(array)
        mirror.files[name] = gzip.compress(content)
        digest = hashlib.sha256(content).hexdigest()
        files.append(CatalogFile(role, name, (mirror.url(name),), sha256=digest))
    entry = replace(get_entry("kmnist"), files=tuple(files), n_train=40, n_test=10)
    entries = tuple(entry if old.name == "kmnist" else old for old in ENTRIES)
    monkeypatch.setattr("tenfold.data.catalog.ENTRIES", entries)
    dataset = load_dataset("kmnist", data_dir=tmp_path)
    assert len(dataset) == 40
    assert dataset.class_names[1] == "ki"
    assert len(dataset.test) == 10
    (tmp_path / "kmnist" / "c.gz").write_bytes(gzip.compress(b"other"))
    with pytest.raises(CorruptDataError, match=r"c\.gz is not the published file"):
        load_dataset("kmnist", data_dir=tmp_path)


def test_the_data_folder_is_an_argument_a_variable_or_the_cache(monkeypatch, tmp_path):
    assert find_data_dir(tmp_path) == tmp_path
    assert find_data_dir() == tmp_path / "data"
    monkeypatch.delenv("TENFOLD_DATA_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert find_data_dir() == default_data_dir() == tmp_path / "cache" / "tenfold" / "data"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_data_dir() == Path.home() / ".cache" / "tenfold" / "data"
