"""The figures of one experiment: which there are, what they are called, where they are saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from tenfold.evaluation import classifier_plots, plots
from tenfold.evaluation.content import ReportInput, choose_thresholds
from tenfold.evaluation.curves import precision_recall_curve, roc_curve
from tenfold.evaluation.leaderboard import Row
from tenfold.evaluation.probabilities import list_mistakes, measure_reliability
from tenfold.evaluation.sheets import plot_sheet
from tenfold.evaluation.style import Picture, chart_style, new_axes, to_png, to_svg
from tenfold.files import write_bytes

_SHEET_DPI = 110
_LEARNERS_SHOWN = 6


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
        _draw_balance,
    )
    with chart_style():
        return tuple(picture for draw in drawers for picture in draw(report))


def draw_sheets(report: ReportInput) -> tuple[Picture, ...]:
    """Draw sample images and worst mistakes as sheets; those without images are left out.

    Args:
        report: What they show.
    """
    names, found = report.class_names, []
    with chart_style():
        if report.sample_images is not None and report.sample_labels is not None:
            captions = [names[label] for label in report.sample_labels.tolist()]
            if captions:
                axes = plot_sheet(report.sample_images, report.image_shape, captions)
                title = "Sample images"
                found.append(_png("samples", title, "Images of every class", axes))
        if report.predicted is not None and report.test_images is not None:
            mistakes = list_mistakes(*report.predicted, limit=30)
            if mistakes:
                rows = [mistake.index for mistake in mistakes]
                captions = [f"{names[m.true]} → {names[m.predicted]}" for m in mistakes]
                axes = plot_sheet(report.test_images[rows], report.image_shape, captions)
                alt = "Test images that the winner got wrong with the highest probability"
                found.append(_png("mistakes", "Worst mistakes", alt, axes))
    return tuple(found)


def draw_row(row: Row, class_names: Sequence[str]) -> tuple[Picture, ...]:
    """Draw the figures of one row: its confusion matrix and, for networks, what it learned when.

    Args:
        row: A row with scores.
        class_names: k names.
    """
    if row.scores is None:
        return ()
    with chart_style():
        axes = classifier_plots.plot_confusion(row.scores.confusion, class_names)
        alt = f"True against predicted class of the test images by {row.name}"
        found = [_svg("confusion", "Confusion matrix", alt, axes)]
        for quantity in ("loss", "accuracy"):
            if len(row.history) > 1 and _has(row, quantity):
                axes = plots.plot_learning_curves({row.name: row.history}, quantity)
                alt = f"{quantity.capitalize()} per epoch of {row.name}"
                found.append(_svg(f"learning-{quantity}", f"{quantity} per epoch", alt, axes))
    return tuple(found)


def save_figures(pictures: Sequence[Picture], folder: Path) -> tuple[Path, ...]:
    """Write each picture into a folder under its own file name.

    Args:
        pictures: What `draw_figures` returned.
        folder: Is made.

    Raises:
        StorageError: A file cannot be written.
    """
    return tuple(write_bytes(folder / picture.file_name, picture.data) for picture in pictures)


def _draw_board(report: ReportInput) -> Iterable[Picture]:
    board = report.leaderboard
    finished = [row for row in board.ranked if row.scores is not None]
    if not finished:
        return
    best = finished[0]
    assert best.scores is not None
    alt = (
        f"Test accuracy of {len(finished)} models with 95 % intervals; the highest is "
        f"{best.name} with {100 * best.scores.accuracy.value:.2f} %"
    )
    yield _svg("accuracy", "Accuracy", alt, plots.plot_accuracy(board))
    alt = f"Test accuracy of {len(finished)} models over the seconds to fit them"
    # As tall as the chart beside it.
    height = min(max(3.8, 1.0 + 0.23 * len(finished)), 6.0)
    axes = plots.plot_accuracy_against_time(board, new_axes(4.8, height))
    yield _svg("accuracy-against-time", "Accuracy against fit time", alt, axes)


def _draw_winner(report: ReportInput) -> Iterable[Picture]:
    winner = report.leaderboard.winner
    if winner is None or winner.scores is None or report.predicted is None:
        return
    confusion = winner.scores.confusion
    wrong = int(confusion.sum() - np.trace(confusion))
    alt = f"True against predicted class of {confusion.sum():,} test images, {wrong:,} mistakes"
    axes = classifier_plots.plot_confusion(confusion, report.class_names)
    yield _svg("confusion", "Confusion matrix", alt, axes)
    error = winner.scores.ece
    alt = (
        f"Accuracy over confidence; the expected calibration error is {error.value:.4f}, "
        f"95 % interval {error.low:.4f} to {error.high:.4f}"
    )
    axes = classifier_plots.plot_reliability(measure_reliability(*report.predicted))
    yield _svg("reliability", "Calibration", alt, axes)


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
    yield _svg("precision-recall", f"Precision and recall of {name}", alt, axes)
    alt = f"ROC curve of {name}, area {roc.area.value:.4f}"
    yield _svg("roc", f"ROC curve of {name}", alt, classifier_plots.plot_roc(roc, points=points))


def _draw_learning(report: ReportInput) -> Iterable[Picture]:
    learners = [row for row in report.leaderboard.ranked if len(row.history) > 1]
    for quantity in ("loss", "accuracy"):
        histories = {row.name: row.history for row in learners if _has(row, quantity)}
        shown = dict(list(histories.items())[:_LEARNERS_SHOWN])
        if shown:
            alt = f"{quantity.capitalize()} per epoch of {', '.join(shown)}"
            axes = plots.plot_learning_curves(shown, quantity)
            yield _svg(f"learning-{quantity}", f"{quantity.capitalize()} per epoch", alt, axes)


def _draw_balance(report: ReportInput) -> Iterable[Picture]:
    counts = list(report.class_counts)
    if counts:
        alt = f"Development images per class, {min(counts):,} to {max(counts):,}"
        axes = plots.plot_class_balance(counts, report.class_names)
        yield _svg("class-balance", "Images per class", alt, axes)


def _has(row: Row, quantity: str) -> bool:
    return any(key.endswith(quantity) for step in row.history for key in step)


def _svg(name: str, title: str, alt: str, axes: plots.Axes) -> Picture:
    return Picture(name, title, alt, "image/svg+xml", to_svg(axes))


def _png(name: str, title: str, alt: str, axes: plots.Axes) -> Picture:
    return Picture(name, title, alt, "image/png", to_png(axes, dpi=_SHEET_DPI))
