"""What an experiment leaves behind: tables, figures, the report, and the same in the tracker."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from tenfold.config import ExperimentConfig, dump_config, without_passwords
from tenfold.data import Audit, Dataset, Split
from tenfold.evaluation import (
    EVALUATION_VERSION,
    TARGETS,
    CvTable,
    Inside,
    Leaderboard,
    ReportInput,
    Row,
    describe_grid,
    describe_study,
    draw_figures,
    draw_row,
    pick_samples,
    render,
    save_figures,
    write_csv,
    write_cv_table,
    write_json,
    write_trials,
)
from tenfold.files import write_text
from tenfold.histories import StudyHistory
from tenfold.machine import describe_machine
from tenfold.records import TrialResult
from tenfold.tracking import Tracker


@dataclass(frozen=True)
class Outcome:
    """Everything that results are written from.

    Args:
        config: With nothing left automatic.
        dataset: The data.
        split: How they were split.
        audit: What is doubtful about them.
        leaderboard: The rows.
        results: The trials behind them.
        test_labels: ``(n_test,)`` class indices, opened.
        created: When the experiment ended.
        best: For each model the key of its best trial.
        histories: The studies that the results come from.
        tables: The grid searches that they come from.
    """

    config: ExperimentConfig
    dataset: Dataset
    split: Split
    audit: Audit
    leaderboard: Leaderboard
    results: Sequence[TrialResult]
    test_labels: np.ndarray[Any, Any]
    created: datetime
    best: Mapping[str, str]
    histories: Sequence[StudyHistory] = ()
    tables: Sequence[CvTable] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of the numbers must know, one sentence each."""
        partial = [row for row in self.leaderboard.rows if row.status == "partly failed"]
        told = tuple(f"{row.name}: a part failed: {row.error}" for row in partial)
        fitted = [result for result in self.results if not result.rounds]  # folds leave no model
        without = {r.trial.title: r.export_error for r in fitted if r.export_error}
        unexported = tuple(f"{title} has no graph: {why}" for title, why in without.items())
        return (*self.audit.warnings, *told, *unexported)


def write_results(outcome: Outcome, folder: Path) -> tuple[Path, ...]:
    """Write ``results.csv``, ``results.json``, ``figures/`` and ``report.html``.

    Of each study also ``trials-MODEL.csv``, of each grid search ``cv-MODEL.csv``; none of an
    earlier run stays beside them.

    Args:
        outcome: What to write.
        folder: Made when missing; files of the same names are replaced.

    Returns:
        What belongs to the experiment's run: the tables, the report, the figures of studies.

    Raises:
        StorageError: A file cannot be written.
    """
    content = _report_input(outcome)
    figures = draw_figures(content)
    write_csv(outcome.leaderboard, folder / "results.csv")
    write_json(outcome.leaderboard, folder / "results.json", facts=_facts(outcome, content))
    drawn = save_figures(figures, folder / "figures")
    tables = [write_trials(history, folder) for history in outcome.histories]
    tables += [write_cv_table(table, folder / table.file_name) for table in outcome.tables]
    for path in (*folder.glob("trials-*.csv"), *folder.glob("cv-*.csv")):
        if path not in tables:
            path.unlink()
    write_text(folder / "report.html", render(content, figures=figures))
    kept = [folder / name for name in ("results.csv", "results.json", "report.html")]
    return (*kept, *tables, *(path for path in drawn if path.name.startswith("study-")))


def track_results(outcome: Outcome, written: Sequence[Path], tracker: Tracker, parent: str) -> None:
    """Add test scores and figures to each trial's run, and end the experiment's run.

    Args:
        outcome: What to add.
        written: What `write_results` returned.
        tracker: Has the runs.
        parent: The experiment's run.

    Raises:
        TrackingError: The tracker cannot be written.
    """
    rows = {row.run_id: row for row in outcome.leaderboard.rows if row.scores is not None}
    by_key = {result.key: result for result in outcome.results}
    content = _report_input(outcome)
    for run_id in tracker.unreported(list(rows)):
        with tempfile.TemporaryDirectory(prefix="tenfold-") as temporary:
            row = rows[run_id]
            predictions = by_key[row.test_key].predictions
            assert predictions is not None, "a row with scores has predictions"
            pictures = draw_row(row, content, predictions.test)
            files = save_figures(pictures, Path(temporary))
            tracker.report(run_id, _metrics(row), files)
    winner = outcome.leaderboard.winner
    metrics = _metrics(winner) if winner else {}
    tracker.end(
        parent,
        metrics | _best_scores(outcome),
        written,
        params=_best_params(outcome),
        reused=[result.run_id for result in outcome.results if result.reused],
    )


