"""One side of a race, in a process of its own: stock fits one by one, or tenfold's together.

    python benchmarks/fits.py stock|neighbors|compare SETTINGS

`knn.py` and `sweep_18.py` run this; settings are a JSON object, and one JSON object is printed.
Labels are class indices of the held images. Seconds are those of fit and prediction, without the
start of the process and without reading the data; of the command they are all of it.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from harness import Clock, say
from rows import Rows, load_rows

from tenfold.errors import TenfoldError

Labels = npt.NDArray[np.integer[Any]]


def stock(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Fit ``model`` with ``params`` by scikit-learn, or by a plain PyTorch loop, and predict."""
    rows = load_rows(spec)
    fits: Mapping[str, Callable[..., Callable[[], Labels]]] = {
        "logistic_regression": _stock_logistic,
        "knn": _stock_neighbors,
        "svm": _stock_machine,
        "random_forest": _stock_forest,
        "keras_cnn": _plain_loop,
        "mlp": _plain_loop,
    }
    # What this returns has the data as its library takes them.
    run = fits[spec["model"]](rows, spec)
    clock = Clock()
    labels = run()
    return {**clock.read(), "labels": packed(labels)}


def packed(labels: Labels) -> str:
    """Return class indices as one text, for a JSON file that people open."""
    return " ".join(map(str, labels.tolist()))


def unpacked(labels: str) -> Labels:
    """Return what `packed` was given."""
    return np.array(labels.split(), dtype=np.int64)


def _stock_logistic(rows: Rows, spec: Mapping[str, Any]) -> Callable[[], Labels]:
    from sklearn.linear_model import LogisticRegression

    params = spec["params"]
    return _unit_fit(rows, LogisticRegression(C=params["C"], max_iter=params["max_iter"]))


def _stock_machine(rows: Rows, spec: Mapping[str, Any]) -> Callable[[], Labels]:
    from sklearn.svm import SVC

    params = spec["params"]
    return _unit_fit(rows, SVC(C=params["C"], kernel=params["kernel"], gamma=params["gamma"]))


def _stock_forest(rows: Rows, spec: Mapping[str, Any]) -> Callable[[], Labels]:
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(
        spec["params"]["n_estimators"], random_state=spec["seed"], n_jobs=spec["threads"]
    )
    return _unit_fit(rows, forest)


def _unit_fit(rows: Rows, estimator: Any) -> Callable[[], Labels]:
    """Return a fit and prediction on pixels of 0..1 in float64."""
    images, held = rows.images / 255, rows.held_images / 255
    return lambda: estimator.fit(images, rows.labels).predict(held)


def _stock_neighbors(rows: Rows, spec: Mapping[str, Any]) -> Callable[[], Labels]:
    """Return a fit and prediction on pixels of 0..255 in float64."""
    from sklearn.neighbors import KNeighborsClassifier

    model = KNeighborsClassifier(
        spec["params"]["n_neighbors"], algorithm="brute", n_jobs=spec["threads"]
    )
    images, held = rows.images.astype(np.float64), rows.held_images.astype(np.float64)
    return lambda: model.fit(images, rows.labels).predict(held)


def _plain_loop(rows: Rows, spec: Mapping[str, Any]) -> Callable[[], Labels]:
    """Return a training by the recipe's batch size, rate and epochs, and a prediction."""
    import torch
    from classic import Lesson, Recipe, keras_network, perceptron

    params = spec["params"]
    network = keras_network
    if spec["model"] == "mlp":
        network = functools.partial(perceptron, params["hidden_layers"])
    recipe = Recipe(
        batch_size=params["batch_size"],
        rate=params["learning_rate"],
        gamma=1.0,
        optimizer=torch.optim.Adam,
        network=network,
    )
    torch.set_num_threads(spec["threads"])

    def run() -> Labels:
        lesson = Lesson(rows, recipe, spec["seed"], "cpu")
        for epoch in range(1, params["epochs"] + 1):
            lesson.epoch()
            say(f"  epoch {epoch} of {params['epochs']}")
        return lesson.predict()

    return run


def neighbors(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Fit tenfold's KNN for all of ``ks`` by one path, and predict by one search."""
    from tenfold.models import build_model

    rows = load_rows(spec)
    models = [
        build_model("knn", {"n_neighbors": k}, threads=spec["threads"]) for k in sorted(spec["ks"])
    ]
    ready: list[Any] = []
    clock = Clock()
    models[-1].fit_path(rows.images, rows.labels, models[:-1], on_ready=ready.extend)
    shares = type(models[-1]).predict_proba_each(ready, rows.held_images)
    labels = [ready[-1].classes_[found.argmax(axis=1)] for found in shares]
    times = clock.read()
    return {
        **times,
        "labels": {
            model.n_neighbors: packed(found) for model, found in zip(ready, labels, strict=True)
        },
    }


def compare(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Run ``tenfold compare`` by ``config`` in a fresh workspace.

    Returns:
        ``seconds`` of the whole command and, for each trial in the order of the grid, its
        ``model``, ``params``, ``fit_s``, ``fitted_with`` (how many rows its fit answered) and
        ``labels``, all of the fit on the training rows.
    """
    with tempfile.TemporaryDirectory() as home:
        words = [sys.executable, "-m", "tenfold", "compare", spec["config"]]
        for assignment in spec["set"]:
            words += ["--set", assignment]
        clock = Clock()
        environ = {**os.environ, "TENFOLD_HOME": home}
        done = subprocess.run(words, env=environ, stdout=sys.stderr, check=False)
        seconds = clock.read()["seconds"]
        if done.returncode:
            sys.exit(done.returncode)
        return {"seconds": seconds, "rows": _rows_of(Path(home))}


def _rows_of(home: Path) -> list[dict[str, Any]]:
    """Return what a workspace's one experiment found."""
    from tenfold.records import Predictions
    from tenfold.tracking import MlflowTracker
    from tenfold.workspace import Workspace

    workspace = Workspace(home)
    (path,) = home.glob("results/*/results.json")
    tracker = MlflowTracker(workspace, None)
    runs = tracker.finished()
    found = []
    for row in json.loads(path.read_text(encoding="utf-8"))["rows"]:
        with tracker.folder(runs[row["key"]]) as folder:
            test = Predictions.read(folder / "predictions.npz").test
        found.append(
            {
                **{name: row[name] for name in ("model", "title", "parameter", "params", "fit_s")},
                "fitted_with": len(row["fitted_with"]),
                "labels": packed(test.argmax(axis=1)),
            }
        )
    return found


def main(job: str, settings: str) -> int:
    """Do a job and print what came of it."""
    try:
        result = {"stock": stock, "neighbors": neighbors, "compare": compare}[job](
            json.loads(settings)
        )
    except TenfoldError as error:
        say(str(error))
        return error.exit_code
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
