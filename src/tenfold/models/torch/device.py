"""Where a network is trained and in which precision, decided by what the machine can do."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from tenfold.errors import ConfigError
from tenfold.models.torch.randomness import (
    global_states,
    seed_global_states,
    set_global_states,
)

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "float32", "bfloat16")

_SHOWN = "CUDA_VISIBLE_DEVICES"
_CPUINFO = Path("/proc/cpuinfo")
_BFLOAT16_FLAGS = {"amx_bf16", "avx512_bf16"}
# Beside torch.OutOfMemoryError: the processor's allocator, Apple's, and NVIDIA's matrix library.
_SHORTAGES = ("can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


def resolve_device(name: str = "auto") -> torch.device:
    """Return the device that a name stands for on this machine.

    Args:
        name: ``"auto"`` takes CUDA, else Apple's MPS, else the processor.

    Raises:
        ConfigError: The name is unknown, or the machine has no such device.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(device for device, there in available.items() if there))
    if name not in available:
        raise ConfigError([f"device is {name!r}: allowed are {', '.join(DEVICES)}."])
    if not available[name]:
        there = ", ".join(device for device, found in available.items() if found)
        raise ConfigError(
            [f"device is {name!r}, which PyTorch does not find here; found: {there}."]
        )
    return torch.device(name)


def resolve_precision(device: torch.device, name: str = "auto") -> torch.dtype:
    """Return the number format of a network's products.

    Args:
        device: Where the network is trained.
        name: ``"auto"`` takes bfloat16 where the processor or the GPU is faster in it than in
            float32, by its capability flags; never by timing, so that the same machine always
            answers alike.

    Raises:
        ConfigError: The name is unknown.
    """
    if name not in PRECISIONS:
        raise ConfigError([f"precision is {name!r}: allowed are {', '.join(PRECISIONS)}."])
    if name == "auto":
        name = "bfloat16" if _gains_from_bfloat16(device) else "float32"
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def check_processes(device: torch.device, processes: int) -> None:
    """Check that a training can be shared by so many processes of this machine.

    Args:
        device: Where it computes: each process on a GPU of its own, or all on the processor.
        processes: At least 1.

    Raises:
        ConfigError: It cannot.
    """
    if processes < 1:
        raise ConfigError([f"processes is {processes}: at least 1 trains a network."])
    if processes > 1 and device.type not in {"cpu", "cuda"}:
        raise ConfigError(
            [f"processes is {processes}: on {device.type} one trains alone; set it to 1."]
        )
    if device.type == "cuda" and processes > torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise ConfigError(
            [f"processes is {processes}: each needs a GPU of its own; here are {found}."]
        )


def gpu_environs_of(
    device: str, *, processes: int = 1, visible: Sequence[str] | None = None
) -> tuple[dict[str, str], ...]:
    """Return, for each training that may run on GPUs at the same time, what shows it its own.

    Args:
        device: Device type; ``"cpu"`` has none.
        processes: GPUs that each training takes, at least 1.
        visible: Names of the GPUs that may be used; default: those that this process sees.

    Returns:
        Environment variables for its process.
    """
    if device != "cuda":
        return () if device == "cpu" else ({},)
    if visible is None:
        given = [name.strip() for name in os.environ.get(_SHOWN, "").split(",")]
        count = torch.cuda.device_count()
        visible = given[:count] if given[0] else [str(number) for number in range(count)]
    starts = range(0, len(visible) - processes + 1, processes)
    return tuple({_SHOWN: ",".join(visible[start : start + processes])} for start in starts)


def has_bfloat16(device: torch.device) -> bool:
    """Return whether the device computes bfloat16 products in hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(_BFLOAT16_FLAGS & cpu_flags())
    return False


def _gains_from_bfloat16(device: torch.device) -> bool:
    """Return whether products are faster in bfloat16 than in float32.

    Intel's processors with AVX512-FP16 (since Sapphire Rapids) multiply bfloat16 in tiles (AMX).
    Where a virtual machine hides those, what is left takes twice the time of float32.
    """
    if device.type == "cpu" and "avx512_fp16" in cpu_flags():
        return "amx_bf16" in cpu_flags()
    return has_bfloat16(device)


def cpu_flags() -> frozenset[str]:
    """Return the capability flags of the processor; empty where the system does not tell."""
    try:
        text = _CPUINFO.read_text()
    except OSError:
        return frozenset()
    for line in text.splitlines():
        if line.startswith("flags"):
            return frozenset(line.partition(":")[2].split())
    return frozenset()


def is_shortage(error: RuntimeError) -> bool:
    """Return whether an error says that the memory is short."""
    known = isinstance(error, torch.OutOfMemoryError)
    return known or any(text in str(error) for text in _SHORTAGES)


def free_memory() -> None:
    """Free what nobody holds any more, also what PyTorch keeps of a GPU's memory."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def error_line(error: RuntimeError) -> str:
    """Return the first line of what PyTorch says."""
    return str(error).splitlines()[0]


@contextmanager
def resting(device: torch.device, *, threads: int) -> Iterator[None]:
    """Run a block inside one of `numerics` as if it stood outside; the generators notice nothing.

    Args:
        device: Where the block around it computes.
        threads: Threads of the processor outside.
    """
    before, states = torch.get_num_threads(), global_states(device)
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        set_global_states(device, states)


@contextmanager
def numerics(device: torch.device, *, threads: int, seed: int) -> Iterator[None]:
    """Run a block so that it can be repeated to the bit, and leave no trace behind.

    Inside, PyTorch uses the given number of threads and deterministic convolutions, and its global
    generators start from the seed; afterwards threads and generators are as they were.

    Args:
        device: Where the block computes.
        threads: Threads of the processor, at least 1.
        seed: Seed of initial weights and dropout.
    """
    before, states = torch.get_num_threads(), global_states(device)
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        try:
            seed_global_states(device, seed)
            torch.set_num_threads(min(threads, os.cpu_count() or threads))
            yield
        finally:
            torch.set_num_threads(before)
            set_global_states(device, states)
