"""What becomes of the memory that a training's steps free."""

import ctypes
import resource

import pytest
import torch

from tenfold.heap import freed_memory_kept

pytestmark = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="a matter of glibc's heap"
)
VALUES, TIMES = 2**21, 20  # 8 MiB
PAGES = VALUES * 4 // resource.getpagesize()


def new_pages():
    """Return how many pages the system has given this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def test_what_a_step_frees_is_there_for_the_next_one():
    with freed_memory_kept():
        before = new_pages()
        for _ in range(TIMES):
            torch.ones(VALUES)
        assert new_pages() - before < TIMES / 2 * PAGES


def test_afterwards_it_is_given_back():
    with freed_memory_kept():
        torch.ones(VALUES)
        before = new_pages()
    torch.ones(VALUES)
    assert new_pages() - before > 0.9 * PAGES
