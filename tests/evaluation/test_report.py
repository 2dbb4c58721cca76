import re
import time
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from tenfold.evaluation import Inside, draw_figures, render
from tenfold.evaluation.content import TARGETS, choose_thresholds, list_shown
from tenfold.records import Views

from .conftest import contrast, list_schemes

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Collects what tests ask about, and proves that elements close in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found, self.text = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in {"style", "script"}:
            self.text.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.found if name == tag]

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


def read(report):
    """Return the words of a page without charts."""
    return Page(render(report, figures=())).words


@pytest.fixture
def results(lab):
    history = tuple({"train_loss": 1 / e, "validation_loss": 2 / e} for e in range(1, 4))
    return [
        lab.finished("KNN", skill=1, label="n_neighbors=3"),
        lab.finished("Net", skill=2.5, label="epochs=3", history=history),
        lab.failed("SVM", error="TrialTimeoutError: longer than 5 s"),
    ]


def test_the_page_says_who_won_on_what_and_how_sure_that_is(lab, results):
    report = lab.report(results)
    words = read(report)
    winner = report.leaderboard.winner
    accuracy = winner.scores.accuracy
    assert "Net epochs=3" in words
    assert f"{100 * accuracy.low:.2f} % to {100 * accuracy.high:.2f} %" in words
    assert "chosen by its accuracy on 40 validation images" in words
    assert "The interval covers the sampling of the test images" in words
    assert "TrialTimeoutError: longer than 5 s" in words
    for text in ("blank images", "name: pets", "0123abcd", "Recorded", "yes", "a, b", "1,200"):
        assert text in words, text


def test_the_page_loads_nothing_from_elsewhere(lab, results):
    text = render(lab.report(results))
    page = Page(text)
    assert not page.all("link")
    assert not page.all("iframe")
    assert all("src" not in attrs for attrs in page.all("script"))
    assert all(attrs["src"].startswith("data:image/png") for attrs in page.all("img"))
    assert all(attrs["href"].startswith("#") for attrs in page.all("a"))
    policy = next(a["content"] for a in page.all("meta") if "http-equiv" in a)
    assert "default-src 'none'" in policy
    assert not re.search(r"url\((?!#)", text)


def test_the_script_is_the_one_that_the_policy_allows(lab, results):
    import base64
    import hashlib

    text = render(lab.report(results))
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text


def test_everything_a_user_names_is_escaped(make_lab):
    evil = "<script>alert('x')</script>"
    lab = make_lab([f"{evil}{i}" for i in range(3)])
    results = [
        lab.finished(f"A{evil}", skill=1, label=evil, history=({"loss": 1.0}, {"loss": 0.5})),
        lab.failed(f"B{evil}", error=evil),
    ]
    report = lab.report(
        results,
        name=evil,
        description=evil,
        split=evil,
        fingerprint=evil,
        config_yaml=f"name: {evil}",
        dataset={evil: evil},
        environment={evil: evil},
        warnings=[evil],
        audit_rows=[(evil, 1, evil)],
        created=evil,
    )
    page = Page(render(report))
    assert len(page.all("script")) == 1
    assert page.words.count("<script>alert('x')</script>") > 12


