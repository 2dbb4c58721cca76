"""Schemas of the models' parameters."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tenfold.config import PARAMS, canonical_params
from tenfold.config.params import explain
from tenfold.errors import ConfigError, UnknownModelError

MODELS = sorted(PARAMS)


@pytest.mark.parametrize("model", MODELS)
def test_every_parameter_has_a_default_a_description_and_bounds(model):
    schema = PARAMS[model].model_json_schema()
    assert schema["description"]
    for name, field in schema["properties"].items():
        assert "default" in field, name
        assert field["description"].endswith("."), name
        for kind in field.get("anyOf", [field]):
            if kind.get("type") in {"integer", "number"}:
                assert "minimum" in kind or "exclusiveMinimum" in kind, name
                assert "maximum" in kind or "exclusiveMaximum" in kind or name == "pca", name


@pytest.mark.parametrize("model", MODELS)
def test_canonical_parameters_are_complete_json_and_stable(model):
    params = canonical_params(model, {})
    assert list(params) == list(PARAMS[model].model_fields)
    assert json.loads(json.dumps(params)) == params
    assert canonical_params(model, params) == params


def test_equal_recipes_have_one_form():
    as_text = canonical_params("mlp", {"learning_rate": "1e-3", "hidden_layers": [64, 32]})
    as_values = canonical_params("mlp", {"learning_rate": 0.001, "hidden_layers": (64, 32)})
    assert json.dumps(as_text) == json.dumps(as_values)
    assert as_values["hidden_layers"] == [64, 32]
    assert json.dumps(canonical_params("svm", {"C": 1})["C"]) == "1.0"


def test_numpy_scalars_are_taken_as_numbers():
    params = canonical_params("svm", {"C": np.float32(2), "degree": np.int64(2)})
    assert (params["C"], params["degree"]) == (2.0, 2)


@pytest.mark.parametrize(
    ("model", "params", "line"),
    [
        ("knn", {"n_neighbours": 3}, "knn.n_neighbours: is no known key. Did you mean 'n_nei"),
        ("knn", {"n_neighbors": 0}, "knn.n_neighbors: got 0; must be greater than or equal"),
        ("knn", {"n_neighbors": True}, "knn.n_neighbors: got True: true and false are not allowed"),
        ("knn", {"weights": "far"}, "knn.weights: got 'far'; must be 'uniform' or"),
        ("knn", {"pca": 1.0}, "knn.pca: got 1.0"),
        ("knn", {"pca": 0}, "knn.pca: got 0"),
        ("svm", {"C": float("nan")}, "svm.C: got nan"),
        ("svm", {"C": float("inf")}, "svm.C: got inf"),
        ("svm", {"gamma": -1}, "svm.gamma: got -1"),
        ("mlp", {"hidden_layers": []}, "mlp.hidden_layers: got []"),
        ("mlp", {"hidden_layers": [10, 0]}, "mlp.hidden_layers.1: got 0"),
        ("mlp", {"dropout": None}, "mlp.dropout: got None"),
        ("vit", {"heads": 5}, "vit: width 128 is no multiple of heads 5"),
        ("pca_cnn", {"pca": None}, "pca_cnn.pca: got None"),
        ("cnn", {"ema": 1}, "cnn.ema: got 1; must be less than 1"),
        ("cnn", {"class_weights": "equal"}, "cnn.class_weights: got 'equal'; must be 'balanced'"),
        ("random_forest", {"max_depth": 0}, "random_forest.max_depth: got 0"),
    ],
)
def test_a_broken_rule_is_named_with_the_value_and_what_is_allowed(model, params, line):
    with pytest.raises(ConfigError) as caught:
        canonical_params(model, params)
    assert any(problem.startswith(line) for problem in caught.value.problems), caught.value


def test_every_problem_has_a_line_of_its_own():
    with pytest.raises(ConfigError) as caught:
        canonical_params("svm", {"C": -1, "degree": "x", "colour": 1})
    assert len(caught.value.problems) == 3


def test_an_unknown_model_is_answered_with_the_nearest_name():
    with pytest.raises(UnknownModelError, match="Did you mean 'random_forest'"):
        canonical_params("random_forst", {})


def test_an_own_estimators_parameters_are_only_checked_to_be_json():
    assert canonical_params("no.such.module:Thing", {"a": (1, 2)}) == {"a": [1, 2]}
    with pytest.raises(ConfigError, match="plain JSON"):
        canonical_params("no.such.module:Thing", {"a": object()})
    with pytest.raises(ConfigError, match="plain JSON"):
        canonical_params("no.such.module:Thing", {"a": float("nan")})


def test_a_problem_with_the_whole_has_no_field_name():
    schema = PARAMS["knn"]
    with pytest.raises(ValidationError) as caught:
        schema.model_validate("knn")
    assert explain(caught.value, schema)[0].startswith(": got 'knn'")


@given(
    st.sampled_from(MODELS),
    st.dictionaries(st.text(max_size=8), st.none() | st.booleans() | st.floats() | st.text()),
)
def test_no_input_leads_to_another_error(model, params):
    with contextlib.suppress(ConfigError):
        assert canonical_params(model, params)
