"""Optuna's samplers and pruners as tenfold uses them."""

from __future__ import annotations

import warnings
from typing import Any

from tenfold._optional import require
from tenfold.config import TuneConfig
from tenfold.models import Space
from tenfold.search.plan import StudyPlan


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


def make_pruner(plan: StudyPlan) -> Any:
    """Return what ends trials early.

    The first rung of successive halving is the first report. Were it below, Optuna would judge one
    report at several rungs, and fewer trials would go on than one of `reduction_factor`.

    Args:
        plan: What is searched, and how.
    """
    pruners, tune = require("optuna").pruners, plan.tune
    if plan.cross_validated or not plan.wants_pruning:
        return pruners.NopPruner()
    if tune.pruner == "median":
        return pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1)
    if tune.pruner == "hyperband":
        return pruners.HyperbandPruner(
            min_resource=plan.report_every,
            max_resource=plan.steps,
            reduction_factor=tune.reduction_factor,
        )
    return pruners.SuccessiveHalvingPruner(
        min_resource=plan.report_every, reduction_factor=tune.reduction_factor
    )
