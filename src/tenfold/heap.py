"""The C library's heap: what becomes of memory that is freed. Done for glibc, nothing elsewhere."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

# Numbers of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_BYTES = 32 * 2**20  # the most that glibc allows
_KEPT_BYTES, _KEPT_AFTERWARDS = 16 * _LARGEST_BYTES, 2 * _LARGEST_BYTES


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Inside a block, let freed memory wait for the next use; afterwards give it back.

    By default glibc returns what a step of a training frees to the system, which has to clear every
    page again for the next step. For networks whose layers hold some MB that is a third of a step.
    Up to 512 MiB wait. Afterwards up to 64 MiB do, as glibc itself comes to have it once a program
    has freed something large.
    """
    _set(_MMAP_THRESHOLD, _LARGEST_BYTES)
    _set(_TRIM_THRESHOLD, _KEPT_BYTES)
    try:
        yield
    finally:
        _set(_TRIM_THRESHOLD, _KEPT_AFTERWARDS)
        give_back()


def give_back() -> None:
    """Return freed memory to the system; takes a millisecond or two."""
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


def _set(threshold: int, n_bytes: int) -> None:
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(threshold, n_bytes)
