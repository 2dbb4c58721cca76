"""A finished fit's graph: how it tells what it was never shown."""

import numpy as np
import pytest

from tenfold.data import load_dataset, make_split
from tenfold.export import export_onnx
from tenfold.exporting import FitExport
from tenfold.inference import OnnxClassifier
from tenfold.models import build_model, calibrate
from tenfold.outcomes import Fitted, scores_of_each


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


@pytest.mark.parametrize("model", ["knn", "sgd"])
def test_a_class_that_was_not_learned_has_no_probability_in_the_fit_and_its_graph(model):
    split = make_split(load_dataset("digits"), cv_below=0)
    rows, held = split.train, split.validation_rows[split.calibrate]
    rows, held = (part[~np.isin(split.labels[part], [0, 4])] for part in (rows, held))
    estimator = build_model(model, image_shape=(8, 8)).fit(split.images[rows], split.labels[rows])
    codes = np.searchsorted(estimator.classes_, split.labels[held])
    calibrator = calibrate(estimator, split.images[held], codes)
    fit = Fitted(estimator, 0.0, rows, ["key"], calibrator=calibrator)
    found = fit.probabilities(scores_of_each([estimator], split.test.images, 10)[0])
    assert not found[:, [0, 4]].any()
    assert found.sum(axis=1) == pytest.approx(1)
    graph = export_onnx(estimator, class_count=10, calibrator=calibrator)
    assert OnnxClassifier(graph).predict_proba(split.test.images) == pytest.approx(found, abs=1e-5)
