"""The machine that results are made on: its cores, its processor, the installed versions."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = (
    "numpy",
    "scikit-learn",
    "scikit-learn-intelex",
    "torch",
    "xgboost-cpu",
    "xgboost",
    "mlflow",
    "onnxruntime",
)
_COMPUTING = {
    "numpy": ("numpy",),
    "scikit-learn": ("scikit-learn",),
    "scikit-learn-intelex": ("scikit-learn-intelex",),
    "torch": ("torch",),
    "xgboost": ("xgboost-cpu", "xgboost"),
}


def usable_cores() -> int:
    """Return how many cores this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe_machine() -> dict[str, str]:
    """Return the versions and the hardware that results were made with, for people."""
    facts = {
        "machine": f"{_processor()}, {usable_cores()} cores, {platform.system()}",
        "python": platform.python_version(),
        "tenfold": version("tenfold"),
    }
    return facts | {name: number for name in _PACKAGES if (number := _installed(name))}


def profile() -> dict[str, str]:
    """Return what, beside a unit's own numerics, the last digits of its results depend on.

    Returns:
        The processor's kind, tenfold's version, and of each installed library that computes
        ``major.minor`` of its version; "none" for one that is not installed.
    """
    facts = {"processor": platform.machine(), "tenfold": version("tenfold")}
    for name, packages in _COMPUTING.items():
        found = [number for package in packages if (number := _installed(package))]
        facts[name] = ".".join(found[0].split(".")[:2]) if found else "none"
    return facts


def thread_environ(threads: int) -> dict[str, str]:
    """Return the variables that hold the libraries of a process to so many threads."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return dict.fromkeys(names, str(threads))


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
