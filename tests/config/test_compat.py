"""Older forms of an experiment's file."""

from pathlib import Path

import pytest
import yaml

from tenfold.config import canonical_params, parse_config
from tenfold.config.compat import from_four_keys, has_four_keys
from tenfold.errors import ConfigError

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
FOUR = {"model": "SimpleConvNet", "batch_size": 64, "lr": "1e-6", "max_epochs": 3}


@pytest.mark.parametrize(
    ("name", "model", "batch_size", "rate", "epochs"),
    [
        ("simple_conv_net-1", "simple_conv_net", 64, 1e-6, 3),
        ("simple_conv_net-2", "simple_conv_net", 64, 1e-6, 50),
        ("simple_conv_net-3", "simple_conv_net", 64, 1e-5, 14),
        ("vit-1", "vit", 64, 5e-5, 10),
        ("simple_conv_net-4", "simple_conv_net", 32, 1e-4, 10),
        ("simple_conv_net-5", "simple_conv_net", 128, 1e-4, 10),
    ],
)
def test_the_six_experiments_are_read(name, model, batch_size, rate, epochs):
    raw = yaml.safe_load((EXPERIMENTS / f"{name}.yaml").read_text(encoding="utf-8"))
    assert has_four_keys(raw)
    config = parse_config(from_four_keys(raw))
    assert config.dataset.source == "mnist"
    (entry,) = config.models
    params = canonical_params(entry.model, entry.params)
    assert entry.model == model
    assert params["batch_size"] == batch_size
    assert params["learning_rate"] == pytest.approx(rate)
    assert params["epochs"] == epochs
    assert params["optimizer"] == "adam"
    assert params["schedule"] == "constant"
    assert params["shift_px"] == 0


def test_the_transformer_is_the_one_of_the_older_form():
    (entry,) = parse_config(from_four_keys(FOUR | {"model": "ViT"})).models
    expected = {"patch_size": 7, "width": 512, "heads": 8, "depth": 3, "dropout": 0.2}
    expected["mlp_ratio"] = 4
    assert {key: entry.params[key] for key in expected} == expected


def test_a_name_beside_the_keys_is_kept():
    assert parse_config(from_four_keys(FOUR | {"name": "mine"})).name == "mine"


def test_only_a_file_with_one_model_is_in_the_older_form():
    assert has_four_keys({"model": "anything", "lr": 0.1})
    assert not has_four_keys({"model": "knn"})  # more likely 'models' misspelt
    assert not has_four_keys({"models": ["knn"]})
    assert not has_four_keys({"model": "ViT", "models": ["knn"]})
    assert not has_four_keys({})


def test_every_broken_rule_has_a_line():
    wrong = {"model": "ResNet", "batch_size": 0, "max_epochs": "many", "gamma": 1}
    with pytest.raises(ConfigError) as caught:
        from_four_keys(wrong, origin="four.yaml")
    lines = sorted(caught.value.problems)
    assert [line.partition(": ")[2].partition(":")[0] for line in lines] == [
        "batch_size",
        "gamma",
        "lr",
        "max_epochs",
        "model",
    ]
    assert all(line.startswith("four.yaml: ") for line in lines)
    assert "four.yaml: lr: is required" in lines
    assert any("got 'ResNet'; must be 'SimpleConvNet' or 'ViT'" in line for line in lines)
    assert any("gamma: is no known key" in line for line in lines)
