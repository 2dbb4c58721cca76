from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss, roc_auc_score

from tenfold.errors import ScoreInputError
from tenfold.evaluation import RANKINGS, accuracy_of, choose_best_of_each, choose_winner
from tenfold.evaluation.probabilities import check_scored
from tenfold.records import Predictions


def choose(lab, results, **kwargs):
    return choose_winner(results, lab.validation_labels, lab.select, **kwargs)


def with_validation(result, probabilities):
    return replace(result, predictions=Predictions(probabilities, result.predictions.test))


def test_the_best_on_select_wins_whatever_the_test_says(lab):
    good, poor = lab.finished("Good", skill=4), lab.finished("Poor", skill=0.5)
    flipped = replace(
        poor, predictions=Predictions(poor.predictions.validation, good.predictions.test)
    )
    assert choose(lab, [flipped, good]) == good.key


def test_only_select_rows_count(lab):
    flawless = np.eye(3)[lab.validation_labels]
    wrong = np.roll(flawless, 1, axis=1)
    select = lab.select[:, None]
    one = with_validation(lab.finished("One", skill=1), np.where(select, flawless, wrong))
    other = with_validation(lab.finished("Other", skill=1), np.where(select, wrong, flawless))
    assert choose(lab, [other, one]) == one.key


def test_at_a_tie_the_lower_log_loss_wins_then_the_earlier(lab):
    flawless = np.eye(3)[lab.validation_labels]
    sure = with_validation(lab.finished("Sure", skill=1), flawless)
    twin = with_validation(lab.finished("Twin", skill=1), flawless)
    unsure = with_validation(lab.finished("Unsure", skill=1), 0.7 * flawless + 0.1)
    assert choose(lab, [unsure, sure, twin]) == sure.key
    assert choose(lab, [unsure, twin, sure]) == twin.key


def test_repeats_are_averaged_so_that_a_lucky_seed_does_not_win(lab):
    steady = [lab.finished("Steady", skill=3, repeat=r) for r in range(2)]
    lucky = [lab.finished("Lucky", skill=skill, repeat=r) for r, skill in enumerate((6, 0))]
    assert choose(lab, [*lucky, *steady]) == steady[0].key


def test_refits_and_failures_take_no_part(lab):
    base = lab.finished("Net", skill=3)
    refit = lab.finished("Net", skill=3, refit=True)
    failed = lab.failed("Net", repeat=0, label="wide")
    assert choose(lab, [failed, refit, base]) == base.key
    assert choose(lab, [failed]) is None
    assert choose(lab, []) is None


def test_the_key_is_the_first_finished_repeats(lab):
    runs = [lab.failed("Net", repeat=0), lab.finished("Net", skill=3, repeat=1)]
    assert choose(lab, runs) == runs[1].key


@pytest.mark.parametrize("name", RANKINGS)
def test_every_ranking_is_the_known_score_with_higher_better(lab, name):
    result = lab.finished("Net", skill=1.5)
    known, given = check_scored(lab.validation_labels, result.predictions.validation, n_classes=3)
    guess = given.argmax(axis=1)
    expected = {
        "accuracy": np.mean(guess == known),
        "f1_macro": f1_score(known, guess, average="macro"),
        "f1_weighted": f1_score(known, guess, average="weighted"),
        "roc_auc": roc_auc_score(known, given, multi_class="ovr"),
        "log_loss": -log_loss(known, given),
    }
    assert RANKINGS[name](known, given) == pytest.approx(expected[name])
    worse = lab.finished("Worse", skill=0)
    assert choose(lab, [worse, result], rank_by=name) == result.key


def test_one_class_alone_can_still_be_ranked_by_auc():
    assert RANKINGS["roc_auc"](np.zeros(4, dtype=int), np.full((4, 2), 0.5)) == 0.0


def test_an_unknown_ranking_is_refused_with_the_nearest(lab):
    with pytest.raises(ScoreInputError, match="Did you mean 'accuracy'"):
        choose(lab, [], rank_by="acuracy")


def test_accuracy_takes_the_first_of_a_tie():
    assert accuracy_of([0, 1], np.array([[0.5, 0.5], [0.5, 0.5]])) == 0.5


def test_the_best_of_each_model_is_chosen_as_the_winner_is(lab):
    def of_model(model, title, skill):
        result = lab.finished(title, skill=skill)
        trial = replace(result.trial, model=model, params={"skill": skill})
        return replace(result, trial=trial)

    poor, good = of_model("knn", "Poor", 0.5), of_model("knn", "Good", 4)
    other, failed = of_model("svm", "Other", 1), lab.failed("Failed")
    results = [poor, good, other, failed]
    best = choose_best_of_each(results, lab.validation_labels, lab.select)
    assert best == {"knn": good.key, "svm": other.key}
    assert choose(lab, results) == good.key
