"""Devices and precisions by what the machine can do."""

import contextlib

import numpy as np
import pytest
import torch

from tenfold.errors import ConfigError
from tenfold.models.torch import device as devices
from tenfold.models.torch.device import (
    check_processes,
    gpu_environs_of,
    numerics,
    resolve_device,
    resolve_precision,
)

CPU = torch.device("cpu")


@pytest.fixture
def found(monkeypatch):
    """Let PyTorch find the named devices and no others."""

    def find(*names):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in names)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in names)

    return find


@pytest.fixture
def flags(monkeypatch, tmp_path):
    """Give the processor these capability flags."""

    def give(line):
        path = tmp_path / "cpuinfo"
        path.write_text(f"processor\t: 0\n{line}\n")
        monkeypatch.setattr(devices, "_CPUINFO", path)

    return give


@pytest.mark.parametrize(
    ("names", "expected"), [(("cuda", "mps"), "cuda"), (("mps",), "mps"), ((), "cpu")]
)
def test_auto_takes_the_fastest_device_there_is(found, names, expected):
    found(*names)
    assert resolve_device("auto").type == expected
    assert resolve_device("cpu").type == "cpu"


def test_a_device_that_is_not_there_is_named_with_those_that_are(found):
    found("mps")
    with pytest.raises(ConfigError, match="'cuda', which PyTorch does not find here; found: mps"):
        resolve_device("cuda")
    with pytest.raises(ConfigError, match="'gpu': allowed are auto, cpu, cuda, mps"):
        resolve_device("gpu")


def test_as_many_processes_as_there_are_gpus_share_a_training(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    check_processes(torch.device("cuda"), 2)
    with pytest.raises(
        ConfigError, match="processes is 3: each needs a GPU of its own; here are 2"
    ):
        check_processes(torch.device("cuda"), 3)
    check_processes(CPU, 3)
    check_processes(torch.device("mps"), 1)
    with pytest.raises(ConfigError, match="processes is 2: on mps one trains alone"):
        check_processes(torch.device("mps"), 2)
    with pytest.raises(ConfigError, match="processes is 0: at least 1"):
        check_processes(CPU, 0)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("flags\t\t: fpu sse2 avx512_bf16", torch.bfloat16),
        ("flags\t\t: fpu amx_bf16", torch.bfloat16),
        ("flags\t\t: fpu avx512_bf16 avx512_fp16 amx_bf16", torch.bfloat16),
        ("flags\t\t: fpu avx512_bf16 avx512_fp16", torch.float32),
        ("flags\t\t: fpu avx2", torch.float32),
        ("Features\t: fp asimd", torch.float32),
    ],
)
def test_a_processor_computes_in_bfloat16_only_where_its_flags_say_it_gains(flags, line, expected):
    flags(line)
    assert resolve_precision(CPU) == expected
    assert resolve_precision(CPU, "float32") == torch.float32
    assert resolve_precision(CPU, "bfloat16") == torch.bfloat16


def test_a_system_that_tells_no_flags_gets_float32(monkeypatch, tmp_path):
    monkeypatch.setattr(devices, "_CPUINFO", tmp_path / "none")
    assert resolve_precision(CPU) == torch.float32


@pytest.mark.parametrize(("native", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_gpu_is_asked_itself(monkeypatch, native, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    assert resolve_precision(torch.device("cuda")) == expected
    assert resolve_precision(torch.device("mps")) == torch.float32


def test_an_unknown_precision_lists_those_allowed():
    with pytest.raises(ConfigError, match="'half': allowed are auto, float32, bfloat16"):
        resolve_precision(CPU, "half")


def test_numerics_leaves_threads_and_generators_as_they_were():
    threads = torch.get_num_threads()
    state = torch.get_rng_state().clone()
    with numerics(CPU, threads=1, seed=1):
        assert torch.get_num_threads() == 1
        first = torch.rand(3).numpy()
    with contextlib.suppress(KeyError), numerics(CPU, threads=1, seed=1):
        assert np.array_equal(torch.rand(3).numpy(), first)
        raise KeyError
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_numerics_on_the_processor_leaves_the_generators_of_gpus_alone(monkeypatch):
    seeded = []
    for name in ("manual_seed", "manual_seed_all"):
        monkeypatch.setattr(torch.cuda, name, seeded.append)
    with numerics(CPU, threads=1, seed=1):
        torch.rand(1)
    assert seeded == []


def test_each_gpu_is_shown_to_one_training(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    shown = [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]
    assert list(gpu_environs_of("cuda")) == shown


def test_of_the_gpus_that_are_hidden_none_is_shown(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-8a")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    shown = [{"CUDA_VISIBLE_DEVICES": "3"}, {"CUDA_VISIBLE_DEVICES": "GPU-8a"}]
    assert list(gpu_environs_of("cuda")) == shown


def test_a_training_that_is_shared_is_shown_as_many_gpus():
    shown = gpu_environs_of("cuda", processes=2, visible=["0", "1", "2", "3", "4"])
    assert [environ["CUDA_VISIBLE_DEVICES"] for environ in shown] == ["0,1", "2,3"]


def test_a_machine_without_cuda_has_one_other_gpu_or_none():
    assert gpu_environs_of("cpu") == ()
    assert gpu_environs_of("mps") == ({},)
