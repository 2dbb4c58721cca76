"""Pictures and tables of studies and grids: what they show, and what they do without."""

import csv
import math
from dataclasses import replace

import numpy as np
import pytest

from tenfold.evaluation import build_cv_table, describe_study, write_cv_table, write_trials
from tenfold.evaluation.study_figures import STUDY_FIGURES, draw_studies
from tenfold.evaluation.study_plots import (
    plot_front,
    plot_history,
    plot_importances,
    plot_parallel,
    plot_slice,
    plot_steps,
)
from tenfold.evaluation.style import BLUE, GRID, chart_style
from tenfold.histories import StudyHistory, StudyTrial
from tenfold.records import Predictions, Trial, TrialResult


def trial(number, value=None, *, state="finished", steps=None, latency=None, **drawn):
    values = () if value is None else (value,) if latency is None else (value, latency)
    return StudyTrial(
        number=number,
        state=state,
        drawn={"rate": 0.1 / (number + 1), "kind": "ab"[number % 2], **drawn},
        params={},
        values=values,
        steps=steps or {},
        reason=None if state == "finished" else "pruned at epoch 1",
        scores={} if value is None else {"accuracy": value, "log_loss": 1.0},
        is_start=number == 0,
        duration_s=2.0,
    )


@pytest.fixture
def history():
    return StudyHistory(
        name="mine",
        model="mlp",
        title="MLP",
        objectives=("accuracy",),
        space={"rate": "0 to 1", "kind": "a, b", "depth": "1 to 9, when kind is b"},
        log_scales=frozenset({"rate"}),
        n_trials=5,
        trials=(
            trial(0, 0.5, steps={1: 0.4, 2: 0.5}),
            trial(1, state="pruned", steps={1: 0.1}),
            trial(2, 0.8, steps={1: 0.6, 2: 0.8}),
            trial(3, 0.7, depth=4),
            trial(4, state="failed"),
        ),
        importances={"rate": 0.7, "kind": 0.3},
    )


@pytest.fixture(autouse=True)
def style():
    with chart_style():
        yield


def lines(axes):
    return {line.get_label(): line for line in axes.get_lines()}


def test_the_history_shows_finished_and_pruned_trials_and_the_best_so_far(history):
    drawn = lines(plot_history(history))
    assert list(drawn["finished"].get_xdata()) == [0, 2, 3]
    assert list(drawn["pruned, at its last step"].get_ydata()) == [0.1]
    assert list(drawn["best so far"].get_ydata()) == [0.5, 0.8, 0.8]


def test_where_lower_is_better_the_best_so_far_falls(history):
    lower = replace(history, objectives=("log_loss",))
    assert list(lines(plot_history(lower))["best so far"].get_ydata()) == [0.5, 0.5, 0.5]


def test_importances_are_ranked_with_the_largest_on_top(history):
    axes = plot_importances(history.importances)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["kind", "rate"]
    assert [bar.get_width() for bar in axes.patches] == [0.3, 0.7]
    assert "not weighed" not in axes.get_xlabel()


def test_importances_tell_of_parameters_that_only_some_trials_have(history):
    axes = plot_importances(history.importances, left_out=["depth"])
    assert axes.get_xlabel().endswith("\nnot weighed, since not every trial has it: depth")


def test_parallel_coordinates_leave_gaps_where_a_parameter_had_no_effect(history):
    axes = plot_parallel(history)
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert names == ["rate", "kind", "depth", "Accuracy"]
    paths = [line.get_ydata() for line in axes.get_lines() if len(line.get_ydata()) == 4]
    assert len(paths) == 3
    assert paths[-1][-1] == 1  # the best is drawn last
    assert sum(math.isnan(path[2]) for path in paths) == 2


def test_a_slice_of_numbers_may_be_logarithmic_and_one_of_words_is_not(history):
    ax = plot_slice(history, "rate")
    assert ax.get_xscale() == "log"
    assert {ax.xaxis.get_major_formatter()(0.001, 0), ax.xaxis.get_minor_formatter()(2, 0)} == {
        "0.001",
        "",
    }
    words = plot_slice(history, "kind")
    assert [label.get_text() for label in words.get_xticklabels()] == ["a", "b"]


