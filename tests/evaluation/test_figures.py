from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from tenfold.evaluation import Inside, draw_figures, draw_row, save_figures
from tenfold.evaluation.content import list_shown
from tenfold.records import Views

HISTORY = ({"train_loss": 2.0, "validation_accuracy": 0.5}, {"train_loss": 1.0})


def names(pictures):
    return [picture.file_name for picture in pictures]


def test_many_classes_get_every_figure_but_the_curves(lab):
    results = [lab.finished("Net", skill=1, history=HISTORY), lab.finished("KNN", skill=0)]
    found = draw_figures(lab.report(results))
    assert names(found) == [
        "accuracy.svg",
        "accuracy-against-time.svg",
        "confusion.svg",
        "reliability.svg",
        "learning-loss.svg",
        "learning-accuracy.svg",
        "class-balance.svg",
        "samples.png",
        "predictions.png",
        "mistakes.png",
    ]
    assert all(picture.alt and picture.title for picture in found)


def test_two_classes_get_curves(two_class_lab):
    found = draw_figures(two_class_lab.report([two_class_lab.finished("A", skill=1)]))
    assert {"precision-recall.svg", "roc.svg"} <= set(names(found))
    (roc,) = [picture for picture in found if picture.name == "roc"]
    assert roc.title == "ROC curve of 5"


def test_a_flawless_winner_has_no_sheet_of_mistakes(lab):
    found = draw_figures(lab.report([lab.finished("A", skill=40)]))
    assert "mistakes.png" not in names(found)


def test_without_a_winner_only_the_data_is_drawn(lab):
    report = lab.report(
        [lab.failed("A")],
        test_images=None,
        test_labels=None,
        sample_images=lab.test_images[:0],
        sample_labels=lab.test_labels[:0],
    )
    assert names(draw_figures(report)) == ["class-balance.svg"]


def test_without_counts_and_samples_nothing_is_left(lab):
    report = lab.report([lab.failed("A")], class_counts=[], sample_images=None)
    assert draw_figures(report) == ()


def test_figures_are_saved_under_their_names(lab, tmp_path):
    found = draw_figures(lab.report([lab.finished("A", skill=1)]))
    paths = save_figures(found, tmp_path / "figures")
    assert [path.name for path in paths] == names(found)
    for path in paths:
        if path.suffix == ".svg":
            ET.parse(path)
        else:
            assert path.read_bytes().startswith(b"\x89PNG")


def test_figures_of_an_earlier_run_go_and_other_files_stay(lab, tmp_path):
    flawed = lab.finished("ViT", skill=1)
    report = lab.report([flawed], insides={flawed.key: make_inside(lab)})
    (tmp_path / "my-own.png").touch()
    before = set(save_figures(draw_figures(report), tmp_path))
    now = save_figures(draw_figures(lab.report([lab.finished("A", skill=40)])), tmp_path)
    gone = {path.name for path in before - set(now)}
    assert gone == {"filters-vit.svg", "attention-vit.svg", "mistakes.png"}
    assert set(tmp_path.iterdir()) == {*now, tmp_path / "my-own.png"}


def test_no_figure_has_a_name_that_would_stay(lab, two_class_lab, tmp_path):
    winner = lab.finished("ViT", skill=1, history=HISTORY)
    two = two_class_lab.report([two_class_lab.finished("A", skill=1)])
    insides = {winner.key: make_inside(lab)}
    for report in (lab.report([winner], insides=insides), two):
        save_figures(draw_figures(report), tmp_path)
        assert list(tmp_path.iterdir())
        save_figures((), tmp_path)
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("history", [(), HISTORY])
def test_a_row_has_figures_of_its_own(lab, history):
    report = lab.report([lab.finished("A", skill=1, history=history), lab.failed("B")])
    finished, failed = report.leaderboard.rows
    expected = ["confusion.svg"]
    if history:
        expected += ["learning-loss.svg", "learning-accuracy.svg"]
    assert names(draw_row(finished, report)) == expected
    predicted = report.test_probabilities
    assert names(draw_row(finished, report, predicted)) == [*expected, "predictions.png"]
    assert draw_row(failed, report, predicted) == ()


def test_mistakes_of_one_class_alone_draw_no_curves(two_class_lab):
    two_class_lab.test_labels = np.zeros(120, dtype=int)
    found = draw_figures(two_class_lab.report([two_class_lab.finished("A", skill=1)]))
    assert "roc.svg" not in names(found)


def make_inside(lab, *, filters=True, attention=True):
    rows = np.arange(3)
    views = Views(
        rows,
        np.linspace(-1, 1, 5 * 9).reshape(5, 3, 3) if filters else None,
        n_filters=5 if filters else 0,
        attention=np.full((3, 2, 1, 2), 0.5) if attention else None,
        rollout=np.full((3, 1, 2), 0.5) if attention else None,
        patch_size=2 if attention else 0,
    )
    return Inside(views, lab.test_images[rows], lab.test_labels[rows])


