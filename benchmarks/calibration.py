"""Measure what calibration does to probabilities: their error and log loss before and after.

    python benchmarks/calibration.py knn random_forest xgboost logistic_regression mlp cnn

Each model learns the training rows with its defaults, is calibrated on the *calibrate* rows, and is
scored on the *select* rows, which neither has seen. The test rows stay closed.
"""

from __future__ import annotations

import argparse

from tables import print_table

from tenfold.config import load_settings
from tenfold.data import load_dataset, make_split
from tenfold.evaluation import score
from tenfold.models import build_model, calibrate, list_models, raw_scores


def main() -> None:
    """Print a line for each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", choices=list_models(), metavar="MODEL")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    dataset = load_dataset(arguments.dataset, data_dir=load_settings().data_dir)
    split = make_split(dataset, cv_below=0)
    select, held = (split.validation_rows[rows] for rows in (split.select, split.calibrate))
    rows = []
    for name in arguments.models:
        model = build_model(name, image_shape=split.image_shape, seed=arguments.seed)
        model.fit(split.images[split.train], split.labels[split.train])
        calibrator = calibrate(model, split.images[held], split.labels[held])
        given = model.predict_proba(split.images[select])
        after = calibrator.probabilities(raw_scores(model, split.images[select]))
        found = [
            score(split.labels[select], probabilities, class_names=split.class_names)
            for probabilities in (given, after)
        ]
        learned = {key: value for key, value in calibrator.to_dict().items() if key != "kind"}
        rows.append(
            (
                name,
                f"{found[0].accuracy.value:.4f}",
                *(f"{one.ece.value:.4f}" for one in found),
                *(f"{one.log_loss.value:.4f}" for one in found),
                ", ".join(f"{key} {value:.3g}" for key, value in learned.items()),
            )
        )
    header = ("model", "accuracy", "ECE", "after", "log loss", "after", "calibrator")
    print_table(header, rows)


if __name__ == "__main__":
    main()
