"""The measurements of the networks: what is compared with what, and that the commands work."""

import functools
import json
import os
import subprocess
import sys

import pytest


def test_the_plain_loops_train_the_published_networks(load):
    classic = load("classic")
    for build, wanted in (
        (classic.classic_network, 1_199_882),
        (classic.keras_network, 225_034),
        (functools.partial(classic.perceptron, (64, 32)), 784 * 64 + 64 + 64 * 32 + 32 + 330),
    ):
        network = build((28, 28), 10)
        assert sum(weights.numel() for weights in network.parameters()) == wanted


def test_the_plain_loops_see_one_normalised_picture_at_a_time(load):
    import numpy as np

    images = np.array([[0, 255, 51, 102]], dtype=np.uint8)
    pixels, label = load("classic").Pictures(images, np.array([7]), (2, 2))[0]
    assert pixels.shape == (1, 2, 2)
    wanted = (np.array([0, 1, 0.2, 0.4]) - 0.1307) / 0.3081
    assert pixels.flatten().tolist() == pytest.approx(wanted.tolist(), abs=1e-6)
    assert label == 7


def test_both_sides_of_the_fifth_experiment_have_its_recipe(load):
    from tenfold.config import load_config

    params = load_config(load("networks").FIFTH).models[0].params
    assert (params["batch_size"], params["learning_rate"], params["epochs"]) == (32, 1e-4, 10)
    loop = load("classic").RECIPES["simple_conv_net"]
    assert (loop.batch_size, loop.rate, loop.gamma) == (32, 1e-4, 1.0)


def test_every_recipe_is_one_that_its_model_takes(load):
    from tenfold.config import canonical_params

    networks = load("networks")
    models = {row.name: row.model for row in networks.ROWS} | {"classic-990": "cnn"}
    assert models.keys() == networks.RECIPES.keys()
    for name, recipe in networks.RECIPES.items():
        canonical_params(models[name], recipe)


def test_validation_learns_from_training_rows_and_leaves_the_test_sealed(load, monkeypatch):
    rows = load("rows")
    monkeypatch.setattr(rows, "open_sealed_test", lambda *_, **__: pytest.fail("opened the test"))
    spec = {"dataset": "digits", "max_images": 300, "part": "train"}
    part = rows.load_rows(spec)
    held = part.split.labels[part.split.validation_rows]
    assert len(part.labels) == len(part.split.train) < len(part.split.labels)
    assert part.grade(held, spec)["accuracy"] == 1.0


def test_the_race_runs_in_miniature_and_again_from_its_files(load, tmp_path):
    command = [sys.executable, load("harness").HERE / "networks.py", "classic-990", "--miniature"]
    command += ["--out", tmp_path / "out"]
    first = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    assert first.returncode == 0, first.stderr
    records = {path.name: json.loads(path.read_text()) for path in (tmp_path / "out").iterdir()}
    assert {record["name"] for record in records.values()} == {
        *("classic-search-0", "tenfold-search-0", "classic-0", "tenfold-0"),
    }
    assert "| tenfold-0 | 1 |" in first.stdout
    again = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    assert again.stdout == first.stdout
    assert again.stderr.count("on file, not run again") == len(records)


@pytest.mark.parametrize(
    "arguments", [("classic-990", "--validate"), ("networks", "--set", "epochs=1")]
)
def test_a_recipe_is_tried_on_validation_rows_alone(load, arguments):
    command = [sys.executable, load("harness").HERE / "networks.py", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 2
    assert "--validate goes with networks, and --set with --validate" in done.stderr
