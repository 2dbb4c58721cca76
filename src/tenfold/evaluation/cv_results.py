"""The table of a grid search: every combination's score in every fold, under scikit-learn's names.

The columns are those of `sklearn.model_selection.GridSearchCV.cv_results_`:
https://scikit-learn.org/stable/modules/generated/sklearn.model_selection.GridSearchCV.html
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.evaluation.confusion import IntArray
from tenfold.evaluation.selection import accuracy_of
from tenfold.files import write_text
from tenfold.records import TrialResult


@dataclass(frozen=True)
class CvRow:
    """One combination of a grid.

    Args:
        params: The values that the grid varies.
        label: The same for people.
        scores: Accuracy in each fold, 0 to 1; empty where the trial failed.
        fit_s: Seconds of each fold's fit; shared between combinations that one fit answers.
        score_s: Seconds of each fold's predictions.
        rank: 1 for the best; equal means share a rank.
        error: Why it failed; None where it did not.
    """

    params: Mapping[str, Any]
    label: str
    scores: tuple[float, ...]
    fit_s: tuple[float, ...]
    score_s: tuple[float, ...]
    rank: int
    error: str | None

    @property
    def mean(self) -> float:
        """Mean accuracy over the folds; NaN where the trial failed."""
        return float(np.mean(self.scores)) if self.scores else math.nan

    @property
    def deviation(self) -> float:
        """Standard deviation over the folds, as scikit-learn has it: divided by their number."""
        return float(np.std(self.scores)) if self.scores else math.nan


@dataclass(frozen=True)
class CvTable:
    """The grid search of one model.

    Args:
        model: Its registered name or dotted path.
        title: Its name for people.
        folds: How many folds.
        rows: In the grid's order.
    """

    model: str
    title: str
    folds: int
    rows: tuple[CvRow, ...]

    @property
    def best(self) -> CvRow | None:
        """The first row of rank 1; None when every trial failed."""
        return next((row for row in self.rows if row.rank == 1 and row.scores), None)

    @property
    def file_name(self) -> str:
        """The name of its CSV file."""
        return f"cv-{self.model.replace(':', '.')}.csv"


def build_cv_table(
    results: Sequence[TrialResult],
    combinations: Sequence[Mapping[str, Any]],
    *,
    labels: IntArray,
    folds: Sequence[int],
) -> CvTable:
    """Return the table of one model's grid.

    Args:
        results: Cross-validated trials in the grid's order.
        combinations: What the grid varies, one for each result.
        labels: ``(n_validation,)`` class indices, one for each held-out prediction.
        folds: How many rows each fold held out, in the order of the predictions.
    """
    ends = np.cumsum(folds)[:-1].tolist()
    scores = [_fold_scores(result, labels, ends) for result in results]
    means = [float(np.mean(found)) if found else -math.inf for found in scores]
    rows = [
        CvRow(
            params=dict(params),
            label=result.trial.label,
            scores=found,
            fit_s=tuple(part["fit_s"] for part in result.rounds),
            score_s=tuple(part["score_s"] for part in result.rounds),
            rank=1 + sum(other > mean for other in means),
            error=result.error,
        )
        for result, params, found, mean in zip(results, combinations, scores, means, strict=True)
    ]
    first = results[0].trial
    return CvTable(first.model, first.title, len(folds), tuple(rows))


def describe_grid(table: CvTable) -> dict[str, Any]:
    """Return a grid search as plain values for ``results.json``; its CSV file has the rest."""
    return {"model": table.model, "folds": table.folds, "combinations": len(table.rows)}


def write_cv_table(table: CvTable, path: Path) -> Path:
    """Write a grid's table as CSV.

    Raises:
        StorageError: The file cannot be written.
    """
    records = [_record(row, table.folds) for row in table.rows]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return write_text(path, buffer.getvalue())


def _fold_scores(result: TrialResult, labels: IntArray, ends: Sequence[int]) -> tuple[float, ...]:
    if result.predictions is None or result.predictions.validation is None:
        return ()
    parts = zip(np.split(labels, ends), np.split(result.predictions.validation, ends), strict=True)
    return tuple(accuracy_of(known, given) for known, given in parts)


def _record(row: CvRow, folds: int) -> dict[str, Any]:
    scores = row.scores or (math.nan,) * folds
    return {
        **_moments("fit_time", row.fit_s),
        **_moments("score_time", row.score_s),
        **{f"param_{name}": _cell(value) for name, value in row.params.items()},
        "params": json.dumps(dict(row.params)),
        **{f"split{fold}_test_score": score for fold, score in enumerate(scores)},
        "mean_test_score": row.mean,
        "std_test_score": row.deviation,
        "rank_test_score": row.rank,
    }


def _moments(name: str, values: Sequence[float]) -> dict[str, float]:
    mean, deviation = (np.mean(values), np.std(values)) if values else (math.nan, math.nan)
    return {f"mean_{name}": float(mean), f"std_{name}": float(deviation)}


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | tuple | dict) or value is None else value
