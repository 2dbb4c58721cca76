"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tenfold.errors import StorageError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, renamed over it when the block ends without an error.

    Args:
        path: The file to make or replace. Missing parent folders are made.

    Yields:
        A path in the same folder, with the same suffix; write the content there.

    Raises:
        StorageError: The folder cannot be made or written, for example because the disk is full.
    """
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror or error}; "
            "free space or choose another folder, then run the same command again"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_bytes(path: Path, content: bytes) -> Path:
    """Write a file in one step and return its path.

    Raises:
        StorageError: As in `replacing`.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return path


def write_text(path: Path, content: str) -> Path:
    """Write a UTF-8 file in one step and return its path.

    Raises:
        StorageError: As in `replacing`.
    """
    return write_bytes(path, content.encode())
