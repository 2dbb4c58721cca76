"""A configuration's grid as trials, and the trials' keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tenfold.config import ExperimentConfig, ModelEntry, canonical_params
from tenfold.errors import ConfigError
from tenfold.models import get_spec
from tenfold.records import Numerics, Trial, TrialKey, canonical_json


def expand_grid(config: ExperimentConfig) -> tuple[Trial, ...]:
    """Return the train fits that a configuration asks for, in the order of its rows.

    The repeats of a row stand together, with the seeds ``seed``, ``seed + 1``, ….

    Args:
        config: The experiment.

    Raises:
        ConfigError: A combination of values breaks a rule, two rows are the same, or a model has
            a search space.
    """
    searched = [index for index, entry in enumerate(config.models) if entry.space]
    if searched:
        raise ConfigError(
            f"models.{index}.space: is what `tenfold tune` searches; a comparison takes 'grid'"
            for index in searched
        )
    trials = [
        trial
        for entry in config.models
        for combination in entry.combinations()
        for trial in _repeats(config, entry, combination)
    ]
    seen: dict[str, str] = {}
    for trial in trials:
        recipe = canonical_json([trial.model, dict(trial.params), trial.seed])
        if recipe in seen:
            raise ConfigError(
                [f"models: {trial.title} {trial.label or 'with its defaults'} is asked for twice"]
            )
        seen[recipe] = trial.label
    return tuple(trials)


def trial_key(
    trial: Trial,
    *,
    fingerprint: str,
    split: str,
    fitting_version: int,
    numerics: Numerics,
    source_sha256: str = "",
) -> TrialKey:
    """Return the key of a trial: everything that its result depends on.

    Args:
        trial: The trial.
        fingerprint: SHA-256 of the data set.
        split: ``Split.key``.
        fitting_version: Version of what a worker computes from a fit.
        numerics: Device type, precision, threads, processes.
        source_sha256: Of the source of an own estimator; empty for a registered model.
    """
    own = ":" in trial.model
    assert own == bool(source_sha256), "own estimators alone have a source of their own"
    return TrialKey(
        fingerprint=fingerprint,
        model=trial.model,
        params=trial.params,
        seed=trial.seed,
        refit=trial.refit,
        split=split,
        fitting_version=fitting_version,
        model_version=0 if own else get_spec(trial.model).version,
        source_sha256=source_sha256,
        numerics=numerics,
    )


def _repeats(
    config: ExperimentConfig, entry: ModelEntry, combination: Mapping[str, Any]
) -> list[Trial]:
    trial = Trial(
        model=entry.model,
        params=canonical_params(entry.model, {**entry.params, **combination}),
        title=entry.model.partition(":")[2]
        if entry.is_own_estimator
        else get_spec(entry.model).title,
        label=_label(combination if entry.grid else entry.params),
        seed=config.seed,
        timeout_s=entry.timeout_s or config.timeout_s,
    )
    return [
        replace(trial, seed=config.seed + repeat, repeat=repeat) for repeat in range(config.repeats)
    ]


def _label(params: Mapping[str, Any]) -> str:
    """Return a parameter cell such as ``max_iter=100`` or ``hidden_layers=(64, 32)``."""
    return ", ".join(f"{name}={_text(value)}" for name, value in params.items())


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        inner = ", ".join(_text(item) for item in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return "null" if value is None else str(value)
