"""Finding the files of the catalogue on this machine, and fetching those that are missing."""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

from tenfold.config import expand_home
from tenfold.data.catalog import CatalogEntry, CatalogFile, Role
from tenfold.data.compressed import read_content
from tenfold.errors import CorruptDataError, DownloadError, StorageError

_LOGGER = logging.getLogger(__name__)

#: Called with a file's name, the bytes it has so far, and its size where the mirror says it.
Progress = Callable[[str, int, int | None], None]

_TIMEOUT_S = 30.0
_CHUNK_BYTES = 1 << 17
_MAX_DOWNLOAD_BYTES = 2**28
_TRIES = 3


def default_data_dir() -> Path:
    """Return the user's folder for data sets, which may not exist yet."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        home = Path.home() / "AppData" / "Local"
    else:
        base = os.environ.get("XDG_CACHE_HOME")
        home = Path.home() / ".cache"
    return (Path(base) if base else home) / "tenfold" / "data"


def find_data_dir(data_dir: Path | None = None) -> Path:
    """Return the folder that data sets lie in.

    Args:
        data_dir: Wins if given; then ``TENFOLD_DATA_DIR``; then `default_data_dir`.

    Returns:
        A path, which may not exist yet.

    Raises:
        UsageError: It starts with the ``~name`` of an unknown user.
    """
    if data_dir is not None:
        return expand_home(Path(data_dir), what="the folder of the data sets")
    named = os.environ.get("TENFOLD_DATA_DIR")
    return expand_home(Path(named), what="TENFOLD_DATA_DIR") if named else default_data_dir()


def fetch_dataset(
    entry: CatalogEntry, data_dir: Path, *, on_progress: Progress = lambda *_: None
) -> dict[Role, tuple[CatalogFile, Path]]:
    """Fetch what is missing of a data set; what lies in its folder is never fetched.

    Mirrors are tried in turn. A download that was cut off is resumed, by a later call too; a file
    appears under its name only when its checksum is right.

    Args:
        entry: The data set.
        data_dir: The folder of all data sets.
        on_progress: Called after every chunk.

    Returns:
        The file and its path for every role.

    Raises:
        DownloadError: No mirror could give a file; the message says which file to put where.
        StorageError: The folder cannot be written.
    """
    if entry.is_ready(data_dir):
        return entry.find(data_dir)
    folder = data_dir / entry.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder):
            for role in entry.roles:
                if role not in entry.find(data_dir):
                    _fetch_role(entry, role, folder, on_progress)
    except DownloadError:
        raise
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written ({error.strerror or error}); free some space or point "
            "TENFOLD_DATA_DIR at a folder that can be written"
        ) from error
    return entry.find(data_dir)


def read_verified(file: CatalogFile, path: Path) -> bytes:
    """Read a file's unpacked content and check its sum, where one is known.

    Raises:
        CorruptDataError: It is damaged or not the file that it should be.
    """
    content = read_content(path)
    if file.sha256 is not None:
        found = hashlib.sha256(content).hexdigest()
        if found != file.sha256:
            raise CorruptDataError(
                f"{path} is not the published file: SHA-256 of its unpacked content is {found}, "
                f"expected {file.sha256}; remove it and fetch it again with `tenfold data fetch`"
            )
    return content


def _fetch_role(entry: CatalogEntry, role: Role, folder: Path, on_progress: Progress) -> None:
    """Fetch the first file of a role that a mirror can give."""
    candidates = [file for file in entry.files if file.role == role]
    failures: list[str] = []
    for file in candidates:
        for url in file.urls:
            try:
                _fetch_file(file, url, folder, on_progress)
            except _MirrorError as error:
                failures.append(f"{urlsplit(url).netloc}: {error}")
                _LOGGER.info("%s failed: %s", url, error)
            else:
                return
    names = " or ".join(file.name for file in candidates)
    raise DownloadError(
        f"no mirror gave {names} of {entry.name} ({'; '.join(failures)}); without a network, get "
        f"the file elsewhere and put it into {folder.absolute()}, or set TENFOLD_DATA_DIR to a "
        f"folder that has {entry.folder}/{candidates[0].name}"
    )


class _MirrorError(Exception):
    """One mirror could not give a file; the next is tried."""


def _fetch_file(file: CatalogFile, url: str, folder: Path, on_progress: Progress) -> None:
    # The mirrors' packed bytes differ, so each has its own partial file.
    mirror = hashlib.sha256(url.encode()).hexdigest()[:8]
    partial = folder / f".{file.name}.{mirror}.part"
    for _ in range(_TRIES):
        resumed = partial.exists() and partial.stat().st_size > 0
        complete = _download(url, partial, lambda n, m: on_progress(file.name, n, m))
        if not complete:
            continue
        problem = _problem(file, partial)
        if problem is None:
            partial.replace(folder / file.name)
            return
        partial.unlink()
        if not resumed:
            raise _MirrorError(problem)
    raise _MirrorError("the connection was cut off again and again")


def _problem(file: CatalogFile, path: Path) -> str | None:
    """Say what is wrong with a downloaded file, or None."""
    if file.sha256 is None and file.packed_sum is not None:
        algorithm, _, wanted = file.packed_sum.partition(":")
        found = hashlib.new(algorithm, path.read_bytes(), usedforsecurity=False).hexdigest()
        return None if found == wanted else f"wrong {algorithm} {found}, expected {wanted}"
    try:
        read_verified(file, path)
    except CorruptDataError as error:
        return str(error)
    return None


def _download(url: str, partial: Path, on_bytes: Callable[[int, int | None], None]) -> bool:
    """Go on with a download; return whether it reached its end."""
    from urllib.error import HTTPError

    done = partial.stat().st_size if partial.exists() else 0
    try:
        reply = _open(url, done)
    except HTTPError as error:
        if error.code == 416:  # nothing is left to send: the partial file is whole, or wrong
            return True
        raise _MirrorError(f"HTTP {error.code} {error.reason}") from error
    except (OSError, HTTPException) as error:
        raise _MirrorError(str(getattr(error, "reason", error))) from error
    with reply:
        if reply.status != 206:
            done = 0
        length = reply.headers.get("Content-Length")
        total = done + int(length) if length else None
        with partial.open("ab" if done else "wb") as file:
            while chunk := _read_chunk(reply):
                file.write(chunk)
                done += len(chunk)
                on_bytes(done, total)
                if done > _MAX_DOWNLOAD_BYTES:
                    raise _MirrorError(f"it sent more than {_MAX_DOWNLOAD_BYTES:,} bytes")
    return chunk is not None and total in (None, done)


def _open(url: str, start: int) -> HTTPResponse:
    from urllib.request import Request, urlopen

    headers = {"User-Agent": "tenfold", **({"Range": f"bytes={start}-"} if start else {})}
    # The addresses are the catalogue's own, all http or https.
    request = Request(url, headers=headers)  # noqa: S310
    reply: HTTPResponse = urlopen(request, timeout=_TIMEOUT_S)  # noqa: S310
    return reply


def _read_chunk(reply: HTTPResponse) -> bytes | None:
    """Return the next bytes, no bytes at the end, and None where the connection broke."""
    try:
        return reply.read(_CHUNK_BYTES)
    except (OSError, HTTPException) as error:
        _LOGGER.info("the connection was cut off: %s", error)
        return None


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Let one process at a time fetch into a folder; Windows goes without."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
