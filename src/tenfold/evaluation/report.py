"""The report: one HTML page that opens offline and holds everything it shows."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from tenfold._optional import require
from tenfold.evaluation import formats
from tenfold.evaluation.confusion import list_confusions
from tenfold.evaluation.content import ReportInput, choose_thresholds, list_shown, name_classes
from tenfold.evaluation.figures import draw_charts
from tenfold.evaluation.intervals import Interval
from tenfold.evaluation.leaderboard import Leaderboard, Row
from tenfold.evaluation.metrics import LOSSES, METRICS
from tenfold.evaluation.probabilities import Verdict, list_mistakes
from tenfold.evaluation.sheets import to_data_uri
from tenfold.evaluation.study_figures import study_prefix
from tenfold.evaluation.style import Picture, inline_svg
from tenfold.evaluation.tables import METRIC_TITLES
from tenfold.histories import StudyHistory

_MISTAKES_SHOWN = 30
_SAMPLES_SHOWN = 80
_TRIALS_SHOWN = 10
_CLEAR = 0.05
_FITTED_ON = {
    "train": "the training images",
    "train + validation": "training and validation images together",
    "all development rows": "all development images",
}


def render(report: ReportInput, *, figures: Sequence[Picture] | None = None) -> str:
    """Return the report as one self-contained HTML page.

    Args:
        report: What it shows.
        figures: What `draw_figures` returned, so that nothing is drawn twice; None: draw here.

    Returns:
        HTML that loads nothing from elsewhere; every text in it is escaped.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    jinja2 = require("jinja2")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tenfold.evaluation"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    for formatter in (
        formats.percent,
        formats.decimal,
        formats.seconds,
        formats.size,
        formats.p_value,
        formats.fact,
    ):
        environment.filters[formatter.__name__] = formatter
    template = environment.get_template("report.html")
    return str(template.render(_view(report, figures, markup=require("markupsafe").Markup)))


def _view(report: ReportInput, figures: Sequence[Picture] | None, markup: Any) -> dict[str, Any]:
    """Return what the template shows, under the names it uses."""
    board = report.leaderboard
    pictures = draw_charts(report) if figures is None else figures
    shown = list_shown(*report.predicted) if report.predicted else ()
    samples = _samples(report)
    n_classes = len(board.class_names)
    names = [picture.name for picture in pictures]
    # In the CSV it has the name that old scripts read.
    titles = {**METRIC_TITLES, "f1_weighted": "F1 Weighted"}
    script = files("tenfold.evaluation").joinpath("templates/report.js").read_text("utf-8")
    digest = hashlib.sha256(script.encode()).digest()
    return {
        "report": report,
        "board": board,
        "winner": board.winner,
        "fitted_on": None if board.winner is None else _FITTED_ON[board.winner.fitted_on],
        "metric_name": _in_a_sentence(titles[board.rank_by]),
        "failed": [row for row in board.rows if row.status == "failed"],
        "ranked": [_rank(row, board) for row in board.ranked],
        "scale": _scale(board),
        "repeated": any(row.repeats > 1 for row in board.rows),
        "validated_again": any(row.validation_repeats > 1 for row in board.rows),
        "mixed_fits": len({row.fitted_on for row in board.rows if row.scores is not None}) > 1,
        "beaten_by": _count_better(board),
        "metrics": [(name, titles[name], name in LOSSES) for name in METRICS],
        "charts": {
            picture.name: {
                "title": picture.title,
                "alt": picture.alt,
                # What `inline_svg` gets was drawn by matplotlib, which escapes the texts in it.
                "svg": markup(inline_svg(picture.data, name=picture.name)),
            }
            for picture in pictures
            if picture.mime == "image/svg+xml"
        },
        "confusions": _confusions(board),
        "studies": [_study(history, names) for history in report.studies],
        "insides": [name for name in names if name.startswith(("filters-", "attention-"))],
        "has_filters": any(name.startswith("filters-") for name in names),
        "has_attention": any(name.startswith("attention-") for name in names),
        "mistakes": _verdicts(report, _mistakes(report)),
        "predictions": _verdicts(report, shown),
        "predicted_classes": name_classes([verdict.true for verdict in shown], n_classes),
        "samples": samples,
        "sample_classes": name_classes([found["label"] for found in samples], n_classes),
        "thresholds": choose_thresholds(report),
        "script": markup(script),
        "script_hash": base64.b64encode(digest).decode(),
    }


