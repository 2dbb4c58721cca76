"""Measured studies: what decides a study is in its name, so that none is taken for another."""

from argparse import Namespace

import pytest


@pytest.fixture
def name_of(load, monkeypatch):
    """Return a function from arguments to the name of the study that would be run."""
    tuning = load("tuning")
    monkeypatch.setattr(tuning, "run_tuning", lambda config, observer: config)

    def name(pruner="asha", **given):
        arguments = {"epochs": 5, "trials": 20, "reduction_factor": None, "miniature": True}
        arguments["dataset"] = "mnist"
        return tuning.searched(Namespace(**{**arguments, **given}), 0, pruner).name

    return name


def test_studies_of_different_reduction_factors_have_names_of_their_own(name_of):
    names = [name_of(reduction_factor=factor) for factor in (2, 3, 8)]
    assert len(set(names)) == 3
    assert name_of() == name_of(reduction_factor=5) == "asha-5-5-20-0"


def test_a_study_of_fewer_images_has_a_name_of_its_own(name_of):
    assert name_of(dataset="mnist-small") == "asha-5-5-20-0-small"


def test_a_study_without_pruning_serves_every_reduction_factor(name_of):
    assert name_of("none") == name_of("none", reduction_factor=2) == "none-5-20-0"
