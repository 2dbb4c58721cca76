"""Search spaces: merged, begun at the defaults, drawn from, listed, described."""

import pytest

from tenfold.config import PARAMS, canonical_params, parse_config
from tenfold.errors import ConfigError
from tenfold.models import SPECS, Choice, Range, When
from tenfold.search.space import (
    combinations,
    describe_dimension,
    draw,
    encoded,
    resolve_space,
    resolve_spaces,
    size_of,
    start_of,
)


class Lowest:
    """Draws the first or lowest value, and remembers what it was asked."""

    def __init__(self, **chosen):
        self.chosen, self.asked = chosen, []

    def suggest_float(self, name, low, high, *, log):
        self.asked.append((name, low, high, log))
        return self.chosen.get(name, low)

    def suggest_int(self, name, low, high, *, log):
        self.asked.append((name, low, high, log))
        return self.chosen.get(name, low)

    def suggest_categorical(self, name, choices):
        self.asked.append((name, *choices))
        return self.chosen.get(name, choices[0])


def space_of(model, space=None, params=None, **options):
    entry = {"model": model, "space": space or {}, "params": params or {}}
    return resolve_space(parse_config({"models": [entry]}).models[0], **options)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_every_models_own_space_holds_valid_values_and_its_defaults(spec):
    space = space_of(spec.name)
    assert space
    base = canonical_params(spec.name, {})
    drawn = draw(space, base, Lowest())
    assert canonical_params(spec.name, {**base, **drawn})
    highest = {n: part.high for n, part in space.items() if isinstance(part, Range)}
    assert canonical_params(spec.name, {**base, **draw(space, base, Lowest(**highest))})
    start = start_of(space, base)
    assert start.drawn.keys() == draw(space, base, Lowest(**start.drawn)).keys()
    for name, value in start.drawn.items():
        assert value == base[name] or name in start.instead


def test_a_file_narrows_widens_adds_and_removes():
    space = space_of("svm", {"C": {"high": 5}, "gamma": None, "degree": [2, 3]})
    assert space["C"] == Range(0.1, 5, log=True)  # the rest is the model's own
    assert "gamma" not in space
    assert space["degree"] == Choice((2, 3))


def test_a_file_may_replace_the_whole_space():
    assert set(space_of("svm", {"degree": [2, 3]}, default_space=False)) == {"degree"}


def test_a_fixed_parameter_is_not_searched():
    assert set(space_of("svm", params={"C": 3})) == {"gamma"}


def test_whether_numbers_are_whole_is_what_the_schema_says():
    space = space_of("mlp", {"epochs": {"low": 1, "high": 4}, "ema": {"low": 0.5, "high": 0.9}})
    assert space["epochs"].whole
    assert not space["ema"].whole


@pytest.mark.parametrize(
    ("space", "line"),
    [
        ({"C": {"low": 1000}}, "C: the range 1000 to 100 is empty"),
        ({"C": {"low": 5, "high": 5}}, "C: the range 5 to 5 is empty"),
        ({"degree": {"low": 1}}, "degree: needs both low and high"),
        ({"C": None, "gamma": None}, ": nothing is searched"),
        (
            {
                "degree": {"values": [2], "when": {"kernel": ["poly"]}},
                "kernel": {"values": ["rbf"], "when": {"degree": [2]}},
            },
            "degree.when: 'kernel' has a condition itself",
        ),
        (
            {"degree": {"values": [2], "when": {"kernel": ["poly"]}}},
            "degree.when: kernel is never poly, only rbf; so degree is never searched",
        ),
    ],
)
def test_an_empty_space_is_told_in_one_line(space, line):
    with pytest.raises(ConfigError, match=f"models.0.space.?{line}"):
        space_of("svm", space)


def test_a_log_scale_needs_numbers_above_zero():
    with pytest.raises(ConfigError, match=r"dropout: low is 0; a range on a log scale"):
        space_of("mlp", {"dropout": {"log": True}})


def test_a_grid_and_a_study_are_told_apart():
    config = parse_config({"models": [{"model": "svm", "grid": {"C": [1]}}], "tune": {"cv": 5}})
    with pytest.raises(ConfigError, match=r"models.0.grid: a study searches a space") as caught:
        resolve_spaces(config)
    assert "tune.cv: only a grid search has a use for it" in str(caught.value)


def test_a_study_takes_each_model_and_each_recipe_once():
    config = parse_config({"models": ["svm", "knn", "svm"], "repeats": 3})
    with pytest.raises(ConfigError) as caught:
        resolve_spaces(config)
    assert "models: svm stands there 2 times; a search takes each once" in str(caught.value)
    assert "repeats: 3 is for `tenfold compare`" in str(caught.value)


def test_a_parameter_without_effect_is_not_drawn():
    space = space_of("fcnn")
    base = canonical_params("fcnn", {})
    assert "momentum" not in draw(space, base, Lowest(optimizer="adam"))
    assert draw(space, base, Lowest(optimizer="rmsprop"))["momentum"] == 0.0


