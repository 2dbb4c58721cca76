"""What every registered model keeps to; a new model is tested here without an edit."""

import inspect
import warnings

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from bundle_facts import make_facts
from tenfold.bundle import write_bundle
from tenfold.config import PARAMS
from tenfold.errors import ConfigError, ModelInputError
from tenfold.export import export_onnx
from tenfold.models import build_model, calibrate, get_spec, list_models, raw_scores
from tenfold.models.calibration import Calibrator

# Enough to learn something, little enough to be quick; a model that is not named takes its
# defaults.
QUICK = {
    "random_forest": {"n_estimators": 30},
    "xgboost": {"n_estimators": 15, "max_depth": 3},
    "mlp": {"epochs": 12, "hidden_layers": [32], "batch_size": 32, "learning_rate": 0.01},
    "keras_cnn": {"epochs": 6, "batch_size": 32},
    "cnn": {"epochs": 10, "batch_size": 32, "width": 8, "shift_px": 0},
    "fcnn": {"epochs": 12, "batch_size": 32, "learning_rate": 0.003},
    "simple_conv_net": {"epochs": 8, "batch_size": 32},
    "bn_cnn": {"epochs": 4, "batch_size": 32, "learning_rate": 0.02},
    "pca_cnn": {"epochs": 10, "batch_size": 32, "width": 8, "shift_px": 0},
    "deep_cnn": {"epochs": 8, "batch_size": 16, "width": 8, "ema": 0.9, "shift_px": 0}
    | {"rotate_deg": 5, "scale": 0, "shear": 0},
    "vit": {"epochs": 12, "batch_size": 16, "patch_size": 4, "width": 32, "heads": 2, "depth": 1}
    | {"shift_px": 0},
}
SHAPE = (8, 8)

pytestmark = pytest.mark.parametrize("name", list_models(), scope="module")


def quick(name, *, image_shape=SHAPE, **settings):
    return build_model(name, QUICK.get(name), image_shape=image_shape, **settings)


@pytest.fixture(scope="module")
def digits():
    bunch = load_digits()
    images = np.rint(bunch.data[:400] * 255 / 16).astype(np.uint8)
    images.setflags(write=False)
    return images, bunch.target[:400]


@pytest.fixture(scope="module")
def fitted(digits, name):
    """Return the model, fitted; for tests that only read it."""
    images, labels = digits
    return quick(name).fit(images[:300], labels[:300])


def test_it_is_a_classifier_that_learns(name, digits, fitted):
    images, labels = digits
    assert is_classifier(fitted)
    assert fitted.score(images[300:], labels[300:]) > 0.7
    assert fitted.n_features_in_ == 64
    assert fitted.chosen_ == {}


def test_probabilities_sum_to_one_and_stand_in_the_order_of_the_classes(name, digits, fitted):
    images, labels = digits
    probabilities = fitted.predict_proba(images[300:])
    assert probabilities.shape == (100, 10)
    assert (probabilities >= 0).all()
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-6)
    best = fitted.classes_[probabilities.argmax(axis=1)]
    assert (fitted.predict(images[300:]) == best).all()
    assert (best == labels[300:]).mean() > 0.7


def test_a_row_is_predicted_alike_alone_and_among_others(name, digits, fitted):
    images, _ = digits
    together = fitted.predict_proba(images[300:320])
    alone = np.concatenate([fitted.predict_proba(image[None]) for image in images[300:320]])
    assert alone == pytest.approx(together, abs=1e-5)


def test_clone_and_parameters(name, fitted):
    params = fitted.get_params()
    assert set(PARAMS[name].model_fields) < set(params)
    copy = clone(fitted)
    assert not hasattr(copy, "classes_")
    assert copy.get_params() == params
    assert copy.set_params(seed=5).get_params()["seed"] == 5
    with pytest.raises(ValueError, match="Invalid parameter"):
        copy.set_params(no_such_parameter=1)


def test_the_constructor_has_the_schemas_parameters_and_defaults(name):
    model = build_model(name)
    signature = inspect.signature(type(model)).parameters
    for field, item in PARAMS[name].model_fields.items():
        assert signature[field].default == item.get_default()


def test_parameters_are_checked_when_it_is_fitted(name, digits):
    images, labels = digits
    model = quick(name).set_params(pca=-1) if "pca" in PARAMS[name].model_fields else None
    model = model or quick(name).set_params(epochs=0)
    with pytest.raises(ConfigError, match=type(model).__name__):
        model.fit(images, labels)


@pytest.mark.parametrize(
    "rename", [lambda y: 7 * y - 20, lambda y: np.array([f"digit {i}" for i in y])]
)
def test_labels_may_be_any_numbers_or_strings(name, digits, fitted, rename):
    images, labels = digits
    model = quick(name).fit(images[:300], rename(labels[:300]))
    assert model.classes_.tolist() == np.unique(rename(labels)).tolist()
    predicted = model.predict(images[300:])
    assert (predicted == rename(fitted.predict(images[300:]))).all()


def test_rectangles_and_two_classes(name, digits):
    images, labels = digits
    wide = images.reshape(-1, 8, 8)[:, 1:7].reshape(len(images), 48)
    two = labels < 2
    model = quick(name, image_shape=(6, 8)).fit(wide[two], labels[two])
    assert model.predict_proba(wide[two]).shape == (two.sum(), 2)
    assert model.score(wide[two], labels[two]) > 0.95


