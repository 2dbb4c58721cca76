"""tenfold's side of a measurement: its estimators, as a user calls them.

    python benchmarks/estimators.py search|fit SETTINGS

`networks.py` runs this; settings are a JSON object, and one JSON object is printed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from harness import Clock, say
from rows import load_rows

from tenfold.errors import TenfoldError
from tenfold.models import build_model


def search(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Train anew with 1, 2, 3 … epochs until the validation rows' accuracy reaches ``goal``.

    The schedule depends on how many epochs there are, so each number is a training of its own.
    ``epochs`` is None where ``most_epochs`` were not enough.
    """
    rows = load_rows(spec)
    tried = []
    for n_epochs in range(1, spec["most_epochs"] + 1):
        model = _build(spec, {**spec["params"], "epochs": n_epochs}, rows.split.image_shape)
        clock = Clock()
        model.fit(rows.images, rows.labels)
        times = clock.read()
        accuracy = rows.grade(model.predict(rows.held_images), spec)["accuracy"]
        say(f"  {n_epochs} epochs: validation accuracy {accuracy:.4f}")
        tried.append({"epochs": n_epochs, "accuracy": accuracy, **times})
        if accuracy >= spec["goal"]:
            return {"epochs": n_epochs, "tried": tried}
    return {"epochs": None, "tried": tried}


def fit(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Train by ``params`` and grade once; the times are those of the estimator's fit.

    ``epochs``, where given, stands above those of ``params``.
    """
    rows = load_rows(spec)
    epochs = {"epochs": spec["epochs"]} if "epochs" in spec else {}
    model = _build(spec, {**spec["params"], **epochs}, rows.split.image_shape)
    clock = Clock()

    def tell(epoch: int, report: Mapping[str, float]) -> None:
        seconds, loss = clock.read()["seconds"], report["train_loss"]
        say(f"  epoch {epoch} of {model.epochs}, {seconds:.1f} s, training loss {loss:.4f}")

    model.fit(rows.images, rows.labels, on_epoch=tell)
    times = clock.read()
    grade = rows.grade(model.predict(rows.held_images), spec)
    return {"epochs": model.epochs, **times, **grade}


def _build(spec: Mapping[str, Any], params: Mapping[str, Any], shape: tuple[int, int]) -> Any:
    return build_model(
        spec["model"],
        params,
        image_shape=shape,
        seed=spec["seed"],
        threads=spec["threads"],
        device=spec["device"],
        precision="auto",
    )


def main(job: str, settings: str) -> int:
    """Do a job and print what came of it."""
    try:
        result = {"search": search, "fit": fit}[job](json.loads(settings))
    except TenfoldError as error:
        say(str(error))
        return error.exit_code
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