def mixed(history, values, *, log=True):
    """A study whose one parameter was given these values, better from trial to trial."""
    drawn = [
        replace(trial(number, 0.5 + number / 10), drawn={"gamma": value})
        for number, value in enumerate(values)
    ]
    logs = frozenset({"gamma"} if log else ())
    return replace(history, space={"gamma": "any"}, log_scales=logs, trials=tuple(drawn))


def ticks(axis):
    return {
        label.get_text(): place
        for label, place in zip(axis.get_ticklabels(), axis.get_ticklocs(), strict=True)
    }


def points(axes):
    (line,) = (line for line in axes.get_lines() if line.get_color() == BLUE)
    return list(line.get_xdata())


def test_a_slice_keeps_numbers_on_their_axis_and_sets_words_apart_below_them(history):
    ax = plot_slice(mixed(history, ["scale", 0.1, 0.001, None, 0.01]), "gamma")
    ax.figure.draw_without_rendering()
    places, shown = points(ax), ticks(ax.xaxis)
    assert ax.get_xscale() == "log"
    assert [places[1], places[2], places[4]] == [0.1, 0.001, 0.01]
    assert [places[0], places[3]] == [shown["scale"], shown["None"]]
    assert list(shown) == ["None", "scale", "0.001", "0.01", "0.1"]
    assert list(shown.values()) == sorted(shown.values())
    low, high = ax.get_xlim()
    assert low < shown["None"] < shown["scale"] < 0.001 < 0.1 < high
    assert all(place > 0.001 for place in ax.xaxis.get_minorticklocs())


def test_a_slice_of_words_and_linear_numbers_is_linear(history):
    ax = plot_slice(mixed(history, [None, "log2", "sqrt", 0.2, 0.5, 0.8], log=False), "gamma")
    assert ax.get_xscale() == "linear"
    assert points(ax)[3:] == [0.2, 0.5, 0.8]
    shown = ticks(ax.xaxis)
    assert [shown.pop(word) for word in ("None", "log2", "sqrt")] == points(ax)[:3]
    assert points(ax) == sorted(points(ax))
    assert shown == {"0.2": 0.2, "0.4": 0.4, "0.6": 0.6, "0.8": 0.8}


@pytest.mark.parametrize(
    ("values", "log", "labels"),
    [
        (["scale", 0.008, 0.002], True, ["scale", "0.002", "0.008"]),
        (["scale", 0.3], True, ["scale", "0.3"]),
        (["scale", 1e20], False, ["scale", "1e+20"]),
        ([0.0, 0.1, 0.01], True, ["0", "0.01", "0.1"]),
    ],
    ids=["less than a decade", "one number", "one large number", "no place for 0"],
)
def test_a_slice_of_few_numbers_labels_them_beside_the_words(history, values, log, labels):
    ax = plot_slice(mixed(history, values, log=log), "gamma")
    shown = ticks(ax.xaxis)
    assert list(shown) == labels
    assert list(shown.values()) == sorted(set(points(ax)))


def test_parallel_coordinates_keep_numbers_on_their_axis_and_words_below(history):
    axes = plot_parallel(mixed(history, ["scale", 0.1, 0.001, None, 0.01]))
    paths = [line.get_ydata() for line in axes.get_lines() if line.get_color() != GRID]
    heights = {round(path[1], 9): path[0] for path in paths}
    scale, most, least, none, middle = (heights[value] for value in (0, 0.25, 0.5, 0.75, 1))
    assert none == 0 < scale < least < most == 1
    assert middle == pytest.approx((least + most) / 2)
    marks = {text.get_text(): text.xy[1] for text in axes.texts if text.xy[0] == 0}
    assert marks == {"None": none, "scale": scale, "0.001": least, "0.1": most}


def test_parallel_coordinates_of_numbers_only_or_words_only_fill_their_axis(history):
    axes = plot_parallel(history)
    marks = {(text.xy[0], text.get_text()): text.xy[1] for text in axes.texts}
    assert marks == {
        (0, "0.1"): 1,
        (0, "0.025"): 0,
        (1, "a"): 0,
        (1, "b"): 1,
        (2, "4"): 0.5,
        (3, "0.5"): 0,
        (3, "0.8"): 1,
    }


def test_pruned_trials_end_with_a_cross(history):
    crosses = [line for line in plot_steps(history).get_lines() if line.get_marker() == "x"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in crosses] == [(1, 0.1)]


