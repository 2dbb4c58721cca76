"""What a study came to: its best, its start, and the trials that none beats."""

import pytest

from tenfold.histories import StudyHistory, StudyTrial


def trial(number, *values, state="finished", log_loss=1.0, is_start=False):
    return StudyTrial(
        number=number,
        state=state,
        drawn={"C": float(number)},
        params={"C": float(number)},
        values=values,
        steps={},
        reason=None,
        scores={"log_loss": log_loss},
        is_start=is_start,
        duration_s=1.0,
    )


def history(*trials, objectives=("accuracy",)):
    return StudyHistory("s", "svm", "SVM", objectives, {}, frozenset(), 9, trials)


def test_the_best_has_the_highest_accuracy_then_the_lower_log_loss_then_comes_first():
    found = history(trial(0, 0.5), trial(1, 0.9, log_loss=0.4), trial(2, 0.9, log_loss=0.3))
    assert found.best.number == 2
    assert history(trial(0, 0.9), trial(1, 0.9)).best.number == 0


def test_the_best_has_the_lowest_log_loss_where_that_is_searched_for():
    assert history(trial(0, 0.5), trial(1, 0.2), objectives=("log_loss",)).best.number == 1


def test_what_did_not_finish_is_never_the_best():
    pruned, failed = trial(0, state="pruned"), trial(1, state="failed")
    assert history(pruned, failed).best is None
    assert history(pruned, trial(2, 0.1)).best.number == 2


def test_the_start_is_the_trial_without_tuning_if_it_finished():
    assert history(trial(0, 0.5), trial(1, 0.6, is_start=True)).start.number == 1
    assert history(trial(0, state="failed", is_start=True)).start is None


def test_the_front_has_what_nothing_beats_in_both():
    found = history(
        trial(0, 0.9, 50.0),
        trial(1, 0.8, 10.0),
        trial(2, 0.8, 20.0),  # slower than 1 and no better
        trial(3, 0.95, 90.0),
        trial(4, 0.95, 90.0),  # the same as 3, and later
        objectives=("accuracy", "latency"),
    )
    assert [one.number for one in found.front] == [3, 0, 1]


@pytest.mark.parametrize(("value", "text"), [(0.123456, "C=0.1235"), ("rbf", "C=rbf"), (3, "C=3")])
def test_labels_are_short(value, text):
    from tenfold.histories import label_of

    assert label_of({"C": value}) == text