def test_the_same_seed_gives_the_same_answer_and_leaves_the_global_generator(name, digits):
    images, labels = digits
    before = np.random.get_state(legacy=False)  # noqa: NPY002  # the global one is what is watched
    first, second = (
        quick(name, seed=3, threads=2).fit(images[:200], labels[:200]) for _ in range(2)
    )
    assert np.array_equal(first.predict_proba(images), second.predict_proba(images))
    again = first.fit(images[:200], labels[:200]).predict_proba(images)
    assert np.array_equal(again, second.predict_proba(images))
    np.testing.assert_equal(np.random.get_state(legacy=False), before)  # noqa: NPY002


def test_float_and_uint8_pixels_give_the_same_answer(name, digits, fitted):
    images, labels = digits
    model = quick(name).fit(images[:300].astype(np.float64), labels[:300])
    expected = fitted.predict_proba(images[300:])
    assert np.array_equal(model.predict_proba(images[300:].astype(np.float32)), expected)


def test_fit_and_predict_leave_their_arguments_alone(name, digits):
    images, labels = digits
    mine, mine_y = images[:200].astype(np.float32), labels[:200].copy()
    quick(name).fit(mine, mine_y).predict(mine)
    assert np.array_equal(mine, images[:200])
    assert np.array_equal(mine_y, labels[:200])


def test_it_says_nothing_on_the_warnings_channel(name, digits):
    images, labels = digits
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick(name).fit(images[:200], labels[:200]).predict(images)


def test_it_works_in_scikit_learns_own_tools(name, digits):
    images, labels = digits
    scores = cross_val_score(quick(name), images[:200], labels[:200], cv=2)
    assert (scores > 0.4).all()
    inverted = make_pipeline(FunctionTransformer(np.invert), quick(name))
    assert inverted.fit(images[:300], labels[:300]).score(images[300:], labels[300:]) > 0.3
    search = GridSearchCV(quick(name), {"seed": [1]}, cv=2).fit(images[:100], labels[:100])
    assert search.best_params_ == {"seed": 1}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda X, y: (np.where(X > 250, np.nan, X), y), "NaN"),
        (lambda X, y: (X / 255, y), "whole numbers"),
        (lambda X, y: (X[:, :60], y), r"8 \* 8 = 64 columns; got 60"),
        (lambda X, y: (X[0], y), "two-dimensional"),
        (lambda X, y: (X.reshape(-1, 8, 8), y), "two-dimensional"),
        (lambda X, y: (X[:0], y[:0]), "at least one image"),
        (lambda X, y: (X, y[:-1]), "one label for each"),
        (lambda X, y: (X, np.zeros_like(y)), "at least 2 classes"),
        (lambda X, y: (X.astype(str), y), "numeric"),
    ],
)
def test_training_data_that_break_a_rule_are_refused(name, digits, spoil, message):
    with pytest.raises(ModelInputError, match=message):
        quick(name).fit(*spoil(*digits))


def test_images_to_predict_that_break_a_rule_are_refused(name, digits, fitted):
    images, _ = digits
    for wrong, message in [
        (images[:, :63], "64 columns .* that fit saw; got 63"),
        (images[0], "two-dimensional"),
        (np.full((1, 64), np.nan), "NaN"),
        (np.full((1, 64), 256), "0 to 255"),
    ]:
        with pytest.raises(ModelInputError, match=message):
            fitted.predict(wrong)
    with pytest.raises(NotFittedError):
        quick(name).predict(images)


def test_its_scores_can_be_calibrated(name, digits, fitted):
    images, labels = digits
    calibrator = calibrate(fitted, images[300:], labels[300:])
    probabilities = calibrator.probabilities(raw_scores(fitted, images[300:]))
    assert (fitted.classes_[probabilities.argmax(axis=1)] == fitted.predict(images[300:])).all()
    if hasattr(fitted, "calibrator_"):
        assert isinstance(fitted.calibrator_, Calibrator)
        model = clone(fitted).fit(images[:300], labels[:300])
        model.calibrator_ = calibrator
        assert model.predict_proba(images[300:]) == pytest.approx(probabilities)


def test_its_bundle_answers_as_it_does(name, digits, fitted, tmp_path):
    images = digits[0][300:]
    probabilities = fitted.predict_proba(images)
    calibrator = calibrate(fitted, images, digits[1][300:])
    calibrated = calibrator.probabilities(raw_scores(fitted, images))
    for given, expected in ((None, probabilities), (calibrator, calibrated)):
        bundle = write_bundle(
            tmp_path / ("own" if given is None else "calibrated"),
            model=export_onnx(fitted, class_count=10, calibrator=given),
            facts=make_facts(class_names=tuple("0123456789"), image_shape=SHAPE),
            images=images,
            labels=expected.argmax(axis=1),
            probabilities=expected,
        )
        assert bundle.info.parity.largest_difference < 1e-5


def test_the_registry_describes_it(name):
    spec = get_spec(name)
    assert spec.version >= 1
    assert spec.estimator.startswith("tenfold.models.")
    assert spec.title
    assert set(spec.search_space) <= set(PARAMS[name].model_fields)