def test_the_front_joins_what_nothing_beats(history):
    pair = replace(
        history,
        objectives=("accuracy", "latency"),
        trials=(
            trial(0, 0.9, latency=50.0),
            trial(1, 0.8, latency=9.0),
            trial(2, 0.7, latency=20.0),
        ),
    )
    front = lines(plot_front(pair))["none is better in both"]
    assert list(front.get_xdata()) == [9.0, 50.0]


@pytest.mark.parametrize(
    ("objective", "title"),
    [("accuracy", "MLP: accuracy against time"), ("log_loss", "MLP: log loss against time")],
)
def test_the_front_is_called_by_what_was_searched_for(history, objective, title):
    trials = (trial(0, 0.9, latency=50.0), trial(1, 0.8, latency=9.0))
    pair = replace(history, objectives=(objective, "latency"), trials=trials)
    titles = {picture.name: picture.title for picture in draw_studies([pair])}
    assert titles["study-mlp-front"] == title


def test_a_study_is_drawn_under_names_that_are_known_as_figures(history):
    import re

    names = [picture.file_name for picture in draw_studies([history])]
    assert names == [
        "study-mlp-history.svg",
        "study-mlp-importances.svg",
        "study-mlp-steps.svg",
        "study-mlp-parallel.svg",
        "study-mlp-slice-rate.svg",
        "study-mlp-slice-kind.svg",
        "study-mlp-slice-depth.svg",
    ]
    assert all(re.fullmatch(STUDY_FIGURES, name) for name in names)


def test_a_study_of_one_trial_is_drawn_without_what_it_has_no_data_for(history):
    one = replace(history, trials=history.trials[3:4], importances={})
    names = {picture.name for picture in draw_studies([one])}
    assert not names & {"study-mlp-importances", "study-mlp-steps", "study-mlp-front"}
    assert list(draw_studies([replace(history, trials=())])) == []


def test_trials_are_written_one_row_each(history, tmp_path):
    path = write_trials(history, tmp_path)
    assert path.name == "trials-mlp.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows] == [t.state for t in history.trials]
    assert rows[3]["param_depth"] == "4"
    assert rows[1]["reason"] == "pruned at epoch 1"


def test_a_study_as_plain_values_names_its_best_and_its_start(history):
    document = describe_study(history)
    assert (document["best"], document["start"], document["front"]) == (2, 0, [])
    assert document["trials"][0]["steps"] == {"1": 0.4, "2": 0.5}


def result(label, correct, status="finished"):
    given = np.tile([0.9, 0.1], (6, 1))
    given[6 - correct :] = [0.9, 0.1]
    given[: 6 - correct] = [0.1, 0.9]
    done = status == "finished"
    return TrialResult(
        Trial("knn", {}, "KNN", label, seed=0),
        label,
        status,
        error=None if done else "boom",
        predictions=Predictions(given, np.empty((0, 2))) if done else None,
        rounds=({"fit_s": 1.0, "score_s": 0.5}, {"fit_s": 3.0, "score_s": 0.5}) if done else (),
    )


def test_equal_means_share_a_rank_and_the_first_of_them_is_the_best(tmp_path):
    results = [result("a", 3), result("b", 5), result("c", 5), result("d", 0, "failed")]
    table = build_cv_table(
        results,
        [{"k": 1}, {"k": None}, {"k": [1, 2]}, {"k": 4}],
        labels=np.zeros(6, dtype=np.int64),
        folds=[3, 3],
    )
    assert [row.rank for row in table.rows] == [3, 1, 1, 4]
    assert table.best.label == "b"
    assert table.rows[0].scores == (0.0, 1.0)
    with write_cv_table(table, tmp_path / table.file_name).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["param_k"] for row in rows] == ["1", "null", "[1, 2]", "4"]
    assert (rows[0]["mean_fit_time"], rows[0]["std_fit_time"]) == ("2.0", "1.0")
    assert rows[3]["split1_test_score"] == "nan"


def test_a_grid_that_failed_whole_has_no_best():
    table = build_cv_table(
        [result("a", 0, "failed")], [{"k": 1}], labels=np.zeros(6, dtype=np.int64), folds=[3, 3]
    )
    assert table.best is None
