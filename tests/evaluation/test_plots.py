from dataclasses import replace
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pytest

from tenfold.evaluation import classifier_plots, plots
from tenfold.evaluation.curves import at_threshold, precision_recall_curve, roc_curve
from tenfold.evaluation.probabilities import measure_reliability
from tenfold.evaluation.style import CSS_NAMES, chart_style, new_axes

from .conftest import contrast, list_schemes, make_probabilities


@pytest.fixture(autouse=True)
def style():
    with chart_style():
        yield


def texts(labels):
    return [label.get_text() for label in labels]


def test_accuracy_lists_finished_rows_best_first_and_marks_the_winner(lab):
    results = [lab.finished("A", skill=1), lab.finished("B", skill=3), lab.failed("C")]
    axes = plots.plot_accuracy(lab.board(results))
    assert texts(axes.get_yticklabels()) == ["B", "A"]
    colours = [line.get_color() for line in axes.get_lines() if line.get_linestyle() == "-"]
    assert len(set(colours)) > 1


def test_long_names_are_cut(lab):
    results = [lab.finished("A", skill=1, label="x" * 80)]
    (name,) = texts(plots.plot_accuracy(lab.board(results)).get_yticklabels())
    assert len(name) <= 34
    assert name.endswith("…")


@pytest.mark.parametrize(("winner", "count"), [("Model 59", 40), ("Model 0", 41)])
def test_of_many_rows_the_best_and_the_winner_are_drawn_and_that_is_said(lab, winner, count):
    results = [lab.finished(f"Model {i}", skill=i / 10) for i in range(60)]
    (key,) = (result.key for result in results if result.trial.title == winner)
    board = replace(lab.board(results), winner_key=key)
    axes = plots.plot_accuracy(board)
    shown = texts(axes.get_yticklabels())
    assert len(shown) == count
    assert winner in shown
    assert shown[:40] == [row.name for row in board.ranked[:40]]
    also = " and the winner" if count > 40 else ""
    assert axes.get_xlabel() == f"Accuracy of the best 40 of 60 models{also}"


def test_accuracy_against_time_has_one_entry_per_model_and_survives_zero_seconds(lab):
    results = [
        lab.finished("A", skill=1, label="1", fit_s=0.0),
        lab.finished("A", skill=1, label="2", fit_s=100.0),
        lab.finished("B", skill=3),
    ]
    axes = plots.plot_accuracy_against_time(lab.board(results))
    assert axes.get_xscale() == "log"
    assert texts(axes.figure.legends[0].get_texts()) == ["A", "B"]


def test_a_board_without_scores_gives_empty_axes(lab):
    board = lab.board([lab.failed("A")])
    assert not plots.plot_accuracy(board).get_lines()
    assert not plots.plot_accuracy_against_time(board).get_lines()


def test_confusion_writes_every_count_that_occurs():
    confusion = np.array([[5, 1, 0], [0, 12345, 0], [2, 0, 7]])
    axes = classifier_plots.plot_confusion(confusion, ["a", "b", "long name"])
    assert sorted(texts(axes.texts)) == ["1", "12345", "2", "5", "7"]
    assert texts(axes.get_xticklabels()) == ["a", "b", "long name"]


@pytest.mark.parametrize("scheme", [0, 1])
def test_counts_can_be_read_on_every_shade_in_both_schemes(scheme):
    hits = np.arange(21)
    confusion = np.diag(hits)[1:20, 1:20] + np.roll(np.diag(hits[::-1])[1:20, 1:20], 1, axis=1)
    axes = classifier_plots.plot_confusion(confusion, [f"c{i}" for i in range(19)])
    colours = list_schemes()[scheme]
    assert len(axes.texts) == len(axes.patches) == 38
    for count, cell in zip(axes.texts, axes.patches, strict=True):
        ground = colours[CSS_NAMES[mpl.colors.to_hex(cell.get_facecolor())]]
        text = colours[CSS_NAMES[count.get_color()]]
        found = contrast(text, ground, opacity=cell.get_alpha(), below=colours["surface"])
        assert found >= 4.5, count


def test_confusion_of_many_classes_is_an_image_without_counts():
    axes = classifier_plots.plot_confusion(np.eye(50, dtype=int) * 9, [f"c{i}" for i in range(50)])
    assert not axes.texts
    assert len(axes.get_images()) == 1
    assert len(axes.get_xticklabels()) == 50


