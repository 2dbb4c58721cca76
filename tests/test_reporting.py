"""What an experiment leaves behind of its networks: figures in the folder, the report, MLflow."""

import re

import numpy as np
import pytest
from mlflow import MlflowClient

from tenfold.config import parse_config
from tenfold.data import load_dataset, make_split
from tenfold.evaluation import wilson_interval
from tenfold.experiment import run_experiment
from tenfold.records import Views

NETWORKS = [
    {"model": "cnn", "params": {"epochs": 2, "width": 8}},
    {"model": "vit", "params": {"epochs": 2, "width": 8, "depth": 2, "heads": 2}},
    "sgd",
]


@pytest.fixture
def run(workspace):
    """Return a function that compares two networks and a model without views."""
    config = {
        "name": "views",
        "units_at_once": 0,
        "threads": 1,
        "models": NETWORKS,
        "dataset": {"max_images": 200, "cv_repeats": 1, "cv_folds": 2},
    }
    return lambda: run_experiment(parse_config(config))


def figures(result):
    return {path.name for path in (result.folder / "figures").iterdir()}


def test_networks_show_what_they_learned_in_folder_report_and_mlflow(run, workspace):
    result = run()
    inside = {"filters-cnn.svg", "filters-vit.svg", "attention-vit.svg"}
    learning = {"learning-loss.svg", "learning-accuracy.svg"}
    assert inside | learning | {"predictions.png", "confusion.svg"} <= figures(result)
    page = result.report.read_text(encoding="utf-8")
    for text in ("Inside the networks", "First-layer filters of Small CNN", "Attention of ViT"):
        assert text in page
    client = MlflowClient(tracking_uri=workspace.tracking_uri)
    drawn = {}
    for row in result.leaderboard.rows:
        items = client.list_artifacts(row.run_id, "figures")
        drawn[row.model] = {item.path.removeprefix("figures/") for item in items}
    assert drawn["sgd"] == {"confusion.svg", "predictions.png"}
    assert drawn["cnn"] == drawn["sgd"] | learning | {"filters.svg"}
    assert drawn["vit"] == drawn["cnn"] | {"attention.svg"}


def test_what_is_kept_of_a_network_is_small_and_old_trials_do_without(run, workspace):
    networks = [row.model for row in run().leaderboard.rows]
    kept = {}
    for path in workspace.artifacts.rglob("views.npz"):
        view = Views.read(path)
        assert path.stat().st_size < 20_000
        assert len(set(view.rows.tolist())) == 10
        kept["cnn" if view.attention is None else "vit"] = path
    assert networks == ["cnn", "vit", "sgd"]
    kept["cnn"].unlink()
    kept["vit"].write_bytes(kept["vit"].read_bytes()[:100])
    result = run()
    assert [row.reused for row in result.leaderboard.rows] == [True, False, True]
    shown = {"predictions.png", "filters-vit.svg", "attention-vit.svg"}
    assert shown <= figures(result)
    assert "filters-cnn.svg" not in figures(result)


def test_writers_and_repeats_are_not_taken_for_more_images(workspace, tmp_path):
    digits = load_dataset("digits")
    rows = slice(0, 600)
    groups = np.arange(600) // 6
    images = digits.images[rows].reshape(-1, 8, 8)
    np.savez(tmp_path / "own.npz", x=images, y=digits.labels[rows], groups=groups)
    source = {"source": str(tmp_path / "own.npz"), "target": "5", "cv_folds": 2, "cv_repeats": 3}
    config = {
        "name": "writers",
        "units_at_once": 0,
        "threads": 1,
        "models": ["sgd"],
        "dataset": source,
        "wanted_recall": 0.8,
    }
    result = run_experiment(parse_config(config))
    n_test = result.leaderboard.n_test
    told = f"the {n_test} test images come in {n_test // 6} groups: intervals and p values take"
    assert any(warning.startswith(told) for warning in result.warnings)
    page = result.report.read_text(encoding="utf-8")
    assert f"come in {n_test // 6} groups instead" in page
    table = page[page.index("Recall, validation") : page.index("Mistakes</h3>")]
    cells = re.findall(r'<td class="n" data-value="([\d.]+)">.*?<span class="sub">([\d.]+)', table)
    share, low = (float(number) for number in cells[1])
    fives = int(make_split(load_dataset(tmp_path / "own.npz", target="5")).labels.sum())
    assert low == pytest.approx(100 * wilson_interval(share * fives, fives).low, abs=0.051)
