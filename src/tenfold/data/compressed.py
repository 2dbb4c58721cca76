"""Reading whole files that may be compressed by gzip or bzip2, within a bound."""

from __future__ import annotations

import bz2
import gzip
import zlib
from pathlib import Path
from typing import IO, cast

from tenfold.errors import CorruptDataError, DatasetNotFoundError

#: The most that is ever unpacked from one file: 4 GiB.
MAX_CONTENT_BYTES = 4 * 2**30


def read_content(path: Path, *, max_bytes: int = MAX_CONTENT_BYTES) -> bytes:
    """Read a file and unpack it, whatever its name says, by its first bytes.

    Args:
        path: A plain, gzip or bzip2 file.
        max_bytes: The most bytes of unpacked content that are allowed.

    Returns:
        The unpacked content.

    Raises:
        DatasetNotFoundError: There is no such file.
        CorruptDataError: It is empty, damaged, truncated or larger than allowed.
    """
    try:
        with path.open("rb") as packed:
            start = packed.read(3)
            packed.seek(0)
            with _unpacker(packed, start) as file:
                content = file.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise DatasetNotFoundError(f"{path} does not exist") from error
    except (OSError, EOFError, zlib.error) as error:
        raise CorruptDataError(
            f"{path} cannot be read ({error}); it is damaged or incomplete: replace it"
        ) from error
    if not content:
        raise CorruptDataError(f"{path} is empty; replace it")
    if len(content) > max_bytes:
        raise CorruptDataError(
            f"{path} unpacks to more than {max_bytes:,} bytes, which is not allowed"
        )
    return content


def _unpacker(packed: IO[bytes], start: bytes) -> IO[bytes]:
    if start.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.open(packed))
    if start == b"BZh":
        return cast("IO[bytes]", bz2.open(packed))
    return packed