def test_the_best_network_of_each_model_shows_what_is_inside(lab):
    results = [
        lab.finished("Net", skill=1, label="poor"),
        lab.finished("Net", skill=3, label="good"),
        lab.finished("ViT 2", skill=2),
        lab.finished("KNN", skill=2),
    ]
    inside, look = make_inside(lab, attention=False), make_inside(lab)
    insides = {results[0].key: inside, results[1].key: inside, results[2].key: look}
    found = draw_figures(lab.report(results, insides=insides))
    shown = [picture for picture in found if picture.name.startswith(("filters", "attention"))]
    assert [picture.name for picture in shown] == [
        "filters-net",
        "filters-vit-2",
        "attention-vit-2",
    ]
    assert "good" in shown[0].title
    assert "5 filters of 3 × 3 pixels" in shown[0].alt
    assert "2 heads" in shown[2].alt


def test_what_a_row_has_inside_is_among_its_figures(lab):
    result = lab.finished("ViT", skill=1)
    report = lab.report([result], insides={result.key: make_inside(lab, filters=False)})
    assert names(draw_row(report.leaderboard.rows[0], report)) == ["confusion.svg", "attention.svg"]


def test_filters_left_out_are_counted(lab):
    result = lab.finished("Net", skill=1)
    inside = make_inside(lab, attention=False)
    inside = replace(inside, views=replace(inside.views, n_filters=512))
    report = lab.report([result], insides={result.key: inside})
    (picture,) = draw_row(report.leaderboard.rows[0], report)[1:]
    assert picture.title == "First-layer filters of Net (5 of 512)"


def test_the_winner_learns_on_the_chart_even_where_six_others_test_better(lab):
    results = [lab.finished(f"Net {i}", skill=0.5 + 0.3 * i, history=HISTORY) for i in range(8)]
    report = lab.report(results)
    report = replace(report, leaderboard=replace(report.leaderboard, winner_key=results[0].key))
    loss = next(p for p in draw_figures(report) if p.name == "learning-loss")
    assert loss.alt.startswith("Loss of Net 0, ")
    assert loss.alt.count("Net") == 6


def test_the_chart_of_accuracies_names_the_highest_whatever_the_board_is_ranked_by(lab):
    results = [lab.finished("A", skill=1), lab.finished("B", skill=3)]
    report = lab.report(results)
    board = replace(report.leaderboard, rank_by="log_loss")
    a, b = board.rows
    sure = replace(a.scores, log_loss=replace(a.scores.log_loss, value=0.0))
    board = replace(board, rows=(replace(a, scores=sure), b))
    assert [row.name for row in board.ranked] == ["A", "B"]
    alt = draw_figures(replace(report, leaderboard=board))[0].alt
    assert alt == (
        "Test accuracy of 2 models with 95 % intervals; the highest is B with "
        f"{100 * b.scores.accuracy.value:.2f} %"
    )


def test_the_chart_of_accuracies_says_that_rows_are_left_out(lab):
    report = lab.report([lab.finished(f"Model {i}", skill=i / 10) for i in range(45)])
    assert draw_figures(report)[0].alt.startswith("Test accuracy of the best 40 of 45 models")


def test_networks_of_one_name_keep_their_curves(lab):
    first, second = (lab.finished("Net", skill=i + 1, history=HISTORY) for i in range(2))
    second = replace(second, trial=replace(second.trial, model="other:Net"), key="other")
    loss = next(p for p in draw_figures(lab.report([first, second])) if p.name == "learning-loss")
    assert loss.alt == "Loss of Net, Net while learning"


def test_a_sheet_of_samples_says_which_classes_it_shows(make_lab):
    lab = make_lab([f"c{i}" for i in range(100)])
    rows = np.arange(80)
    report = lab.report([lab.failed("A")], sample_labels=rows, sample_images=lab.test_images[rows])
    (sheet,) = (picture for picture in draw_figures(report) if picture.name == "samples")
    assert sheet.alt == "Images of 80 of the 100 classes"


def test_a_sheet_says_how_many_predictions_are_wrong(lab):
    report = lab.report([lab.finished("A", skill=1)])
    sheet = next(p for p in draw_figures(report) if p.name == "predictions")
    shown = list_shown(*report.predicted)
    wrong = sum(not verdict.is_right for verdict in shown)
    assert len(shown) == 39
    assert f"39 test images, their classes and what A took them for; the {wrong} wrong" in sheet.alt
    flawless = lab.report([lab.finished("A", skill=40)])
    sheet = next(p for p in draw_figures(flawless) if p.name == "predictions")
    assert sheet.alt.endswith("all of them are right")
