"""A finished fit's graph: how it tells what it was never shown."""

import numpy as np
import pytest

from tenfold.data import load_dataset, make_split
from tenfold.exporting import FitExport
from tenfold.inference import OnnxClassifier
from tenfold.models import build_model


@pytest.mark.parametrize("n_images", [250, 500])
@pytest.mark.parametrize(
    ("model", "params"),
    [("knn", {"n_neighbors": 1}), ("mlp", {"epochs": 10, "batch_size": 32})],
)
def test_few_unseen_images_alarm_where_every_image_was_learned_from(model, params, n_images):
    split = make_split(load_dataset("digits", max_images=n_images), cv_repeats=2)
    assert split.cross_validated

    def fitted(rows):
        estimator = build_model(model, params, image_shape=(8, 8), seed=0, threads=1)
        return estimator.fit(split.images[rows], split.labels[rows])

    held = [
        fitted(part.fit_rows).predict_proba(split.images[part.held_rows]) for part in split.rounds
    ]
    whole = fitted(split.train)
    export = FitExport(
        estimator=whole,
        split=split,
        fit_rows=split.train,
        calibrator=None,
        validation=np.concatenate(held),
        limits=None,
        probabilities=whole.predict_proba,
    )
    graph, outlier = export.make()
    known = {row.tobytes() for row in split.images}
    unseen = np.stack([row for row in load_dataset("digits").images if row.tobytes() not in known])
    alarms = OnnxClassifier(graph.model).outlier_score(unseen) > outlier["threshold"]
    assert outlier["false_alarms"] == 0.01
    assert alarms.mean() < 0.02
    noise = np.random.default_rng(0).integers(0, 256, (100, 64)).astype(np.uint8)
    foreign = OnnxClassifier(graph.model).outlier_score(noise) > outlier["threshold"]
    assert foreign.mean() > 0.9
