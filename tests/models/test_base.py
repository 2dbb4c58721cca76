"""Checks of labels, and the constructor made from a schema."""

import inspect

import numpy as np
import pytest

from tenfold.errors import ModelInputError
from tenfold.models.base import ImageClassifier, check_labels
from tenfold.models.svm import SvmClassifier


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 2], r"each of the 2 images; got shape \(3,\)"),
        ([[0, 1]], r"got shape \(1, 2\)"),
        ([0.5, 1.0], "whole numbers or strings"),
        ([np.nan, 1.0], "NaN"),
        (np.array(["a", None], dtype=object), "NoneType, str"),
        (np.array([1, "a"], dtype=object), "int, str"),
    ],
)
def test_labels_that_break_a_rule_are_refused(labels, message):
    with pytest.raises(ModelInputError, match=message):
        check_labels(labels, 2)


def test_labels_may_be_strings_whole_floats_or_truth_values():
    assert check_labels(np.array(["a", "b"], dtype=object), 2).dtype.kind == "U"
    assert check_labels([1.0, 2.0], 2).tolist() == [1.0, 2.0]
    assert check_labels([True, False], 2).tolist() == [True, False]


def test_the_constructor_shows_the_schemas_defaults():
    parameters = inspect.signature(SvmClassifier).parameters
    assert list(parameters) == [
        "C", "gamma", "kernel", "degree", "pca", "image_shape", "seed", "threads",
    ]  # fmt: skip
    assert parameters["C"].default == 10.0
    assert all(item.kind is inspect.Parameter.KEYWORD_ONLY for item in parameters.values())


def test_the_constructor_refuses_what_it_does_not_know():
    with pytest.raises(TypeError, match="unexpected keyword argument 'c'"):
        SvmClassifier(c=1)
    with pytest.raises(TypeError, match="positional"):
        SvmClassifier(1.0)


def test_the_base_leaves_fit_and_probabilities_to_its_subclasses():
    base = ImageClassifier()
    with pytest.raises(NotImplementedError):
        base.fit([[0]], [0])
    with pytest.raises(NotImplementedError):
        base.predict([[0]])