def test_confusion_of_nothing_is_drawn():
    classifier_plots.plot_confusion(np.zeros((2, 2), dtype=int), ["a", "b"])


def test_reliability_shows_filled_bins_only():
    labels = np.arange(200) % 3
    reliability = measure_reliability(labels, make_probabilities(labels, 3).astype(float))
    axes = classifier_plots.plot_reliability(reliability)
    (points,) = [line for line in axes.get_lines() if line.get_marker() == "o"]
    assert len(points.get_xdata()) == np.count_nonzero(reliability.counts)


def test_learning_curves_draw_what_ends_in_the_quantity():
    steps = [
        {"epoch": e, "train_loss": 1 / e, "validation_loss": 1.2 / e, "rate": 0.1}
        for e in range(1, 5)
    ]
    axes = plots.plot_learning_curves([("Net", steps)], "loss")
    assert len(axes.get_lines()) == 2
    assert texts(axes.get_legend().get_texts()) == ["Net"]
    assert axes.get_lines()[0].get_xdata().tolist() == [1, 2, 3, 4]


def test_learning_curves_of_training_alone_are_named_and_number_their_steps():
    axes = plots.plot_learning_curves([("Net", [{"train_accuracy": 0.5}] * 40)], "accuracy")
    (line,) = axes.get_lines()
    assert line.get_xdata()[-1] == 40
    assert texts(axes.get_legend().get_texts()) == ["Net"]


def test_training_is_dotted_and_validation_solid():
    steps = [{"train_loss": 1 / e, "val_loss": 1.2 / e} for e in range(1, 5)]
    axes = plots.plot_learning_curves([("Net", steps)], "loss")
    styles = {line.get_linestyle(): line.get_ydata()[0] for line in axes.get_lines()}
    assert styles == {":": 1.0, "-": 1.2}


def test_high_accuracies_are_given_room_and_none_is_lost():
    steps = [
        {"train_accuracy": t, "val_accuracy": v}
        for t, v in ((0.5, 0.6), (0.97, 0.96), (0.999, 0.98), (1.0, 0.99))
    ]
    axes = plots.plot_learning_curves([("Net", steps)], "accuracy")
    place = axes.transData.transform
    heights = [place((1, value))[1] for value in (0.8, 0.9, 0.98, 1.0)]
    assert heights[2] - heights[1] > 2 * (heights[1] - heights[0])
    assert heights[3] > heights[2]
    low, high = axes.get_ylim()
    assert low < 0.5
    assert high > 1
    axes.figure.draw_without_rendering()
    for position, label in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True):
        assert float(label.get_text().rstrip(" %")) == pytest.approx(100 * position)


@pytest.mark.parametrize("values", [(0.1, 0.2), (1.0, 1.0), (0.0, 0.0), (0.95, 0.95)])
def test_any_accuracies_are_drawn(values):
    axes = plots.plot_learning_curves([("Net", [{"accuracy": v} for v in values])], "accuracy")
    axes.figure.draw_without_rendering()
    low, high = axes.get_ylim()
    assert low < min(values) <= max(values) < high


@pytest.mark.parametrize(
    ("losses", "scale"),
    [
        ((2.0, 0.01), "log"),
        ((2.0, 1.0), "linear"),
        ((2.0, 0.0), "linear"),
        ((2.0, np.nan), "linear"),
    ],
)
def test_losses_of_many_sizes_are_drawn_on_a_logarithmic_axis(losses, scale):
    axes = plots.plot_learning_curves([("Net", [{"loss": loss} for loss in losses])], "loss")
    axes.figure.draw_without_rendering()
    assert axes.get_yscale() == scale


def test_six_long_names_fit_below_the_curves():
    steps = [{"train_loss": 1.0}, {"train_loss": 0.5}]
    names = [f"Network {i} hidden_layers=({i}, 128)" for i in range(18)]
    axes = plots.plot_learning_curves([(name, steps) for name in names], "loss")
    assert len(axes.get_lines()) == 6
    axes.figure.draw_without_rendering()
    figure, legend = axes.figure.bbox, axes.get_legend().get_window_extent()
    assert figure.x0 <= legend.x0
    assert legend.x1 <= figure.x1
    assert figure.y0 <= legend.y0
    assert legend.y1 < axes.get_window_extent().y0


