"""Tenfold: small images to a compared, tuned, tracked, exported and served classifier."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tenfold.assessment import evaluate
    from tenfold.bundle import load_bundle
    from tenfold.config import ExperimentConfig, load_config
    from tenfold.data import load_dataset
    from tenfold.errors import TenfoldError
    from tenfold.experiment import run_experiment
    from tenfold.models import build_model, list_models

__version__ = "0.1.0"

__all__ = [
    "ExperimentConfig",
    "TenfoldError",
    "__version__",
    "build_model",
    "evaluate",
    "list_models",
    "load_bundle",
    "load_config",
    "load_dataset",
    "run_experiment",
]

_HOME_OF = {
    "ExperimentConfig": "tenfold.config",
    "TenfoldError": "tenfold.errors",
    "build_model": "tenfold.models",
    "evaluate": "tenfold.assessment",
    "list_models": "tenfold.models",
    "load_bundle": "tenfold.bundle",
    "load_config": "tenfold.config",
    "load_dataset": "tenfold.data",
    "run_experiment": "tenfold.experiment",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that importing tenfold stays quick."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'tenfold' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
