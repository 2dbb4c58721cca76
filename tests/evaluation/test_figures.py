from xml.etree import ElementTree as ET

import numpy as np
import pytest

from tenfold.evaluation import draw_figures, save_figures
from tenfold.evaluation.figures import draw_row

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


@pytest.mark.parametrize("history", [(), HISTORY])
def test_a_row_has_figures_of_its_own(lab, history):
    board = lab.board([lab.finished("A", skill=1, history=history), lab.failed("B")])
    finished, failed = board.rows
    expected = ["confusion.svg"]
    if history:
        expected += ["learning-loss.svg", "learning-accuracy.svg"]
    assert names(draw_row(finished, lab.class_names)) == expected
    assert draw_row(failed, lab.class_names) == ()


def test_mistakes_of_one_class_alone_draw_no_curves(two_class_lab):
    two_class_lab.test_labels = np.zeros(120, dtype=int)
    found = draw_figures(two_class_lab.report([two_class_lab.finished("A", skill=1)]))
    assert "roc.svg" not in names(found)
