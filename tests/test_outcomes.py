"""What is kept of estimators that were ready together: the time of each is never understated."""

import time

import numpy as np
import pytest

from tenfold.config import DatasetConfig
from tenfold.errors import ModelInputError
from tenfold.fitting import open_split
from tenfold.outcomes import Fitted, outcomes_of, scores_of_each


class Slow:
    """Needs two seconds to predict, however many of its kind do it together."""

    classes_ = np.arange(9)  # the fit saw no ninth class

    def __init__(self, clock):
        self.clock = clock

    @classmethod
    def predict_proba_each(cls, estimators, X):
        estimators[0].clock[0] += 2.0
        return [np.full((len(X), 9), 1 / 9) for _ in estimators]

    def predict_proba(self, X):
        return self.predict_proba_each([self], X)[0]


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


@pytest.mark.parametrize("count", [1, 3])
def test_each_is_said_to_need_what_all_needed_together(clock, count):
    _, split = open_split(DatasetConfig(source="digits", max_images=300, cv_below=0), None)
    fits = [Fitted(Slow(clock), 1.0, split.train, ["a"]) for _ in range(count)]
    for outcome in outcomes_of(fits, split):
        n_test = len(split.test.images)
        assert outcome.record["predict_us_per_image"] == pytest.approx(2e6 / n_test)
        assert outcome.predictions.test.shape == (n_test, 10)
        assert not outcome.predictions.test[:, 9].any()
        assert "own estimator" in outcome.record["export_error"]
        clock[0] += 100  # what is done with one is not the next one's time


def test_an_estimator_that_says_nothing_of_its_classes_is_refused():
    with pytest.raises(ModelInputError, match="object has neither predict_proba nor"):
        scores_of_each([object()], np.zeros((1, 4), dtype=np.uint8), 2)