def _study(history: StudyHistory, names: Sequence[str]) -> Mapping[str, Any]:
    """Return what the report shows of a study."""
    prefix = study_prefix(history)
    ranked = sorted(history.of("finished"), key=history.goodness, reverse=True)
    return {
        "history": history,
        "ranked": ranked[:_TRIALS_SHOWN],
        "charts": [name for name in names if name.startswith(prefix)],
        "counts": [(state, len(history.of(state))) for state in ("finished", "pruned", "failed")],
        "failed": history.of("failed"),
    }


def _in_a_sentence(title: str) -> str:
    return title if title[:2].isupper() or title[1:2].isdigit() else title.lower()


def _rank(row: Row, board: Leaderboard) -> dict[str, Any]:
    """Return one row of the table with its bar, whose ends are percent of the bar's width."""
    low, high = _scale(board)
    bar = None
    if row.scores is not None:
        accuracy = row.scores.accuracy
        left, middle, right = (
            100 * (end - low) / (high - low)
            for end in (accuracy.low, accuracy.value, accuracy.high)
        )
        bar = {"left": f"{left:.2f}", "width": f"{right - left:.2f}", "dot": f"{middle:.2f}"}
    return {
        "row": row,
        "bar": bar,
        "is_winner": row.key == board.winner_key,
        "alike": row.p_vs_winner is not None and row.p_vs_winner >= _CLEAR,
    }


def _scale(board: Leaderboard) -> tuple[float, float]:
    """Return the accuracies at both ends of the bars."""
    found = [row.scores.accuracy for row in board.rows if row.scores is not None]
    if not found:
        return 0.0, 1.0
    low, high = min(interval.low for interval in found), max(interval.high for interval in found)
    margin = 0.03 * (high - low)
    return max(0.0, low - margin), min(1.0, high + margin)


def _count_better(board: Leaderboard) -> int:
    """Return how many rows do better on the test images than the winner."""
    ahead = [row for row in board.ranked if row.scores is not None]
    winner = board.winner
    if winner is None or winner.scores is None:
        return 0
    sign = -1 if board.rank_by in LOSSES else 1
    mark = sign * winner.scores.intervals()[board.rank_by].value
    values = [row.scores.intervals()[board.rank_by] for row in ahead if row.scores is not None]
    return sum(_exceeds(interval, sign, mark) for interval in values)


def _exceeds(interval: Interval, sign: int, mark: float) -> bool:
    return interval.defined and sign * interval.value > mark


def _confusions(board: Leaderboard) -> Sequence[Any]:
    winner = board.winner
    if winner is None or winner.scores is None:
        return ()
    return list_confusions(winner.scores.confusion, class_names=board.class_names)


def _mistakes(report: ReportInput) -> Sequence[Verdict]:
    if report.predicted is None:
        return ()
    return list_mistakes(*report.predicted, limit=_MISTAKES_SHOWN)


def _verdicts(report: ReportInput, verdicts: Sequence[Verdict]) -> list[Mapping[str, Any]]:
    """Return test images with their classes and what they were taken for."""
    if report.test_images is None:
        return []
    names = report.class_names
    return [
        {
            "uri": to_data_uri(report.test_images[verdict.index], report.image_shape),
            "true": names[verdict.true],
            "predicted": names[verdict.predicted],
            "is_right": verdict.is_right,
            "probability": verdict.probability,
            "index": verdict.index,
        }
        for verdict in verdicts
    ]


def _samples(report: ReportInput) -> list[Mapping[str, Any]]:
    if report.sample_images is None or report.sample_labels is None:
        return []
    labels = report.sample_labels.tolist()[:_SAMPLES_SHOWN]
    return [
        {
            "uri": to_data_uri(image, report.image_shape),
            "label": label,
            "name": report.class_names[label],
        }
        for image, label in zip(report.sample_images, labels, strict=False)
    ]
