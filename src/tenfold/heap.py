"""What becomes of memory that is freed: in the C library's heap, and in Python's cycles."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Numbers of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_BYTES = 32 * 2**20  # the most that glibc allows
_KEPT_BYTES, _KEPT_AFTERWARDS = 16 * _LARGEST_BYTES, 2 * _LARGEST_BYTES
_RARELY = 20_000  # new objects between two looks for cycles; 700 or 2,000 in Python


@contextmanager
def cycles_left() -> Iterator[None]:
    """Around all that a process does: look rarely for cycles of objects, and not at its end.

    The objects of large libraries (half a million of them) live as long as the process. To look
    through them again and again takes a sixth of the time of their import, and a second at the end,
    when the system frees everything anyway.
    """
    gc.set_threshold(_RARELY)
    try:
        yield
    finally:
        _close_databases()
        gc.freeze()


def _close_databases() -> None:
    """Close pooled connections, as Python's end does; SQLite then folds its log into the file."""
    sqlalchemy = sys.modules.get("sqlalchemy")
    if sqlalchemy is not None:
        # Of the type itself: proxies make up a class when they are asked for one.
        for engine in [one for one in gc.get_objects() if type(one) is sqlalchemy.Engine]:
            engine.dispose()


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Inside a block, let freed memory wait for the next use; afterwards give it back.

    By default glibc returns what a step of a training frees to the system, which has to clear every
    page again for the next step. For networks whose layers hold some MB that is a third of a step.
    Up to 512 MiB wait. Afterwards up to 64 MiB do, as glibc itself comes to have it once a program
    has freed something large. Without glibc nothing is done.
    """
    _set(_MMAP_THRESHOLD, _LARGEST_BYTES)
    _set(_TRIM_THRESHOLD, _KEPT_BYTES)
    try:
        yield
    finally:
        _set(_TRIM_THRESHOLD, _KEPT_AFTERWARDS)
        give_back()


def give_back() -> None:
    """Return freed memory to the system; takes a millisecond or two, with glibc alone."""
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


def _set(threshold: int, n_bytes: int) -> None:
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(threshold, n_bytes)