@pytest.mark.parametrize(
    ("space", "params"),
    [({"optimizer": ["adam"]}, {}), ({"optimizer": None}, {}), ({}, {"optimizer": "sgd"})],
)
def test_the_models_own_condition_goes_with_what_it_depends_on(space, params):
    assert "momentum" not in space_of("fcnn", space, params)
    with pytest.raises(ConfigError, match=r"momentum.when: optimizer is never rmsprop, only "):
        space_of("fcnn", {**space, "momentum": {"high": 0.9}}, params)


def test_conditions_come_after_what_they_depend_on():
    searched = {"degree": {"values": [2], "when": {"kernel": ["poly"]}}, "kernel": ["rbf", "poly"]}
    assert list(space_of("svm", searched, default_space=False)) == ["kernel", "degree"]


def test_lists_are_drawn_as_text_and_come_back_as_lists():
    space = space_of("mlp", {"hidden_layers": [[64, 32], [8]]}, default_space=False)
    drawer = Lowest(hidden_layers="[8]")
    assert draw(space, {}, drawer) == {"hidden_layers": [8]}
    assert drawer.asked == [("hidden_layers", "[64,32]", "[8]")]
    assert encoded((64, 32)) == "[64,32]"


def test_a_search_begins_at_the_defaults_or_as_near_as_can_be():
    space = {
        "C": Range(1, 5),
        "depth": Range(2, 8, whole=True),
        "kernel": Choice(("linear", "poly")),
        "gamma": Range(0.01, 1, log=True),
    }
    start = start_of(space, {"C": 9.0, "depth": 4, "kernel": "rbf", "gamma": "scale"})
    assert start.drawn == {"C": 5.0, "depth": 4, "kernel": "linear", "gamma": 0.1}
    assert start.instead == {"gamma": "scale"}  # no number stands for it
    assert not start.is_untuned
    own = {"C": 3.0, "depth": 4, "kernel": "linear", "gamma": "scale"}
    assert start_of(space, own).is_untuned


def test_everything_that_a_finite_space_holds_is_listed_once():
    space = {
        "kernel": Choice(("rbf", "poly")),
        "degree": Range(2, 4, whole=True, when=When("kernel", ("poly",))),
    }
    assert size_of(space) == 6
    assert list(combinations(space, {})) == [
        {"kernel": "rbf"},
        {"kernel": "poly", "degree": 2},
        {"kernel": "poly", "degree": 3},
        {"kernel": "poly", "degree": 4},
    ]
    assert size_of({**space, "C": Range(0, 1)}) is None


def test_the_size_of_a_space_is_counted_without_listing_it():
    space = {"n": Range(1, 10**15, log=True, whole=True), "kind": Choice(("a", "b"))}
    assert size_of(space) == 2 * 10**15


def test_dimensions_are_described():
    poly = When("kernel", ("poly", None))
    assert describe_dimension(Range(2, 5, whole=True, when=poly)) == (
        "2 to 5, whole numbers, when kernel is poly or null"
    )
    assert describe_dimension(Choice(("a", None, True))) == "a, null, true"


def test_an_own_estimator_is_searched_as_its_file_says():
    space = space_of("mine:Own", {"depth": {"low": 1, "high": 9}, "share": {"low": 0.5, "high": 1}})
    assert space["depth"].whole
    assert not space["share"].whole


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0, 1.0), (0.0, 1)])
def test_an_own_estimators_range_is_whole_only_where_both_ends_are_written_so(low, high):
    space = space_of("mine:Own", {"alpha": {"low": low, "high": high}})
    assert not space["alpha"].whole
    assert draw(space, {}, Lowest(alpha=0.25)) == {"alpha": 0.25}


@pytest.mark.parametrize(
    ("space", "params", "line"),
    [
        ({"alpha": {"low": 2, "high": 1}}, {}, "alpha: the range 2 to 1 is empty"),
        ({"alpha": {"low": 2}}, {}, "alpha: needs both low and high"),
        (
            {"alpha": {"values": [1, 2], "when": {"kind": ["a"]}}},
            {},
            "alpha.when: kind is neither searched nor in 'params'; so alpha is never searched",
        ),
        (
            {"alpha": {"values": [1, 2], "when": {"kind": ["a"]}}},
            {"kind": "b"},
            "alpha.when: kind is never a, only b; so alpha is never searched",
        ),
    ],
)
def test_what_an_own_estimators_space_never_gives_is_told_in_one_line(space, params, line):
    with pytest.raises(ConfigError, match=f"models.0.space.{line}"):
        space_of("mine:Own", space, params)


def test_conditions_of_the_registry_name_parameters():
    for spec in SPECS:
        for part in spec.search_space.values():
            if part.when is not None:
                assert part.when.parameter in PARAMS[spec.name].model_fields
