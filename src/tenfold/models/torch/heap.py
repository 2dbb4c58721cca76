"""The C library's heap: what becomes of the memory that a training's steps free."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

# Numbers of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 512 * 2**20
_LARGEST_BYTES = 32 * 2**20  # the most that glibc allows


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Inside a block, let freed memory wait for the next step; afterwards give it back.

    By default glibc returns what a step frees to the system, which has to clear every page again
    for the next step. For networks whose layers hold some MB that is a third of a step. Up to 512
    MiB wait. The thresholds stay as they are set here, since glibc cannot tell what they were;
    where the C library is another one nothing is done.
    """
    library = ctypes.CDLL(None)
    is_glibc = hasattr(library, "gnu_get_libc_version")
    if is_glibc:
        library.mallopt(_MMAP_THRESHOLD, _LARGEST_BYTES)
        library.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
    try:
        yield
    finally:
        if is_glibc:
            library.malloc_trim(0)
