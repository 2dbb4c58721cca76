"""The schema of a tuning: what may be written, and one clear line for what may not."""

import json
from datetime import date

import pytest

from tenfold.config import dump_config, load_config, parse_config
from tenfold.errors import ConfigError

CIRCULAR = []
CIRCULAR.append(CIRCULAR)


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


@pytest.mark.parametrize(
    ("space", "line"),
    [
        ({"gamma": []}, "models.0.space.gamma.values: is empty; give at least one value"),
        (
            {"degree": {"values": [2], "when": {"kernel": []}}},
            "models.0.space.degree.when.kernel: is empty; give at least one value",
        ),
        (
            {"degree": {"values": [2], "when": {"degree": [2]}}},
            "models.0.space.degree.when.degree: is no other parameter; name the one that this",
        ),
        (
            {"gamma": [date(2024, 1, 1), 1]},
            "models.0.space.gamma.values.0: got datetime.date(2024, 1, 1); must be a plain JSON",
        ),
        (
            {"gamma": [CIRCULAR]},
            "models.0.space.gamma.values.0: got [[...]]; must be a plain JSON value: Circular",
        ),
    ],
)
def test_of_an_own_estimators_space_too_what_is_empty_is_told(space, line):
    (problem,) = problems({"model": "mine:Own", "space": space})
    assert problem.startswith(f"configuration: {line}")


@pytest.mark.parametrize("text", ["1", "1.0", "0.0", "-3", "1e5", "2.5e-05", "100000000000000000"])
def test_the_ends_of_a_range_stay_as_they_are_written(text, tmp_path):
    (tmp_path / "own.yaml").write_text(
        f"models:\n- model: mine:Own\n  space: {{alpha: {{low: {text}, high: 1.0e+20}}}}\n"
    )
    written = load_config(tmp_path / "own.yaml")
    given = f"models.0.space.alpha={{low: {text}, high: 1.0e+20}}"
    dumped = tmp_path / "again.yaml"
    dumped.write_text(dump_config(written))
    for config in (
        written,
        parse_config({"models": ["mine:Own"]}, overrides=[given]),
        parse_config(written.model_dump()),
        parse_config(written.model_dump(mode="json")),
        parse_config(json.loads(written.model_dump_json())),
        load_config(dumped),
    ):
        space = config.models[0].space["alpha"]
        assert repr(space.low) == repr(yaml_number(text))
        assert isinstance(space.high, float)


def yaml_number(text):
    return int(text) if text.lstrip("-").isdecimal() else float(text)


@pytest.mark.parametrize("low", ["few", 10**400])
def test_an_end_that_is_no_number_is_told_in_one_line(low):
    (problem,) = problems({"model": "svm", "space": {"C": {"low": low}}})
    assert problem.startswith(f"configuration: models.0.space.C.low: got {low!r}; must be a ")


@pytest.mark.parametrize("model", ["svm", "mine:Own"])
def test_a_parameter_is_fixed_or_searched_but_not_both(model):
    (problem,) = problems({"model": model, "params": {"C": 1}, "space": {"C": [1, 2]}})
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
