"""The int8 variant of a network: kept where its accuracy holds, refused where it does not."""

from dataclasses import replace

import numpy as np
import pytest

from tenfold.data import load_dataset, make_split
from tenfold.errors import ExportError
from tenfold.export import export_onnx
from tenfold.inference import OnnxClassifier
from tenfold.models import build_model
from tenfold.quantizing import quantize


@pytest.fixture(scope="module")
def split():
    return make_split(load_dataset("digits"), cv_below=0)


@pytest.fixture(scope="module")
def network(split):
    params = {"width": 16, "epochs": 8, "batch_size": 32, "shift_px": 0}
    estimator = build_model("cnn", params, image_shape=(8, 8))
    return export_onnx(estimator.fit(split.images[split.train], split.labels[split.train]))


def test_what_holds_is_kept_with_its_own_scores(split, network):
    found = quantize(network, split, trial_key="0" * 64, train_fit=network)
    assert found.facts.compared_on == "held out"
    assert len(found.model) < 0.8 * len(network)
    rows = split.validation_rows[split.calibrate]
    answers = [OnnxClassifier(graph).answer(split.images[rows]) for graph in (network, found.model)]
    before, after = ((answer.labels == split.labels[rows]).mean() for answer in answers)
    assert (found.facts.accuracy_before.value, found.facts.accuracy) == (before, after)
    assert found.facts.images == len(rows)
    assert found.facts.labels_changed == (answers[0].labels != answers[1].labels).sum()
    assert found.scores.n == len(split.test.images)
    given = OnnxClassifier(found.model).answer(split.test.images).probabilities
    counted = np.bincount(given.argmax(axis=1), minlength=10)
    np.testing.assert_array_equal(found.scores.confusion.sum(axis=0), counted)


def test_what_does_not_hold_is_refused_with_both_accuracies(split, network):
    images = split.images.copy()
    images[split.train] = 0  # the ranges that activations take are seen on nothing
    with pytest.raises(
        ExportError, match=r"in int8 the accuracy on 120 .* below the 95 % interval"
    ):
        quantize(network, replace(split, images=images), trial_key="0" * 64, train_fit=network)


def test_of_a_refit_its_train_fit_decides(split, network):
    """The refit has learned the calibrate rows, so it answers them all, in int8 too."""
    params = {"width": 16, "epochs": 8, "batch_size": 32, "shift_px": 0}
    rows = np.union1d(split.train, split.validation_rows)
    estimator = build_model("cnn", params, image_shape=(8, 8))
    refit = export_onnx(estimator.fit(split.images[rows], split.labels[rows]))
    found = quantize(refit, split, trial_key="0" * 64, train_fit=network)
    train_fit = quantize(network, split, trial_key="0" * 64, train_fit=network)
    assert found.facts == train_fit.facts.model_copy(
        update={"compared_on": "held out from the train fit"}
    )
    assert found.model != train_fit.model
    alone = quantize(refit, split, trial_key="0" * 64, train_fit=None)
    assert alone.model == found.model
    assert alone.facts.compared_on == "learned from"


def test_other_models_have_none(split):
    model = build_model("knn", {}, image_shape=(8, 8)).fit(split.images[:99], split.labels[:99])
    with pytest.raises(ExportError, match="Only networks have an int8 variant"):
        quantize(export_onnx(model), split, trial_key="0" * 64, train_fit=None)
