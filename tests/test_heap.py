"""What becomes of the memory that a training's steps free."""

import ctypes
import resource
import subprocess
import sys

import pytest
import torch

from tenfold.heap import freed_memory_kept

pytestmark = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="a matter of glibc's heap"
)
VALUES, TIMES = 2**21, 20  # 8 MiB
PAGES = VALUES * 4 // resource.getpagesize()
# In a process of its own: what other tests have left in the heap decides where memory comes from.
AFTERWARDS = f"""
import resource, torch
from tenfold.heap import freed_memory_kept

def new_pages():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

torch.ones({VALUES})
with freed_memory_kept():
    torch.ones({VALUES})
    before = new_pages()
torch.ones({VALUES})
print(new_pages() - before)
"""


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
    command = [sys.executable, "-c", AFTERWARDS]
    given = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert int(given) > 0.9 * PAGES