def _best_params(outcome: Outcome) -> dict[str, Any]:
    """Return what the searches chose, as the parent run names it."""
    chosen = {h.model: h.best.drawn for h in outcome.histories if h.best is not None}
    chosen |= {table.model: table.best.params for table in outcome.tables if table.best is not None}
    return {
        f"best_{_of_model(outcome, model)}{name}": value
        for model, params in chosen.items()
        for name, value in params.items()
    }


def _best_scores(outcome: Outcome) -> dict[str, float]:
    scores = {
        f"best_{_of_model(outcome, history.model)}{name}": value
        for history in outcome.histories
        if history.best is not None
        for name, value in zip(history.objectives, history.best.values, strict=True)
    }
    return scores | {
        f"best_{_of_model(outcome, table.model)}cv_accuracy": table.best.mean
        for table in outcome.tables
        if table.best is not None
    }


def _of_model(outcome: Outcome, model: str) -> str:
    """Return a model's part of a name, where there are several."""
    several = len(outcome.histories) + len(outcome.tables) > 1
    return f"{model.rpartition(':')[2]}_" if several else ""


def _metrics(row: Row) -> dict[str, float]:
    """Return a row's test scores, and the bounds of its accuracy, as MLflow names them."""
    assert row.scores is not None, "only rows with scores are tracked"
    intervals = row.scores.intervals()
    metrics = {f"test_{name}": found.value for name, found in intervals.items() if found.defined}
    accuracy = intervals["accuracy"]
    return metrics | {"test_accuracy_low": accuracy.low, "test_accuracy_high": accuracy.high}


def _report_input(outcome: Outcome) -> ReportInput:
    config, split, board = outcome.config, outcome.split, outcome.leaderboard
    winner = board.winner
    by_key = {result.key: result for result in outcome.results}
    shown = by_key[winner.test_key].predictions if winner else None
    base = by_key[winner.key].predictions if winner else None
    validation = None if base is None else base.validation
    samples = pick_samples(split.labels, n_classes=len(split.class_names))
    labels = split.labels[split.validation_rows]
    thresholded = split.validation_rows[split.calibrate]
    return ReportInput(
        name=config.name,
        description=config.description,
        leaderboard=board,
        image_shape=split.image_shape,
        dataset={
            "name": outcome.dataset.name,
            "source": outcome.dataset.source,
            "classes": ", ".join(split.class_names),
            "image": f"{split.image_shape[0]} × {split.image_shape[1]} pixels",  # noqa: RUF001 a multiplication sign
            "grey levels": outcome.dataset.value_rule,
        },
        split=split.description,
        fingerprint=outcome.dataset.fingerprint,
        class_counts=[count for _, count in outcome.audit.class_counts],
        config_yaml=dump_config(without_passwords(config)),
        seed=config.seed,
        environment=describe_machine(),
        created=outcome.created.isoformat(sep=" ", timespec="minutes"),
        warnings=outcome.warnings,
        test_groups=outcome.audit.test_groups,
        audit_rows=outcome.audit.rows(),
        sample_images=split.images[samples],
        sample_labels=split.labels[samples],
        test_images=split.test.images,
        test_labels=outcome.test_labels,
        test_probabilities=None if shown is None else shown.test,
        calibrate_labels=labels[split.calibrate],
        calibrate_probabilities=None if validation is None else validation[split.calibrate],
        calibrate_repeats=len(thresholded) // len(np.unique(thresholded)),
        targets=_targets(config),
        insides=_insides(outcome),
        studies=outcome.histories,
        tables=outcome.tables,
    )


def _insides(outcome: Outcome) -> dict[str, Inside]:
    """Return what networks show of themselves, by the key of their fit."""
    images, labels = outcome.split.images, outcome.split.labels
    views = {result.key: result.views for result in outcome.results}
    return {
        key: Inside(found, images[found.rows], labels[found.rows])
        for key, found in views.items()
        if found is not None
    }


def _targets(config: ExperimentConfig) -> Sequence[tuple[str, float]]:
    wanted = (("precision", config.wanted_precision), ("recall", config.wanted_recall))
    return tuple((name, value) for name, value in wanted if value is not None) or TARGETS


def _facts(outcome: Outcome, content: ReportInput) -> dict[str, Any]:
    return {
        "name": outcome.config.name,
        "evaluation_version": EVALUATION_VERSION,
        "dataset": dict(content.dataset),
        "fingerprint": content.fingerprint,
        "split": content.split,
        "best": dict(outcome.best),
        "studies": [describe_study(history) for history in outcome.histories],
        "grids": [describe_grid(table) for table in outcome.tables],
        "warnings": list(outcome.warnings),
        "config": without_passwords(outcome.config).model_dump(mode="json"),
        "environment": dict(content.environment),
        "created": content.created,
    }
