"""The files of a bundle, as a folder or as one ``.zip``: reading within bounds, and sums."""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from tenfold.errors import BundleError

MODEL, INFO, CARD, SUMS = "model.onnx", "bundle.json", "MODEL_CARD.md", "SHA256SUMS"
LEARNED = "learned.bin"
#: The files, and the most bytes of each.
LIMITS: Mapping[str, int] = {
    MODEL: 512 * 2**20,
    INFO: 2**20,
    CARD: 2**20,
    SUMS: 1024,
    LEARNED: 64 * 2**20,
}
#: What an older bundle does not have.
OPTIONAL = frozenset({LEARNED})

#: A zip may unpack to so many times its own size; Deflate could give 1,032 times.
_MOST_RATIO = 100
_MOST_DIRECTORY_BYTES = 4096
_END, _END_BYTES = b"PK\x05\x06", 22
_END_64, _END_64_BYTES = b"PK\x06\x07", 20
_ENCRYPTED = 0x1
#: Others unpack a whole chunk at once, to however many bytes it gives.
_BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_CHUNK = 2**20


def read_bundle(path: Path) -> dict[str, bytes]:
    """Read the files of a bundle and verify their sums.

    Args:
        path: A folder, or a ``.zip`` file.

    Raises:
        BundleError: It is not there, is damaged, or holds anything but its plain files within
            their bounds that have the sums of ``SHA256SUMS``.
    """
    try:
        files = _read_folder(path) if path.is_dir() else _read_zip(path)
    except OSError as error:
        raise BundleError(f"it cannot be read: {error.strerror or error}") from error
    _verify(files)
    return files


def sums_of(files: Mapping[str, bytes]) -> bytes:
    """Return the content of ``SHA256SUMS`` for the other files, as ``sha256sum -c`` takes it."""
    lines = (f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    return "".join(lines).encode()


def check_size(name: str, size: int) -> None:
    """See that a file is not larger than it may be.

    Raises:
        BundleError: It has more bytes.
    """
    if size > LIMITS[name]:
        raise BundleError(f"{name} has {size:,} bytes, allowed are {LIMITS[name]:,}")


def _read_folder(path: Path) -> dict[str, bytes]:
    found: set[str] = set()
    with os.scandir(path) as entries:
        for entry in entries:  # a folder with a million files is left at the first strange one
            _check_name(entry.name)
            found.add(entry.name)
    _check_complete(found)
    return {name: _read_plain(path / name, LIMITS[name]) for name in sorted(found)}


def _read_plain(path: Path, limit: int) -> bytes:
    """Read a file that is no link, no device and no pipe."""
    if path.is_symlink():
        raise BundleError(f"{path.name} is a link; only plain files are allowed")
    # What was a file a moment ago may be a link or a pipe now.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0))
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise BundleError(f"{path.name} is no plain file")
        check_size(path.name, status.st_size)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return _read_bounded(file, path.name, limit)
    finally:
        os.close(descriptor)


def _read_zip(path: Path) -> dict[str, bytes]:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            _check_directory(file, size)
            with zipfile.ZipFile(file) as archive:
                return _unpack(archive, size)
    except (OSError, BundleError):
        raise
    # A damaged archive raises almost anything: BadZipFile, zlib.error, struct.error, EOFError, ...
    except Exception as error:
        raise BundleError(f"it cannot be unpacked: {error}") from error


def _check_directory(file: IO[bytes], size: int) -> None:
    """See that the archive's directory is small before `zipfile` makes objects of it."""
    file.seek(max(0, size - _END_BYTES - _END_64_BYTES))
    tail = file.read()
    end = tail[-_END_BYTES:]
    if end[:4] != _END or tail[:-_END_BYTES].startswith(_END_64):
        raise BundleError("it is neither a folder nor a plain .zip without a comment")
    entries = int.from_bytes(end[10:12], "little")
    directory = int.from_bytes(end[12:16], "little")
    if entries > len(LIMITS) or directory > _MOST_DIRECTORY_BYTES:
        raise BundleError(f"it has {entries} files, at most {len(LIMITS)} are allowed")


def _unpack(archive: zipfile.ZipFile, size: int) -> dict[str, bytes]:
    infos: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        _check_name(info.filename)
        if info.filename in infos:
            raise BundleError(f"it has {info.filename} twice")
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG) or info.flag_bits & _ENCRYPTED:
            raise BundleError(f"{info.filename} is no plain file; links and secrets are refused")
        if info.compress_type not in _BOUNDED:
            raise BundleError(
                f"{info.filename} is compressed by method {info.compress_type}; allowed are "
                "Stored (0) and Deflate (8)"
            )
        check_size(info.filename, info.file_size)
        infos[info.filename] = info
    _check_complete(set(infos))
    total = sum(info.file_size for info in infos.values())
    if total > _MOST_RATIO * size:
        raise BundleError(
            f"it has {size:,} bytes and would unpack to {total:,}, "
            f"more than {_MOST_RATIO} times as many"
        )
    files = {}
    for name, info in infos.items():
        with archive.open(info) as file:
            files[name] = _read_bounded(file, name, info.file_size)
    return files


def _check_name(name: str) -> None:
    if name not in LIMITS:
        raise BundleError(f"it holds {name[:80]!r}; allowed are {', '.join(sorted(LIMITS))}")


def _check_complete(names: set[str]) -> None:
    missing = sorted(set(LIMITS) - OPTIONAL - names)
    if missing:
        raise BundleError(f"it has no {', '.join(missing)}")


def _read_bounded(file: IO[bytes], name: str, limit: int) -> bytes:
    """Read to the end, whatever size was declared, but never past a limit."""
    content = bytearray()
    while chunk := file.read(_CHUNK):
        content += chunk
        if len(content) > limit:
            raise BundleError(f"{name} has more than {limit:,} bytes, which are allowed")
    return bytes(content)


def _verify(files: Mapping[str, bytes]) -> None:
    wanted = sums_of({name: content for name, content in files.items() if name != SUMS})
    lines = files[SUMS].splitlines()
    if sorted(lines) == sorted(wanted.splitlines()):
        return
    for line in wanted.decode().splitlines():
        if line.encode() not in lines:
            name = line.partition("  ")[2]
            raise BundleError(f"{name} does not have the SHA-256 that {SUMS} gives it")
    raise BundleError(f"{SUMS} names other files than {', '.join(sorted(files))}")
