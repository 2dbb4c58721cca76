"""A study as a table and as plain values."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tenfold.files import write_text
from tenfold.histories import StudyHistory, StudyTrial


def write_trials(history: StudyHistory, folder: Path) -> Path:
    """Write a study's trials as ``trials-MODEL.csv``, one row each, and return the path.

    Raises:
        StorageError: The file cannot be written.
    """
    scores = sorted({name for trial in history.trials for name in trial.scores})
    names = [f"param_{name}" for name in history.space]
    buffer = io.StringIO()
    columns = ["number", "state", *scores, *names, "steps", "duration_s", "reason"]
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    for trial in history.trials:
        writer.writerow(
            {
                "number": trial.number,
                "state": trial.state,
                **trial.scores,
                **{f"param_{name}": _cell(value) for name, value in trial.drawn.items()},
                "steps": max(trial.steps, default=""),
                "duration_s": trial.duration_s,
                "reason": trial.reason,
            }
        )
    return write_text(folder / f"trials-{history.model.replace(':', '.')}.csv", buffer.getvalue())


def describe_study(history: StudyHistory) -> dict[str, Any]:
    """Return a study as plain values for ``results.json``."""
    return {
        "name": history.name,
        "model": history.model,
        "objectives": list(history.objectives),
        "space": dict(history.space),
        "n_trials": history.n_trials,
        "best": None if history.best is None else history.best.number,
        "start": None if history.start is None else history.start.number,
        "front": [trial.number for trial in history.front] if len(history.objectives) > 1 else [],
        "importances": dict(history.importances),
        "trials": [_describe_trial(trial) for trial in history.trials],
    }


def _describe_trial(trial: StudyTrial) -> Mapping[str, Any]:
    return {
        "number": trial.number,
        "state": trial.state,
        "drawn": dict(trial.drawn),
        "values": list(trial.values),
        "scores": dict(trial.scores),
        "steps": {str(step): value for step, value in trial.steps.items()},
        "reason": trial.reason,
        "duration_s": trial.duration_s,
    }


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | tuple | dict) or value is None else value
