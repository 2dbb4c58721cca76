"""What can be exported and what is refused, with which words."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from tenfold.data import load_dataset, make_split
from tenfold.errors import ExportError
from tenfold.export import export_onnx, fit_outlier_rule, graph
from tenfold.inference import OnnxClassifier
from tenfold.models import Calibrator, build_model


@pytest.fixture(scope="module")
def linear(digits):
    return build_model("logistic_regression").fit(*digits)


def test_an_own_estimator_is_refused_with_the_next_step(digits):
    with pytest.raises(ExportError, match=r"LogisticRegression is an own estimator.*registered"):
        export_onnx(LogisticRegression().fit(*digits))


def test_an_estimator_that_is_not_fitted_is_refused():
    with pytest.raises(ExportError, match="not fitted; call fit"):
        export_onnx(build_model("knn"))


@pytest.mark.parametrize(
    ("rename", "count"),
    [(lambda y: y, 9), (lambda y: y - 1, 10), (lambda y: y.astype(str), 10)],
)
def test_with_a_class_count_labels_must_be_indices(digits, rename, count):
    images, labels = digits
    estimator = build_model("logistic_regression").fit(images, rename(labels))
    with pytest.raises(ExportError, match=rf"indices 0 to {count - 1}; the estimator was fitted"):
        export_onnx(estimator, class_count=count)


def test_a_calibrator_of_the_other_kind_is_refused(digits, linear):
    images, labels = digits
    with pytest.raises(ExportError, match="calibrated by 'probabilities'; got 'temperature'"):
        export_onnx(linear, calibrator=Calibrator("temperature"))
    two = build_model("sgd").fit(images[labels < 2], labels[labels < 2])
    with pytest.raises(ExportError, match="calibrated by 'platt'; got 'temperature'"):
        export_onnx(two, calibrator=Calibrator("temperature"))


def test_the_rule_of_another_model_is_refused(digits, linear):
    images, labels = digits
    other = build_model("logistic_regression").fit(images[:, :48], labels)
    rule = fit_outlier_rule(other, images[:, :48], labels, images[:, :48])
    with pytest.raises(ExportError, match="rule is on 48 features and the estimator has 64"):
        export_onnx(linear, outlier=rule)


def test_a_graph_that_one_file_cannot_hold_is_refused(linear, monkeypatch):
    monkeypatch.setattr(graph, "_LARGEST_MODEL", 5000)
    with pytest.raises(ExportError, match=r"would hold 0\.0 GiB; one ONNX file holds less than 2"):
        export_onnx(linear)


def test_the_estimators_own_calibrator_is_taken_unless_another_is_given(digits):
    images, labels = digits
    estimator = build_model("svm").fit(images, labels)
    estimator.calibrator_ = Calibrator("temperature", temperature=3.0)
    own = OnnxClassifier(export_onnx(estimator)).predict_proba(images)
    assert own == pytest.approx(estimator.predict_proba(images), abs=1e-5)
    given = export_onnx(estimator, calibrator=Calibrator("temperature", temperature=9.0))
    softer = OnnxClassifier(given).predict_proba(images)
    assert (softer.max(axis=1) < own.max(axis=1)).all()


def test_a_platt_calibrator_moves_the_border_between_two_classes(digits):
    images, labels = digits
    two = np.isin(labels, [3, 5])
    estimator = build_model("svm").fit(images[two], labels[two])
    estimator.calibrator_ = Calibrator("platt", slope=2.0, intercept=-1.5)
    answers = OnnxClassifier(export_onnx(estimator)).answer(images)
    assert (estimator.classes_[answers.labels] == estimator.predict(images)).all()
    assert (answers.labels != (estimator.decision_function(images) > 0)).any()


def test_the_same_estimator_gives_the_same_bytes(digits, linear):
    images, labels = digits
    rules = [fit_outlier_rule(linear, images, labels, images) for _ in range(2)]
    assert export_onnx(linear, outlier=rules[0]) == export_onnx(linear, outlier=rules[1])


@pytest.mark.mnist
@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("logistic_regression", {}),
        ("sgd", {"max_iter": 10}),
        ("knn", {}),
        ("svm", {"C": 100}),
        ("random_forest", {"n_estimators": 30}),
        ("xgboost", {"n_estimators": 5}),
    ],
)
def test_labels_on_all_real_test_images_are_the_estimators(data_dir, same, name, params):
    split = make_split(load_dataset("mnist", data_dir=data_dir))
    rows = split.train[:1000]
    estimator = build_model(name, params, image_shape=split.image_shape, threads=2)
    estimator.fit(split.images[rows], split.labels[rows])
    same(export_onnx(estimator), estimator, split.test.images, tolerance=1e-4)
