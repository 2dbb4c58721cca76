"""Every registered model as a graph; a new model is tested here without an edit."""

import numpy as np
import onnx
import pytest
from sklearn.datasets import load_digits

from tenfold.config import PARAMS
from tenfold.export import OPSET, export_onnx, fit_outlier_rule
from tenfold.export.outliers import outlier_features
from tenfold.inference import OnnxClassifier
from tenfold.models import build_model, calibrate, list_models, raw_scores

# Small and quick; what is learned does not matter here.
SMALL = {
    "random_forest": {"n_estimators": 20},
    "xgboost": {"n_estimators": 5},
    "mlp": {"hidden_layers": [32, 16]},
    "cnn": {"width": 8},
    "pca_cnn": {"width": 8},
    "deep_cnn": {"width": 8},
    "vit": {"width": 32, "heads": 2, "depth": 2},
}
TOLERANCE = 1e-5

pytestmark = pytest.mark.parametrize("name", list_models(), scope="module")


def small(name, image_shape=(8, 8)):
    params = dict(SMALL.get(name, {}))
    if "epochs" in PARAMS[name].model_fields:
        params |= {"epochs": 2, "batch_size": 64}
    return build_model(name, params, image_shape=image_shape)


@pytest.fixture(scope="module")
def digits():
    bunch = load_digits()
    images = np.rint(bunch.data[:600] * 255 / 16).astype(np.uint8)
    images.setflags(write=False)
    return images, bunch.target[:600]


@pytest.fixture(scope="module")
def fitted(digits, name):
    images, labels = digits
    return small(name).fit(images[:300], labels[:300])


@pytest.fixture(scope="module")
def rule(digits, fitted):
    images, labels = digits
    return fit_outlier_rule(fitted, images[:300], labels[:300], images[300:450])


@pytest.fixture(scope="module")
def model(fitted, rule):
    return export_onnx(fitted, outlier=rule)


def assert_same(model, estimator, images):
    answers = OnnxClassifier(model).answer(images)
    assert (estimator.classes_[answers.labels] == estimator.predict(images)).all()
    assert answers.probabilities == pytest.approx(estimator.predict_proba(images), abs=TOLERANCE)


def odd_images():
    noise = np.random.default_rng(0).integers(0, 256, (50, 64))
    flat = [np.full((1, 64), value) for value in (0, 1, 128, 255)]
    return np.concatenate([noise, *flat]).astype(np.uint8)


def test_it_is_one_valid_graph_with_the_designed_inputs_and_outputs(name, model):
    proto = onnx.load_model_from_string(model)
    onnx.checker.check_model(proto, full_check=True)
    assert [(item.domain, item.version) for item in proto.opset_import] == [("", OPSET)]
    assert not any(item.external_data for item in proto.graph.initializer)
    assert not proto.metadata_props
    assert [described(value) for value in proto.graph.input] == [("images", "UINT8", ["n", 64])]
    assert [described(value) for value in proto.graph.output] == [
        ("label", "INT64", ["n"]),
        ("probabilities", "FLOAT", ["n", 10]),
        ("outlier_score", "FLOAT", ["n"]),
    ]


def described(value):
    kind = value.type.tensor_type
    sizes = [size.dim_param or size.dim_value for size in kind.shape.dim]
    return value.name, onnx.TensorProto.DataType.Name(kind.elem_type), sizes


def test_it_answers_as_the_estimator_does(name, digits, fitted, model):
    images, _ = digits
    assert_same(model, fitted, images)
    assert_same(model, fitted, odd_images())


def test_the_number_of_images_does_not_matter(name, digits, model):
    images, _ = digits
    together = OnnxClassifier(model, batch_size=100, threads=1).answer(images[:100])
    alone = OnnxClassifier(model, batch_size=1, threads=1).answer(images[:100])
    assert (together.labels == alone.labels).all()
    assert together.probabilities == pytest.approx(alone.probabilities, abs=TOLERANCE)
    assert together.outlier_scores == pytest.approx(alone.outlier_scores, abs=1e-3)


def test_outlier_scores_are_those_of_the_rule(name, digits, fitted, rule, model):
    images = np.concatenate([digits[0], odd_images()])
    answers = OnnxClassifier(model).answer(images)
    expected = rule.score(outlier_features(fitted, images), fitted.predict_proba(images))
    assert answers.outlier_scores == pytest.approx(expected, rel=1e-3, abs=1e-3)
    alarms = answers.outlier_scores[300:450] > rule.threshold * (1 + 1e-3)
    assert alarms.mean() <= rule.false_alarms


def test_without_a_rule_the_outlier_score_is_the_doubt(name, digits, fitted):
    answers = OnnxClassifier(export_onnx(fitted)).answer(digits[0])
    assert answers.outlier_scores == pytest.approx(1 - answers.probabilities.max(axis=1), abs=1e-6)


def test_rectangles_two_classes_and_labels_that_are_no_indices(name, digits):
    images, labels = digits
    wide = images.reshape(-1, 8, 8)[:, 1:7].reshape(len(images), 48)
    two = labels < 2
    renamed = np.where(labels == 0, "zero", "one")[two]
    estimator = small(name, (6, 8)).fit(wide[two], renamed)
    assert_same(export_onnx(estimator), estimator, wide)


def test_classes_that_it_never_saw_have_no_probability(name, digits):
    images, labels = digits
    some = np.isin(labels, [2, 5, 7])
    estimator = small(name).fit(images[some], labels[some])
    answers = OnnxClassifier(export_onnx(estimator, class_count=9)).answer(images)
    assert (answers.labels == estimator.predict(images)).all()
    assert answers.probabilities.shape == (len(images), 9)
    assert not np.delete(answers.probabilities, [2, 5, 7], axis=1).any()
    seen = answers.probabilities[:, [2, 5, 7]]
    assert seen == pytest.approx(estimator.predict_proba(images), abs=TOLERANCE)


def test_a_calibrator_is_inside(name, digits, fitted):
    images, labels = digits
    calibrator = calibrate(fitted, images[300:], labels[300:])
    answers = OnnxClassifier(export_onnx(fitted, calibrator=calibrator)).answer(images)
    expected = calibrator.probabilities(raw_scores(fitted, images))
    assert answers.probabilities == pytest.approx(expected, abs=TOLERANCE)
    assert (answers.labels == expected.argmax(axis=1)).all()
