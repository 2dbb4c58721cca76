"""Pruners: how many trials go on after a report, whatever a report's distance from the next."""

import random
from dataclasses import replace

import optuna
import pytest

from tenfold.config import canonical_params, parse_config
from tenfold.models import get_spec
from tenfold.search import StudyPlan, resolve_space
from tenfold.search.sampling import make_pruner


def plan_of(model, *, steps, **tune):
    config = parse_config({"models": [model], "tune": tune})
    return StudyPlan(
        name="pruned",
        model=model,
        title="A model",
        base=canonical_params(model, {}),
        space=resolve_space(config.models[0]),
        tune=config.tune,
        seed=42,
        fingerprint="data",
        split="split",
        steps=steps,
        report_every=get_spec(model).report_every,
    )


def survivors(plan, *, trials=64):
    """Return which trials, as good as chance has it, go on after their first report."""
    pruner = make_pruner(plan)
    study = optuna.create_study(study_name="pruned", direction="maximize", pruner=pruner)
    values = random.Random(7).sample(range(trials), trials)
    found = []
    for value in values:
        trial = study.ask()
        trial.report(value, plan.report_every)
        if not trial.should_prune():
            found.append(trial.number)
        study.tell(trial, value)
    return found


@pytest.mark.parametrize("pruner", ["asha", "hyperband", "median"])
def test_as_many_boosters_as_networks_go_on_after_their_first_report(pruner):
    networks = plan_of("cnn", steps=12, pruner=pruner)
    boosters = plan_of("xgboost", steps=120, pruner=pruner)
    assert survivors(boosters) == survivors(networks)


@pytest.mark.parametrize("factor", [2, 4])
def test_about_one_of_reduction_factor_goes_on_after_the_first_report(factor):
    plan = plan_of("xgboost", steps=300, reduction_factor=factor)
    # In random order a few more at the beginning, when there is little to compare with.
    assert 64 / factor - 2 <= len(survivors(plan)) <= 64 / factor + 6


@pytest.mark.parametrize("pruner", ["asha", "hyperband", "median"])
@pytest.mark.parametrize(("model", "steps"), [("cnn", 1), ("xgboost", 10), ("xgboost", 5)])
def test_trials_that_end_with_their_first_report_or_before_are_not_pruned(pruner, model, steps):
    pruner = make_pruner(plan_of(model, steps=steps, pruner=pruner))
    assert isinstance(pruner, optuna.pruners.NopPruner)


def test_cross_validated_trials_are_not_pruned():
    plan = replace(plan_of("cnn", steps=12), cross_validated=True)
    assert isinstance(make_pruner(plan), optuna.pruners.NopPruner)