def test_networks_whose_long_names_begin_alike_are_all_drawn_and_told_apart():
    steps = [{"val_loss": 1.0, "train_loss": 2.0}, {"val_loss": 0.5, "train_loss": 0.4}]
    shared = "Neural network hidden_layers=(512, 256, 128), dropout=0.25"
    rates = (0.1, 0.01, 0.001)
    names = [f"{shared}, learning_rate={rate}, epochs=30" for rate in rates] + ["CNN epochs=3"]
    axes = plots.plot_learning_curves([(name, steps) for name in names], "loss")
    assert len(axes.get_lines()) == 8
    said = texts(axes.get_legend().get_texts())
    assert [" ".join(name.split()) for name in said] == names
    axes.figure.draw_without_rendering()
    figure, legend = axes.figure.bbox, axes.get_legend().get_window_extent()
    assert figure.x0 <= legend.x0
    assert legend.x1 <= figure.x1
    assert figure.y0 <= legend.y0
    assert axes.get_window_extent().height > 1.5 * axes.figure.dpi


def test_fit_times_over_many_decades_have_room_for_their_labels(lab):
    results = [
        lab.finished("A", skill=1, fit_s=0.001),
        lab.finished("B", skill=1, fit_s=1000.0),
    ]
    axes = plots.plot_accuracy_against_time(lab.board(results))
    axes.figure.draw_without_rendering()
    low, high = axes.get_xlim()
    boxes = [
        label.get_window_extent()
        for tick, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
        if low <= tick <= high
    ]
    assert len(boxes) >= 4
    assert not any(a.overlaps(b) for a, b in pairwise(boxes))


def test_learning_curves_of_nothing_are_empty():
    assert not plots.plot_learning_curves([], "loss").get_lines()


def test_curves_show_their_areas_and_the_chosen_thresholds():
    labels = np.arange(100) % 2
    given = make_probabilities(labels, 2)
    points = [at_threshold(labels, given, 0.5), at_threshold(labels, given, 0.9)]
    for draw, curve in (
        (classifier_plots.plot_precision_recall, precision_recall_curve(labels, given)),
        (classifier_plots.plot_roc, roc_curve(labels, given)),
    ):
        axes = draw(curve, points=points)
        rings = [line for line in axes.get_lines() if line.get_marker() == "o"]
        assert len(rings) == 2
        assert "0." in axes.get_legend().get_texts()[0].get_text()


def test_class_balance_draws_one_bar_per_class():
    axes = plots.plot_class_balance([3, 1, 2], ["a", "b", "c"])
    assert [bar.get_height() for bar in axes.patches] == [3, 1, 2]
    many = plots.plot_class_balance([1] * 60, [f"class {i}" for i in range(60)])
    assert len(many.patches) == 60


def test_charts_are_drawn_into_the_axes_given(lab):
    board = lab.board([lab.finished("A", skill=1)])
    labels = np.arange(60) % 2
    given = make_probabilities(labels, 2).astype(float)
    for draw in (
        lambda ax: plots.plot_accuracy(board, ax),
        lambda ax: plots.plot_accuracy_against_time(board, ax),
        lambda ax: plots.plot_learning_curves([], "loss", ax),
        lambda ax: plots.plot_class_balance([1, 2], ["a", "b"], ax),
        lambda ax: classifier_plots.plot_confusion(np.eye(2, dtype=int), ["a", "b"], ax),
        lambda ax: classifier_plots.plot_reliability(measure_reliability(labels, given), ax),
        lambda ax: classifier_plots.plot_roc(roc_curve(labels, given), ax),
        lambda ax: classifier_plots.plot_precision_recall(
            precision_recall_curve(labels, given), ax
        ),
    ):
        ax = new_axes()
        assert draw(ax) is ax


def test_percent_ticks_tell_the_truth(lab):
    results = [lab.finished("A", skill=1), lab.finished("B", skill=9)]
    axes = plots.plot_accuracy(lab.board(results))
    axes.figure.canvas.draw()
    for position, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True):
        assert float(label.get_text().rstrip(" %")) == pytest.approx(100 * position)


def test_nothing_touches_pyplot_or_the_settings_of_others():
    before = dict(mpl.rcParamsDefault)
    with chart_style():
        new_axes()
    assert mpl.rcParamsDefault == before
