import numpy as np
import pytest

from tenfold.evaluation import holm_adjust, mcnemar_p_value, score, wilson_interval


def accuracy(result, labels):
    return np.mean(result.predictions.test.argmax(axis=1) == labels)


def test_rows_stand_in_grid_order_with_the_scores_of_their_trials(lab):
    results = [lab.finished("A", skill=1, label="x=1"), lab.finished("B", skill=3)]
    board = lab.board(results)
    assert [row.name for row in board.rows] == ["A x=1", "B"]
    for row, result in zip(board.rows, results, strict=True):
        expected = score(
            lab.test_labels, result.predictions.test, class_names=lab.class_names, draws=100
        )
        assert row.scores.intervals() == expected.intervals()
        assert row.key == row.test_key == result.key
        assert (row.fit_s, row.predict_us_per_image, row.model_bytes) == (1.5, 2.5, 1000)
        assert (row.status, row.error, row.fitted_on) == ("finished", None, "train")
        assert (row.repeats, row.accuracy_sd) == (1, None)
    assert (board.n_test, board.n_select) == (120, 40)


def test_validation_is_the_accuracy_on_select_rows(lab):
    result = lab.finished("A", skill=1)
    right = result.predictions.validation.argmax(axis=1) == lab.validation_labels
    hits = right[lab.select].sum()
    assert lab.board([result]).rows[0].validation == wilson_interval(int(hits), 40)


def test_rows_predicted_in_several_rounds_count_once_in_the_interval(lab):
    result = lab.finished("A", skill=1)
    rows = np.arange(80) % 20
    board = lab.board([result], validation_rows=rows, cross_validated=True)
    once, twice = lab.board([result]).rows[0].validation, board.rows[0].validation
    assert twice.value == once.value
    assert twice.high - twice.low > once.high - once.low
    assert board.n_select == 10
    assert board.rows[0].fitted_on == "all development rows"


def test_the_winner_is_compared_with_each_row_by_corrected_mcnemar(lab):
    results = [lab.finished("A", skill=0), lab.finished("B", skill=4), lab.finished("C", skill=1)]
    board = lab.board([*results, lab.failed("D")])
    right = [r.predictions.test.argmax(axis=1) == lab.test_labels for r in results]
    expected = holm_adjust([mcnemar_p_value(right[1], right[i]) for i in (0, 2)])
    assert board.winner.title == "B"
    found = [row.p_vs_winner for row in board.rows]
    assert found == [pytest.approx(expected[0]), None, pytest.approx(expected[1]), None]


def test_test_scores_are_the_refits_and_validation_scores_the_train_fits(lab):
    base = lab.finished("A", skill=1, history=({"loss": 1.0}, {"loss": 0.5}))
    refit = lab.finished("A", skill=4, refit=True, fit_s=9.0, model_bytes=5)
    row = lab.board([base, refit]).rows[0]
    alone = lab.board([base]).rows[0]
    assert row.scores.accuracy.value == accuracy(refit, lab.test_labels)
    assert row.validation == alone.validation
    assert (row.key, row.test_key) == (base.key, refit.key)
    assert (row.fitted_on, row.fit_s, row.model_bytes) == ("train + validation", 9.0, 5)
    assert row.history == base.history


def test_repeats_become_one_row_of_the_first_with_mean_and_spread(lab):
    runs = [lab.finished("A", skill=1, repeat=r, seed=10 + r) for r in range(3)]
    row = lab.board([runs[2], runs[0], runs[1]]).rows[0]
    values = [accuracy(run, lab.test_labels) for run in runs]
    assert row.key == runs[0].key
    assert row.scores.accuracy.value == values[0]
    assert row.seeds == (10, 11, 12)
    assert row.repeats == 3
    assert row.accuracy_mean == pytest.approx(np.mean(values))
    assert row.accuracy_sd == pytest.approx(np.std(values, ddof=1))


def test_validation_is_the_mean_over_repeats_that_the_winner_is_chosen_by(lab):
    runs = [lab.finished("A", skill=1, repeat=r) for r in range(3)]
    refits = [lab.finished("A", skill=4, repeat=0, refit=True)]
    row = lab.board([*runs, *refits, lab.failed("A", repeat=3)]).rows[0]
    right = [run.predictions.validation.argmax(axis=1) == lab.validation_labels for run in runs]
    values = [hits[lab.select].mean() for hits in right]
    assert len(set(values)) > 1
    assert row.validation.value == pytest.approx(np.mean(values))
    assert row.validation_repeats == 3
    # No more images than one fit has seen.
    expected = wilson_interval(40 * np.mean(values), 40)
    assert (row.validation.low, row.validation.high) == pytest.approx((expected.low, expected.high))


def test_spread_is_over_fits_of_one_kind_only(lab):
    runs = [lab.finished("A", skill=1, repeat=r) for r in range(3)]
    refits = [lab.finished("A", skill=4, repeat=r, refit=True) for r in range(2)]
    row = lab.board([*runs, *refits]).rows[0]
    assert row.repeats == 2
    assert row.accuracy_mean == pytest.approx(
        np.mean([accuracy(run, lab.test_labels) for run in refits])
    )


def test_a_failed_trial_is_a_row_without_scores(lab):
    board = lab.board([lab.failed("A", error="boom"), lab.finished("B", skill=2)])
    row = board.rows[0]
    assert (row.status, row.error, row.scores, row.validation) == ("failed", "boom", None, None)
    assert (row.repeats, row.accuracy_mean, row.p_vs_winner) == (0, None, None)
    assert row.validation_repeats == 0
    assert board.ranked[-1] is row


@pytest.mark.parametrize("failing", ["repeat", "refit"])
def test_a_row_of_which_a_part_failed_says_so(lab, failing):
    part = lab.failed("A", repeat=1 if failing == "repeat" else 0, refit=failing == "refit")
    row = lab.board([lab.finished("A", skill=2), part]).rows[0]
    assert (row.status, row.error, row.fitted_on) == ("partly failed", part.error, "train")
    assert row.scores is not None


def test_a_recipe_whose_train_fit_failed_but_whose_refit_is_left_is_failed(lab):
    row = lab.board([lab.failed("A"), lab.failed("A", refit=True, error="again")]).rows[0]
    assert (row.status, row.error) == ("failed", "ValueError: too wide; again")


def test_without_any_finished_trial_there_is_a_board_without_winner(lab):
    board = lab.board([lab.failed("A"), lab.failed("B")])
    assert board.winner is None
    assert [row.status for row in board.ranked] == ["failed", "failed"]


@pytest.mark.parametrize("rank_by", ["accuracy", "log_loss"])
def test_ranked_begins_with_the_best_of_the_score_asked_for(lab, rank_by):
    results = [
        lab.finished(name, skill=skill) for name, skill in zip("ABC", (1, 3, 2), strict=True)
    ]
    board = lab.board([*results, lab.failed("D")], rank_by=rank_by)
    assert [row.title for row in board.ranked] == ["B", "C", "A", "D"]


def test_the_winner_stands_before_its_equals(lab):
    results = [
        lab.finished("A", skill=30),
        lab.finished("B", skill=30),
        lab.finished("C", skill=40),
    ]
    board = lab.board(results)
    assert board.ranked[0] is board.winner
