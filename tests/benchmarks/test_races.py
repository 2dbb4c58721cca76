"""KNN and the grid of 18 rows against the same fits one by one: what is compared, what counts."""

import json

import numpy as np
import pytest

from tenfold.records import Trial

DIGITS = {"dataset": "digits", "max_images": 300, "part": "sweep", "threads": 1, "seed": 42}


def stock(load, model, params):
    from tenfold.config import canonical_params

    spec = {**DIGITS, "model": model, "params": canonical_params(model, params)}
    fits = load("fits")
    return fits.unpacked(fits.stock(spec)["labels"])


@pytest.mark.parametrize(
    ("model", "params"),
    [
        ("knn", {"n_neighbors": 3}),
        ("random_forest", {"n_estimators": 12}),
        ("svm", {"C": 10}),
    ],
)
def test_stock_labels_are_those_of_the_same_row_here(load, model, params):
    from tenfold.models import build_model

    rows = load("rows").load_rows(DIGITS)
    own = build_model(model, params, seed=42).fit(rows.images, rows.labels)
    assert np.array_equal(stock(load, model, params), own.predict(rows.held_images))


@pytest.mark.parametrize(
    ("model", "params"),
    [("logistic_regression", {}), ("mlp", {"epochs": 1, "hidden_layers": [16, 8]})],
)
def test_the_other_rows_have_stock_fits(load, model, params):
    rows = load("rows").load_rows(DIGITS)
    assert stock(load, model, params).shape == (len(rows.held_images),)


def test_a_sweep_learns_from_the_training_rows_of_an_experiment(load):
    rows = load("rows").load_rows(DIGITS)
    assert np.array_equal(rows.images, rows.split.images[rows.split.train])
    assert np.array_equal(rows.held_images, rows.split.test.images)
    assert rows.grade(rows.truth(DIGITS), DIGITS)["accuracy"] == 1.0


def test_one_path_gives_the_labels_of_every_k(load):
    fits = load("fits")
    found = fits.neighbors({**DIGITS, "ks": [7, 3]})
    assert list(found["labels"]) == [3, 7]
    for k, labels in found["labels"].items():
        assert np.array_equal(fits.unpacked(labels), stock(load, "knn", {"n_neighbors": k}))


def record(name, seconds, labels):
    return {
        "name": name,
        "result": {"seconds": seconds, "cpu_s": 2 * seconds, "labels": labels},
        "process": {"peak_bytes": 1e8, "cpu_s": 2 * seconds},
        "yardstick": {"before_s": 50.0, "after_s": 50.0},
        "machine": dict.fromkeys(("machine", "memory_gib", "python", "tenfold", "commit"), "?")
        | {"flags": [], "changed": False},
    }


@pytest.mark.parametrize(
    ("own_s", "own_label", "full", "holds"),
    [
        (3.0, "1", True, True),
        (3.7, "1", True, False),  # 30 s in all: not ten times as fast
        (3.7, "1", False, True),  # of few rows times do not count
        (3.0, "2", False, False),
    ],
)
def test_knn_holds_where_labels_are_equal_and_the_ratio_is_reached(
    load, own_s, own_label, full, holds, capsys
):
    theirs = [record(f"stock-{k}", 10.0 + k, "4 1") for k in (-1, 0, 1)]
    ours = record("tenfold", own_s, {"3": "4 1", "5": "4 1", "7": f"4 {own_label}"})
    assert load("knn").print_race("mnist", theirs, ours, full=full) is holds
    assert f"| {30 / own_s:.1f} |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("model", "n_worse", "n_better", "holds"),
    [
        ("random_forest", 0, 0, True),
        ("random_forest", 0, 1, False),  # better is not equal
        ("mlp", 12, 8, True),
        ("mlp", 30, 4, False),
        ("mlp", 0, 30, True),
    ],
)
def test_a_row_of_the_sweep_is_equal_or_not_below(load, model, n_worse, n_better, holds):
    truth = np.zeros(500, dtype=np.int64)
    own, theirs = truth.copy(), truth.copy()
    own[:n_worse] = 1
    theirs[100 : 100 + n_better] = 1
    fits, sweep = load("fits"), load("sweep_18")
    trial = Trial(model, model.title(), "a=1", {"a": 1}, 0)
    ours = {"labels": fits.packed(own), "fit_s": 2.0, "fitted_with": 3}
    pair = sweep.Pair(trial, 0.9, ours, record("stock", 5.0, fits.packed(theirs)))
    cells, found = pair.cells(truth)
    assert found is holds
    assert cells[7] == ("yes" if holds else "NO")
    assert cells[9] == "2.0 for 3 rows"


def test_the_published_figures_are_of_the_grids_rows(load):
    from tenfold.config import load_config
    from tenfold.search import expand_grid

    sweep = load("sweep_18")
    for name, published in sweep.PUBLISHED.items():
        path = load("harness").HERE.parent / "experiments" / f"{name}.yaml"
        assert len(expand_grid(load_config(path))) == len(published) == 18


def test_the_knn_race_runs_on_few_images_and_again_from_its_files(load, tmp_path, monkeypatch):
    race = load("knn")
    monkeypatch.setattr(race, "DATASETS", ("digits",))
    monkeypatch.setattr(race, "KS", (3,))
    monkeypatch.setattr("sys.argv", ["knn.py", "--rows", "200", "--out", str(tmp_path)])
    assert race.main() == 0
    records = {path: json.loads(path.read_text()) for path in tmp_path.iterdir()}
    assert {found["name"] for found in records.values()} == {"digits-stock-3", "digits-tenfold"}
    assert race.main() == 0
    assert records == {path: json.loads(path.read_text()) for path in tmp_path.iterdir()}
