"""Optuna's samplers and pruners as tenfold uses them."""

from __future__ import annotations

import warnings
from typing import Any

from tenfold._optional import require
from tenfold.config import TuneConfig
from tenfold.models import Space


def make_sampler(tune: TuneConfig, space: Space, *, seed: int) -> Any:
    """Return the sampler for one trial: TPE, of all parameters together.

    Args:
        tune: How is searched.
        space: What is searched.
        seed: Differs from trial to trial: the state of a sampler is not stored.
    """
    optuna = require("optuna")
    alone = len(tune.objectives) == 1
    # Without groups, one parameter under a condition would keep the others from being searched
    # together.
    grouped = alone and any(dimension.when is not None for dimension in space.values())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            seed=seed % 2**32,
            n_startup_trials=tune.startup_trials,
            multivariate=True if alone else None,
            group=grouped,
        )


def make_pruner(tune: TuneConfig, *, steps: int) -> Any:
    """Return what ends trials early.

    Args:
        tune: How is searched.
        steps: How many steps a whole trial has at most.
    """
    pruners = require("optuna").pruners
    if tune.pruner == "none" or len(tune.objectives) > 1 or steps < 2:
        return pruners.NopPruner()
    if tune.pruner == "median":
        return pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1)
    if tune.pruner == "hyperband":
        return pruners.HyperbandPruner(
            min_resource=1, max_resource=steps, reduction_factor=tune.reduction_factor
        )
    return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=tune.reduction_factor)
