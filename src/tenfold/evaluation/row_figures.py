"""The figures of one row: what it predicted, and of networks how and what they learned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from tenfold.evaluation import classifier_plots, network_plots, plots
from tenfold.evaluation.confusion import IntArray
from tenfold.evaluation.content import ReportInput, list_shown
from tenfold.evaluation.formats import percent
from tenfold.evaluation.intervals import FloatArray
from tenfold.evaluation.leaderboard import Row
from tenfold.evaluation.probabilities import Verdict
from tenfold.evaluation.sheets import plot_sheet
from tenfold.evaluation.style import Picture, chart_style, png_picture, svg_picture

_MOST_HEADS = 8
_ONE_LINE = 8


def draw_row(
    row: Row, report: ReportInput, probabilities: FloatArray | None = None
) -> tuple[Picture, ...]:
    """Draw a row's confusion matrix and predictions, and of networks what and how they learned.

    Args:
        row: One row of the report's leaderboard; without scores nothing is drawn.
        report: Where images, labels and class names are.
        probabilities: ``(n_test, k)``, the row's; None draws no predictions.
    """
    if row.scores is None:
        return ()
    with chart_style():
        axes = classifier_plots.plot_confusion(row.scores.confusion, report.class_names)
        alt = f"True against predicted class of the test images by {row.name}"
        found = [svg_picture("confusion", "Confusion matrix", alt, axes)]
        for quantity in ("loss", "accuracy"):
            if has_history(row, quantity):
                axes = plots.plot_learning_curves([(row.name, row.history)], quantity)
                alt = f"{quantity.capitalize()} of {row.name} while learning"
                title = f"{quantity.capitalize()} while learning"
                found.append(svg_picture(f"learning-{quantity}", title, alt, axes))
        found += draw_inside(row, report)
        if report.test_labels is not None and probabilities is not None:
            found += draw_predictions(row, report, (report.test_labels, probabilities))
    return tuple(found)


def draw_predictions(
    row: Row, report: ReportInput, predicted: tuple[IntArray, FloatArray]
) -> Iterable[Picture]:
    """Draw the first test images of each class and what a row took them for.

    Args:
        row: The row.
        report: Where images and class names are.
        predicted: Test labels and the row's probabilities.
    """
    shown = list_shown(*predicted)
    wrong = sum(not verdict.is_right for verdict in shown)
    alt = f"{len(shown)} test images, their classes and what {row.name} took them for; "
    alt += f"the {wrong} wrong ones are framed" if wrong else "all of them are right"
    yield from draw_verdicts(report, shown, ("predictions", "Predictions", alt))


def draw_verdicts(
    report: ReportInput, verdicts: Sequence[Verdict], texts: tuple[str, str, str]
) -> Iterable[Picture]:
    """Draw a sheet of test images with class, prediction and probability; none without images.

    Args:
        report: Where images and class names are.
        verdicts: What is drawn, in this order. Wrong ones among right ones are framed.
        texts: Name, title and alternative text of the picture.
    """
    if not verdicts or report.test_images is None:
        return
    wrong = [at for at, verdict in enumerate(verdicts) if not verdict.is_right]
    axes = plot_sheet(
        report.test_images[[verdict.index for verdict in verdicts]],
        report.image_shape,
        [_caption(verdict, report.class_names) for verdict in verdicts],
        marked=wrong if len(wrong) < len(verdicts) else (),
    )
    yield png_picture(*texts, axes)


def draw_inside(row: Row, report: ReportInput, *, ending: str = "") -> Iterable[Picture]:
    """Draw the filters and the attention of one network, whichever it has.

    Args:
        row: Its row.
        report: Where what it shows of itself is.
        ending: Of the figures' names.
    """
    inside = report.insides.get(row.test_key)
    if inside is None:
        return
    views = inside.views
    if views.filters is not None and len(views.filters):
        yield _draw_filters(row, views.filters, views.n_filters, ending)
    if views.attention is not None and views.rollout is not None:
        names = [f"Head {number + 1}" for number in range(views.attention.shape[1])][:_MOST_HEADS]
        maps = np.concatenate([views.attention[:, :_MOST_HEADS], views.rollout[:, None]], axis=1)
        shape, size = report.image_shape, views.patch_size
        covered = network_plots.cover_images(inside.images, shape, maps, size)
        shown = [report.class_names[label] for label in inside.labels.tolist()]
        axes = network_plots.plot_attention(covered, shown, [*names, "All blocks"])
        alt = (
            f"{len(covered)} images, and coloured over them where {len(names)} heads of the last "
            f"block of {row.name} look, and where all its blocks look"
        )
        yield svg_picture(f"attention{ending}", f"Attention of {row.name}", alt, axes)


def has_history(row: Row, quantity: str) -> bool:
    """Say whether a row's fit reported a quantity over more than one step.

    Args:
        row: Any row.
        quantity: ``"loss"`` or ``"accuracy"``.
    """
    found = any(key.endswith(quantity) for step in row.history for key in step)
    return found and len(row.history) > 1


def _caption(verdict: Verdict, class_names: Sequence[str]) -> str:
    true, said = (plots.shorten(class_names[at], 14) for at in (verdict.true, verdict.predicted))
    between = " → " if len(true) + len(said) <= _ONE_LINE else "\n→ "
    return f"{true}{between}{said}\n{percent(verdict.probability, 1)}"


def _draw_filters(row: Row, filters: FloatArray, n_filters: int, ending: str) -> Picture:
    count, height, width = filters.shape
    size = f"{height} × {width} pixels"  # noqa: RUF001  # a multiplication sign
    shown = f"{count} of {n_filters}" if count < n_filters else f"{count}"
    alt = f"Weights of {shown} filters of {size} in the first layer of {row.name}"
    title = f"First-layer filters of {row.name} ({shown})"
    return svg_picture(f"filters{ending}", title, alt, network_plots.plot_filters(filters))