def test_images_and_charts_have_alternative_texts_and_tables_headers(lab, results):
    page = Page(render(lab.report(results)))
    assert all(attrs["alt"] for attrs in page.all("img"))
    charts = [attrs for tag, attrs in page.found if attrs.get("role") == "img"]
    assert len(charts) >= 5
    assert all(attrs["aria-label"] for attrs in charts)
    assert all(attrs["scope"] in {"col", "row"} for attrs in page.all("th"))
    ids = [attrs["id"] for _, attrs in page.found if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert page.all("html")[0]["lang"] == "en"


def test_the_leaderboard_is_complete_without_javascript(lab, results):
    page = Page(render(lab.report(results), figures=()))
    assert not page.all("button")
    for name in ("n_neighbors=3", "epochs=3", "SVM"):
        assert name in page.words


def test_warnings_are_shown_only_when_there_are_any(lab, results):
    assert "Know before you quote" not in read(lab.report(results))
    assert "3 are copies." in read(lab.report(results, warnings=["3 are copies."]))


def test_a_row_that_beats_the_winner_on_the_test_is_pointed_out(lab):
    from tenfold.records import Predictions

    good, poor = lab.finished("Good", skill=2.5), lab.finished("Poor", skill=1)
    lucky = replace(
        poor,
        predictions=Predictions(poor.predictions.validation, np.eye(3)[lab.test_labels]),
    )
    words = read(lab.report([good, lucky]))
    assert "1 other row does better by accuracy on the test images" in words
    assert "the choice stands" in words
    assert "better by accuracy" not in read(lab.report([good, poor]))
    report = lab.report([good, lucky])
    by_loss = replace(report.leaderboard, rank_by="log_loss")
    words = read(replace(report, leaderboard=by_loss))
    assert "1 other row does better by log loss on the test images" in words


def test_repeats_and_refits_are_explained(lab):
    results = [lab.finished("Net", skill=3, repeat=r) for r in range(3)]
    words = read(lab.report(results))
    assert "over 3 trainings with other seeds the accuracy is" in words
    validation = lab.board(results).winner.validation.value
    assert (
        "chosen by its mean accuracy over 3 trainings on 40 validation images "
        f"({100 * validation:.2f} %)"
    ) in words
    assert "Validation mean accuracy" in words
    assert "Validation accuracy" in read(lab.report(results[:1]))
    mixed = [*results, lab.finished("Net", skill=3, refit=True), lab.finished("KNN", skill=1)]
    assert "Not every row was fitted on the same images" in read(lab.report(mixed))


def test_cross_validation_is_told_from_hold_out(lab, results):
    report = lab.report(results)
    report = replace(report, leaderboard=replace(report.leaderboard, cross_validated=True))
    assert "each predicted by fits that had not seen it" in read(report)


def test_predictions_are_shown_with_their_probability_and_wrong_ones_marked(lab):
    report = lab.report([lab.finished("A", skill=1)])
    page = Page(render(report, figures=()))
    shown = list_shown(*report.predicted)
    wrong = [verdict for verdict in shown if not verdict.is_right]
    assert 0 < len(wrong) < len(shown)
    mistakes = min(30, sum(np.argmax(report.test_probabilities, 1) != report.test_labels))
    marked = [attrs for attrs in page.all("li") if attrs.get("class") == "wrong"]
    assert len(marked) == len(wrong) + mistakes
    alts = [attrs["alt"] for attrs in page.all("img")]
    names = lab.class_names
    for found in shown:
        rightly = "rightly " if found.is_right else ""
        alt = f"Test image {found.index}, truly {names[found.true]}, "
        assert alt + f"{rightly}taken for {names[found.predicted]}" in alts
    assert f"{100 * shown[0].probability:.1f} %" in page.words


def test_of_many_classes_the_page_says_how_many_it_shows(lab, make_lab):
    report = lab.report([lab.finished("A", skill=1)])
    assert "The first test images of every class" in read(report)
    assert "Development images of every class." in read(report)
    many = make_lab([f"c{i}" for i in range(100)])
    rows = np.arange(90)
    words = read(
        many.report(
            [many.finished("A", skill=3)],
            sample_labels=rows,
            sample_images=many.test_images[rows],
        )
    )
    assert "The first test images of 40 of the 100 classes" in words
    assert "Development images of 80 of the 100 classes." in words


@pytest.mark.parametrize("scheme", [0, 1])
@pytest.mark.parametrize("rule", ["error", "said"])
def test_what_went_wrong_can_be_read_wherever_it_stands(lab, results, scheme, rule):
    (name,) = re.findall(
        rf"^\.{rule} \{{ color: var\(--([\w-]+)\)", render(lab.report(results)), re.MULTILINE
    )
    colours = list_schemes()[scheme]
    for ground in ("surface", "page", "win", "warn"):
        assert contrast(colours[name], colours[ground]) >= 4.5, ground


def test_what_networks_show_of_themselves_has_a_section_that_explains_it(lab):
    results = [lab.finished("Net", skill=1), lab.finished("ViT", skill=2)]
    rows = np.arange(2)
    maps = np.array([[[[0.75, 0.25]]], [[[0.25, 0.75]]]])
    filters = Views(rows, np.ones((4, 3, 3)), n_filters=4)
    attention = Views(rows, attention=maps, rollout=maps[:, 0], patch_size=2)
    images, labels = lab.test_images[:2], lab.test_labels[:2]
    insides = {
        results[0].key: Inside(filters, images, labels),
        results[1].key: Inside(attention, images, labels),
    }
    page = Page(render(lab.report(results, insides=insides)))
    assert {"href": "#networks"} in page.all("a")
    for text in ("First-layer filters of Net", "Attention of ViT", "Abnar and Zuidema"):
        assert text in page.words
    only = Page(render(lab.report(results, insides={results[0].key: insides[results[0].key]})))
    assert "Abnar" not in only.words
    assert "Inside the networks" not in read(lab.report(results))


def test_without_a_winner_the_page_says_so(lab):
    words = read(lab.report([lab.failed("A", error="boom")], test_labels=None))
    assert "None of the 1 trials finished" in words
    assert "boom" in words


def test_a_flawless_winner_has_no_mistakes_to_show(lab):
    words = read(lab.report([lab.finished("A", skill=40)]))
    assert "None: every test image was classified rightly." in words


def test_figures_drawn_before_are_not_drawn_again(lab, results):
    report = lab.report(results)
    assert render(report, figures=draw_figures(report)) == render(report)
    assert 'role="img"' not in render(report, figures=())


def test_a_report_without_pictures_and_checks_is_whole(lab, results):
    report = lab.report(
        results, sample_images=None, test_images=None, audit_rows=(), description=""
    )
    page = Page(render(report))
    assert not page.all("img")
    assert "Data check" not in page.words


def test_a_binary_task_gets_thresholds_chosen_on_validation(two_class_lab):
    lab = two_class_lab
    results = [lab.finished("A", skill=2)]
    report = lab.report(
        results,
        calibrate_labels=lab.validation_labels[~lab.select],
        calibrate_probabilities=results[0].predictions.validation[~lab.select],
    )
    chosen = choose_thresholds(report)
    assert tuple((c.target, c.wanted) for c in chosen) == TARGETS
    for found in chosen:
        assert getattr(found.validation, found.target).value >= found.wanted
        assert found.validation.threshold == found.test.threshold
    words = read(report)
    assert "Thresholds for a wanted precision or recall of 5" in words
    assert "precision ≥ 90 %" in words


def test_an_image_of_every_repeat_counts_once_in_the_intervals_of_thresholds(two_class_lab):
    lab = two_class_lab
    results = [lab.finished("A", skill=2)]
    rows = lab.validation_labels, results[0].predictions.validation

    def chosen(repeats):
        labels, given = (np.concatenate([array] * repeats) for array in rows)
        more = {"calibrate_labels": labels, "calibrate_probabilities": given}
        found = choose_thresholds(lab.report(results, calibrate_repeats=repeats, **more))
        return [(point.validation.precision, point.validation.recall) for point in found]

    once, thrice = chosen(1), chosen(3)
    for one, three in zip(once, thrice, strict=True):
        for a, b in zip(one, three, strict=True):
            assert (a.low, a.value, a.high) == pytest.approx((b.low, b.value, b.high))


def test_the_intervals_are_explained_truly_for_grouped_test_images(lab, results):
    assert "another test set of the same size from the same source" in read(lab.report(results))
    words = read(lab.report(results, test_groups=12))
    assert "another test set of the same size" not in words
    assert "come in 12 groups instead: scores on other groups would lie further apart" in words


def test_a_precision_out_of_reach_is_told(two_class_lab):
    lab = two_class_lab
    backwards = np.tile([0.5, 0.5], (80, 1))
    report = lab.report(
        [lab.finished("A", skill=2)],
        calibrate_labels=lab.validation_labels,
        calibrate_probabilities=backwards,
    )
    assert "out of reach on validation" in read(report)


def test_thresholds_need_two_classes_and_calibrate_rows(lab, two_class_lab):
    assert choose_thresholds(lab.report([lab.finished("A", skill=1)])) == ()
    assert choose_thresholds(two_class_lab.report([two_class_lab.finished("A", skill=1)])) == ()


def test_eighteen_rows_are_rendered_quickly_and_small(lab):
    history = tuple({"train_loss": 1 / e, "validation_loss": 2 / e} for e in range(1, 16))
    results = [
        lab.finished(f"Model {i}", skill=0.2 * i, label=f"p={i}", history=history)
        for i in range(18)
    ]
    report = lab.report(results)
    started = time.process_time()
    text = render(report)
    assert time.process_time() - started < 6
    assert len(text.encode()) < 1_000_000


def test_learning_without_validation_rows_says_why_there_is_one_curve(lab, results):
    report = lab.report(results)
    page = Page(render(report))
    assert "What the fits on the training images reported" in page.words
    board = replace(report.leaderboard, cross_validated=True)
    words = Page(render(replace(report, leaderboard=board))).words
    assert "all development images, which leave none to validate on" in words
