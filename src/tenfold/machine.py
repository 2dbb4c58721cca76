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
    for name in _PACKAGES:
        try:
            facts[name] = version(name)
        except PackageNotFoundError:
            continue
    return facts


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
