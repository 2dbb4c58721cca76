"""The leaderboard as files: ``results.csv`` and ``results.json``."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tenfold.evaluation.intervals import Interval
from tenfold.evaluation.leaderboard import Leaderboard, Row
from tenfold.evaluation.metrics import METRICS
from tenfold.files import write_text

METRIC_TITLES: Mapping[str, str] = {
    "accuracy": "Accuracy",
    "f1_weighted": "F1 Score",
    "precision_macro": "Precision Macro",
    "precision_weighted": "Precision Weighted",
    "recall_macro": "Recall Macro",
    "recall_weighted": "Recall Weighted",
    "f1_macro": "F1 Macro",
    "fbeta_macro": "F2 Macro",
    "fbeta_weighted": "F2 Weighted",
    "roc_auc": "ROC AUC",
    "log_loss": "Log Loss",
    "ece": "ECE",
}
"""The name of each score in tables and headings; F1 Score is the weighted one."""

TIME_COLUMNS = ("Fit Seconds", "Predict us per Image")
"""The only columns of the CSV that may differ between two runs of the same experiment."""

_FIRST_COLUMNS = ["Model", "Parameter", "Accuracy", "F1 Score"]
_MOST_CLASSES = 100


def write_csv(leaderboard: Leaderboard, path: Path) -> None:
    """Write the leaderboard as CSV, in grid order, by atomic rename.

    The header begins ``Model,Parameter,Accuracy,F1 Score``; scores have 6 decimals; a score that
    does not exist is an empty cell.

    Args:
        leaderboard: What to write.
        path: Where; its folder is made.

    Raises:
        StorageError: The file cannot be written.
    """
    text = io.StringIO()
    cells = [_cells(row, is_winner=row.key == leaderboard.winner_key) for row in leaderboard.rows]
    header = list(cells[0]) if cells else _FIRST_COLUMNS
    writer = csv.DictWriter(text, header, lineterminator="\n")
    writer.writeheader()
    writer.writerows(cells)
    write_text(path, text.getvalue())


def write_json(
    leaderboard: Leaderboard, path: Path, *, facts: Mapping[str, Any] | None = None
) -> None:
    """Write the leaderboard as one JSON document, by atomic rename.

    Args:
        leaderboard: What to write.
        path: Where; its folder is made.
        facts: More top-level entries, JSON values, for example the configuration.

    Raises:
        StorageError: The file cannot be written.
    """
    document = {**describe_leaderboard(leaderboard), **(facts or {})}
    write_text(path, json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def describe_leaderboard(leaderboard: Leaderboard) -> dict[str, Any]:
    """Return the leaderboard as JSON values; what does not exist is None.

    Args:
        leaderboard: What to describe.
    """
    return {
        "format": 1,
        "winner": leaderboard.winner_key,
        "rank_by": leaderboard.rank_by,
        "class_names": list(leaderboard.class_names),
        "test_images": leaderboard.n_test,
        "select_images": leaderboard.n_select,
        "cross_validated": leaderboard.cross_validated,
        "rows": [_describe_row(row) for row in leaderboard.rows],
    }


def _cells(row: Row, *, is_winner: bool) -> dict[str, str]:
    """Return the row's CSV cells by column, in order."""
    scores = None if row.scores is None else row.scores.intervals()
    found = {name: None if scores is None else scores[name] for name in METRIC_TITLES}
    cells = {"Model": row.title, "Parameter": row.label}
    headline = ("accuracy", "f1_weighted")
    for name in headline:
        cells[METRIC_TITLES[name]] = _number(found[name], "value")
    for name, title in METRIC_TITLES.items():
        for end in ("value", "low", "high"):
            column = title if end == "value" else f"{title} {end.title()}"
            cells.setdefault(column, _number(found[name], end))
    for end in ("value", "low", "high"):
        column = "Validation Accuracy" + ("" if end == "value" else f" {end.title()}")
        cells[column] = _number(row.validation, end)
    ran = row.scores is not None
    cells |= {
        "Fit Seconds": f"{row.fit_s:.3f}" if ran else "",
        "Predict us per Image": f"{row.predict_us_per_image:.3f}" if ran else "",
        "Model Bytes": str(row.model_bytes) if ran else "",
        "Fitted On": row.fitted_on if ran else "",
        "P vs Winner": _decimal(row.p_vs_winner),
        "Winner": "yes" if is_winner else "",
        "Seeds": " ".join(map(str, row.seeds)),
        "Repeats": str(row.repeats),
        "Accuracy Mean": _decimal(row.accuracy_mean),
        "Accuracy SD": _decimal(row.accuracy_sd),
        "Status": row.status,
        "Error": row.error or "",
        "Key": row.key,
    }
    return cells


def _number(interval: Interval | None, end: str) -> str:
    return _decimal(None if interval is None else getattr(interval, end))


def _decimal(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.6f}"


def _describe_row(row: Row) -> dict[str, Any]:
    scores = row.scores
    described: dict[str, Any] = {
        "model": row.model,
        "title": row.title,
        "parameter": row.label,
        "params": dict(row.params),
        "key": row.key,
        "test_key": row.test_key,
        "run_id": row.run_id,
        "status": row.status,
        "error": row.error,
        "scores": None,
        "validation_accuracy": _describe(row.validation),
        "validation_repeats": row.validation_repeats,
        "fit_s": round(row.fit_s, 6),
        "fitted_with": list(row.fitted_with),
        "predict_us_per_image": round(row.predict_us_per_image, 6),
        "model_bytes": row.model_bytes,
        "fitted_on": row.fitted_on,
        "p_vs_winner": _stable(row.p_vs_winner),
        "seeds": list(row.seeds),
        "repeats": row.repeats,
        "accuracy_mean": _stable(row.accuracy_mean),
        "accuracy_sd": _stable(row.accuracy_sd),
        "chosen": dict(row.chosen),
        "reused": row.reused,
    }
    if scores is None:
        return described
    described["scores"] = {name: _describe(getattr(scores, name)) for name in METRICS}
    described["per_class"] = [
        {
            "name": found.name,
            "support": found.support,
            "predicted": found.predicted,
            **{name: _describe(getattr(found, name)) for name in ("precision", "recall", "f1")},
        }
        for found in scores.per_class
    ]
    if len(scores.confusion) <= _MOST_CLASSES:
        described["confusion"] = scores.confusion.tolist()
    return described


def _describe(interval: Interval | None) -> dict[str, float | None] | None:
    if interval is None:
        return None
    return {end: _stable(getattr(interval, end)) for end in ("value", "low", "high")}


def _stable(value: float | None) -> float | None:
    """Round away what the order of a sum may change."""
    return None if value is None or math.isnan(value) else round(value, 10)
