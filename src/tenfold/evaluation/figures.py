"""The figures of one experiment: which there are, what they are called, where they are saved."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from tenfold.evaluation import classifier_plots, plots
from tenfold.evaluation.content import ReportInput, choose_thresholds, name_classes
from tenfold.evaluation.curves import precision_recall_curve, roc_curve
from tenfold.evaluation.leaderboard import Row
from tenfold.evaluation.plots import shorten
from tenfold.evaluation.probabilities import list_mistakes, measure_reliability
from tenfold.evaluation.row_figures import (
    draw_inside,
    draw_predictions,
    draw_verdicts,
    has_history,
)
from tenfold.evaluation.sheets import plot_sheet
from tenfold.evaluation.study_figures import STUDY_FIGURES, draw_studies
from tenfold.evaluation.style import Picture, chart_style, new_axes, png_picture, svg_picture
from tenfold.files import write_bytes

_LEARNERS_SHOWN = 6
_INSIDES_SHOWN = 6
_FILE_NAME = re.compile(
    "(accuracy|accuracy-against-time|confusion|reliability|precision-recall|roc|learning-loss"
    r"|learning-accuracy|class-balance|(filters|attention)(-[a-z0-9-]+)?)\.svg"
    rf"|(samples|predictions|mistakes)\.png|{STUDY_FIGURES}"
)
"""Every name that a figure may have."""


def draw_figures(report: ReportInput) -> tuple[Picture, ...]:
    """Draw every figure of an experiment.

    Args:
        report: What they show.

    Returns:
        Charts as SVG, then the sheets of images as PNG.
    """
    return (*draw_charts(report), *draw_sheets(report))


def draw_charts(report: ReportInput) -> tuple[Picture, ...]:
    """Draw the charts that the report shows; those without data are left out.

    Args:
        report: What they show.
    """
    drawers: tuple[Callable[[ReportInput], Iterable[Picture]], ...] = (
        _draw_board,
        _draw_winner,
        _draw_curves,
        _draw_learning,
        _draw_insides,
        _draw_balance,
        _draw_search,
    )
    with chart_style():
        return tuple(picture for draw in drawers for picture in draw(report))


def draw_sheets(report: ReportInput) -> tuple[Picture, ...]:
    """Draw samples, predictions and worst mistakes as sheets; those without images are left out.

    Args:
        report: What they show.
    """
    found: list[Picture] = []
    with chart_style():
        if report.sample_images is not None and report.sample_labels is not None:
            labels = report.sample_labels.tolist()
            captions = [shorten(report.class_names[label], 18) for label in labels]
            if captions:
                axes = plot_sheet(report.sample_images, report.image_shape, captions)
                alt = f"Images of {name_classes(labels, len(report.class_names))}"
                found.append(png_picture("samples", "Sample images", alt, axes))
        winner = report.leaderboard.winner
        if report.predicted is not None and winner is not None:
            found += draw_predictions(winner, report, report.predicted)
            mistakes = list_mistakes(*report.predicted, limit=30)
            alt = "Test images that the winner got wrong with the highest probability"
            found += draw_verdicts(report, mistakes, ("mistakes", "Worst mistakes", alt))
    return tuple(found)


def save_figures(pictures: Sequence[Picture], folder: Path) -> tuple[Path, ...]:
    """Write each picture into a folder under its own file name; nothing older stays beside them.

    Args:
        pictures: What `draw_figures` returned.
        folder: Is made. Of what it holds, files with the names of figures are removed.

    Raises:
        StorageError: A file cannot be written.
    """
    written = tuple(write_bytes(folder / picture.file_name, picture.data) for picture in pictures)
    for path in folder.glob("*.*"):
        if _FILE_NAME.fullmatch(path.name) and path not in written:
            path.unlink()
    return written


def _draw_board(report: ReportInput) -> Iterable[Picture]:
    board = report.leaderboard
    finished = [row for row in board.rows if row.scores is not None]
    if not finished:
        return
    rows, said = plots.choose_rows(board)
    scored = [(row.scores.accuracy.value, row.name) for row in rows if row.scores is not None]
    # What the board is ranked by may be another score.
    highest, name = max(scored, key=lambda found: found[0])
    alt = (
        f"Test accuracy of {said} with 95 % intervals; the highest is {name} with "
        f"{100 * highest:.2f} %"
    )
    yield svg_picture("accuracy", "Accuracy", alt, plots.plot_accuracy(board))
    alt = f"Test accuracy of {len(finished)} models over the seconds to fit them"
    # As tall as the chart beside it.
    height = min(max(3.8, 1.0 + 0.23 * len(finished)), 6.0)
    axes = plots.plot_accuracy_against_time(board, new_axes(4.8, height))
    yield svg_picture("accuracy-against-time", "Accuracy against fit time", alt, axes)


def _draw_winner(report: ReportInput) -> Iterable[Picture]:
    winner = report.leaderboard.winner
    if winner is None or winner.scores is None or report.predicted is None:
        return
    confusion = winner.scores.confusion
    wrong = int(confusion.sum() - np.trace(confusion))
    alt = f"True against predicted class of {confusion.sum():,} test images, {wrong:,} mistakes"
    axes = classifier_plots.plot_confusion(confusion, report.class_names)
    yield svg_picture("confusion", "Confusion matrix", alt, axes)
    error = winner.scores.ece
    alt = (
        f"Accuracy over confidence; the expected calibration error is {error.value:.4f}, "
        f"95 % interval {error.low:.4f} to {error.high:.4f}"
    )
    axes = classifier_plots.plot_reliability(measure_reliability(*report.predicted))
    yield svg_picture("reliability", "Calibration", alt, axes)


def _draw_curves(report: ReportInput) -> Iterable[Picture]:
    predicted = report.predicted
    if predicted is None or len(report.class_names) != 2 or len(np.unique(predicted[0])) != 2:
        return
    points = [found.test for found in choose_thresholds(report) if found.test is not None]
    precision_recall, roc = precision_recall_curve(*predicted), roc_curve(*predicted)
    name = report.class_names[1]
    alt = f"Precision over recall of {name}, average precision "
    axes = classifier_plots.plot_precision_recall(precision_recall, points=points)
    alt += f"{precision_recall.average_precision:.4f}"
    yield svg_picture("precision-recall", f"Precision and recall of {name}", alt, axes)
    alt = f"ROC curve of {name}, area {roc.area.value:.4f}"
    yield svg_picture(
        "roc", f"ROC curve of {name}", alt, classifier_plots.plot_roc(roc, points=points)
    )


def _draw_learning(report: ReportInput) -> Iterable[Picture]:
    for quantity in ("loss", "accuracy"):
        learners = [row for row in _winner_first(report) if has_history(row, quantity)]
        shown = [(row.name, row.history) for row in learners[:_LEARNERS_SHOWN]]
        if shown:
            names = ", ".join(name for name, _ in shown)
            alt = f"{quantity.capitalize()} of {names} while learning"
            axes = plots.plot_learning_curves(shown, quantity)
            title = f"{quantity.capitalize()} while learning"
            yield svg_picture(f"learning-{quantity}", title, alt, axes)


def _draw_insides(report: ReportInput) -> Iterable[Picture]:
    """Draw what the best network of each model shows of itself."""
    best: dict[str, Row] = {}
    for row in _winner_first(report):
        if row.test_key in report.insides:
            best.setdefault(re.sub("[^a-z0-9]+", "-", row.model.lower()), row)
    for model, row in list(best.items())[:_INSIDES_SHOWN]:
        yield from draw_inside(row, report, ending=f"-{model}")


def _winner_first(report: ReportInput) -> list[Row]:
    """Return the rows by their test score, but what was chosen before all."""
    key = report.leaderboard.winner_key
    return sorted(report.leaderboard.ranked, key=lambda row: row.key != key)


def _draw_search(report: ReportInput) -> Iterable[Picture]:
    return draw_studies(report.studies)


def _draw_balance(report: ReportInput) -> Iterable[Picture]:
    counts = list(report.class_counts)
    if counts:
        alt = f"Development images per class, {min(counts):,} to {max(counts):,}"
        axes = plots.plot_class_balance(counts, report.class_names)
        yield svg_picture("class-balance", "Images per class", alt, axes)
