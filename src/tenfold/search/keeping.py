"""What a study keeps with each trial, under which names, and how it is read back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from tenfold.histories import StudyTrial, TrialState
from tenfold.records import canonical_json

#: Names of the attributes of a trial; people see them in Optuna's dashboard.
OWNER = "owner"
RECIPE = "recipe"
PARAMS = "params"
INSTEAD = "instead"
START = "start"
SCORES = "scores"
REASON = "reason"
UNCOUNTED = "not counted"

_STATES: Mapping[str, TrialState] = {
    "COMPLETE": "finished",
    "PRUNED": "pruned",
    "FAIL": "failed",
    "RUNNING": "running",
}


def recipe_of(params: Mapping[str, Any]) -> str:
    """Return the digest by which a parameter set is known again."""
    return hashlib.sha256(canonical_json(dict(params)).encode()).hexdigest()


def is_waiting(frozen: Any) -> bool:
    """Say whether one of Optuna's trials is queued."""
    return bool(frozen.state.name == "WAITING")


def is_running(frozen: Any) -> bool:
    """Say whether one of Optuna's trials is under way."""
    return bool(frozen.state.name == "RUNNING")


def counts(frozen: Any) -> bool:
    """Say whether one of Optuna's trials is one of those asked for.

    A queued one is none yet; one whose process went away was queued again; one that drew the
    parameters of another was not run.
    """
    return not is_waiting(frozen) and UNCOUNTED not in frozen.user_attrs


def to_study_trial(frozen: Any) -> StudyTrial:
    """Return one of Optuna's trials, which counts, as plain values."""
    kept = frozen.user_attrs
    duration = frozen.duration
    instead = kept.get(INSTEAD, {})
    return StudyTrial(
        number=frozen.number,
        state=_STATES[frozen.state.name],
        drawn={**frozen.params, **instead},
        params=kept.get(PARAMS, {}),
        values=tuple(frozen.values or ()) if frozen.state.name == "COMPLETE" else (),
        steps=dict(sorted(frozen.intermediate_values.items())),
        reason=kept.get(REASON),
        scores=kept.get(SCORES, {}),
        is_start=bool(kept.get(START)),
        duration_s=None if duration is None else duration.total_seconds(),
    )
