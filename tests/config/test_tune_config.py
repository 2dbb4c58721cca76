"""The schema of a tuning: what may be written, and one clear line for what may not."""

import pytest

from tenfold.config import parse_config
from tenfold.errors import ConfigError


def problems(model, **tune):
    with pytest.raises(ConfigError) as caught:
        parse_config({"models": [model], "tune": tune or None})
    return caught.value.problems


def test_a_space_takes_lists_ranges_and_null():
    entry = {"model": "svm", "space": {"C": {"high": 5}, "kernel": ["rbf", "poly"], "gamma": None}}
    space = parse_config({"models": [entry]}).models[0].space
    assert space["C"].high == 5
    assert space["C"].is_range
    assert space["kernel"].values == ("rbf", "poly")
    assert space["gamma"] is None


@pytest.mark.parametrize(
    ("space", "line"),
    [
        ({"CC": [1]}, "models.0.space.CC: is no parameter. Did you mean 'C'?"),
        ({"gamma": []}, "models.0.space.gamma.values: is empty"),
        ({"degree": {"low": 0}}, "models.0.space.degree.low: got 0; must be greater than or equal"),
        ({"kernel": ["rbg"]}, "models.0.space.kernel.values.0: got 'rbg'"),
        ({"C": 5}, "models.0.space.C: got 5; must be a list of values, a range such as {low: 0.1"),
        ({"C": {"lo": 5}}, "models.0.space.C.lo: is no known key. Did you mean 'low'?"),
        ({"C": {"values": [1], "low": 1}}, "models.0.space.C: "),
        (
            {"degree": {"values": [2], "when": {"kernl": ["poly"]}}},
            "models.0.space.degree.when.kernl: is no other parameter. Did you mean 'kernel'?",
        ),
        (
            {"degree": {"values": [2], "when": {"kernel": ["ploy"]}}},
            "models.0.space.degree.when.kernel.0: got 'ploy'",
        ),
        (
            {"degree": {"values": [2], "when": {"kernel": []}}},
            "models.0.space.degree.when.kernel: is empty; give at least one value",
        ),
    ],
)
def test_a_wrong_space_is_told_in_one_line(space, line):
    (problem,) = problems({"model": "svm", "space": space})
    assert problem.startswith(f"configuration: {line}")


def test_a_parameter_is_fixed_or_searched_but_not_both():
    (problem,) = problems({"model": "svm", "params": {"C": 1}, "space": {"C": [1, 2]}})
    assert problem.endswith("models.0.space.C: is in 'params' too; keep one of the two")


@pytest.mark.parametrize(
    ("tune", "line"),
    [
        ({"n_trial": 3}, "tune.n_trial: is no known key. Did you mean 'n_trials'?"),
        ({"n_trials": 0}, "tune.n_trials: got 0"),
        ({"n_jobs": 0}, "tune: "),
        ({"objectives": ["latency"]}, "tune: "),
        ({"objectives": ["latency", "accuracy"]}, "tune: "),
        ({"objectives": ["accuracy", "log_loss"]}, "tune: "),
        ({"pruner": "asha2"}, "tune.pruner: got 'asha2'"),
    ],
)
def test_wrong_settings_are_told_in_one_line(tune, line):
    (problem,) = problems("svm", **tune)
    assert problem.startswith(f"configuration: {line}")
