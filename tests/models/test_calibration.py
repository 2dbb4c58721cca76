"""Scores to probabilities."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tenfold.errors import ModelInputError
from tenfold.models import Calibrator, build_model, calibrate, fit_calibrator, raw_scores


def log_loss(probabilities, codes):
    return -np.log(probabilities[np.arange(len(codes)), codes].clip(1e-12)).mean()


def draw_multiclass(seed, temperature, n=4000, k=5):
    """Return scores and labels that a softmax of scores / temperature is true for."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 3, (n, k))
    truth = Calibrator("temperature", temperature=temperature).probabilities(scores)
    codes = (truth.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    return scores, codes


@pytest.mark.parametrize("temperature", [0.2, 1.0, 5.0])
def test_temperature_finds_the_truth_and_keeps_the_labels(temperature):
    scores, codes = draw_multiclass(0, temperature)
    calibrator = fit_calibrator(scores, codes)
    assert calibrator.kind == "temperature"
    assert calibrator.temperature == pytest.approx(temperature, rel=0.1)
    assert (calibrator.probabilities(scores).argmax(axis=1) == scores.argmax(axis=1)).all()


def test_temperature_is_the_minimum_of_the_loss():
    scores, codes = draw_multiclass(1, 2.5)
    best = fit_calibrator(scores, codes)
    loss = log_loss(best.probabilities(scores), codes)
    for factor in (0.9, 1.1):
        other = Calibrator("temperature", temperature=best.temperature * factor)
        assert log_loss(other.probabilities(scores), codes) > loss


@pytest.mark.parametrize(("slope", "intercept"), [(2.0, -1.0), (0.3, 0.5), (40.0, 3.0)])
def test_platt_finds_the_truth_and_lowers_the_loss(slope, intercept):
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 1.5 / slope, 6000)
    truth = Calibrator("platt", slope=slope, intercept=intercept)
    codes = (rng.random(6000) < truth.probabilities(scores)[:, 1]).astype(int)
    fitted = fit_calibrator(scores[:3000], codes[:3000])
    assert fitted.slope == pytest.approx(slope, rel=0.15)
    assert fitted.intercept == pytest.approx(intercept, abs=0.2)
    plain = Calibrator("platt").probabilities(scores[3000:])
    assert log_loss(fitted.probabilities(scores[3000:]), codes[3000:]) < log_loss(
        plain, codes[3000:]
    )


def test_a_perfect_classifier_does_not_become_certain():
    codes = np.array([0, 1] * 20)
    binary = fit_calibrator(np.where(codes, 1.0, -1.0), codes)
    assert binary.probabilities(np.array([1.0]))[0, 1] == pytest.approx(21 / 22, abs=1e-3)
    several = fit_calibrator(np.eye(2)[codes], codes)
    assert 0.95 < several.probabilities(np.array([[0.0, 1.0]]))[0, 1] < 0.999


def test_a_useless_classifier_gives_even_probabilities():
    scores = np.array([[1.0, 0.0, 0.0]] * 30)
    codes = np.array([0, 1, 2] * 10)
    wrong = fit_calibrator(scores, np.full(30, 1))
    for calibrator in (fit_calibrator(scores, codes), wrong):
        assert calibrator.probabilities(scores) == pytest.approx(1 / 3, abs=0.01)
    constant = fit_calibrator(np.zeros((30, 3)), codes)
    assert constant.probabilities(scores[:1]).sum() == pytest.approx(1)
    flat = fit_calibrator(np.zeros(30), codes == 1)
    assert flat.probabilities(np.zeros(1))[0, 1] == pytest.approx((10 * 11 / 12 + 20 / 22) / 30)


def test_scores_of_any_size_do_not_overflow():
    huge = np.array([1e308, -1e308, 0.0])
    platt = Calibrator("platt", slope=1e3, intercept=-5.0).probabilities(huge)
    assert np.isfinite(platt).all()
    assert platt[0, 1] == 1.0
    assert platt[1, 1] == 0.0
    rows = np.array([[1e308, -1e308, 0.0], [-1e308, -1e308, -1e308]])
    several = Calibrator("temperature", temperature=1e-3).probabilities(rows)
    assert several.sum(axis=1) == pytest.approx(1)
    assert several[0, 0] == 1.0
    fitted = fit_calibrator(np.array([1e30, -1e30, 2e30, -3e30]), np.array([1, 0, 1, 0]))
    assert np.isfinite([fitted.slope, fitted.intercept]).all()


@given(
    hnp.arrays(np.float64, (12, 3), elements=st.floats(-1e6, 1e6)),
    hnp.arrays(np.int64, 12, elements=st.integers(0, 2)),
)
def test_any_scores_give_probabilities(scores, codes):
    for values, labels in ((scores, codes), (scores[:, 0], (codes > 0).astype(int))):
        calibrator = fit_calibrator(values, labels)
        probabilities = calibrator.probabilities(values)
        assert np.isfinite(probabilities).all()
        assert probabilities.sum(axis=1) == pytest.approx(1)
        assert Calibrator.from_dict(json.loads(json.dumps(calibrator.to_dict()))) == calibrator


@pytest.mark.parametrize(
    ("scores", "codes", "kind"),
    [
        (np.zeros((3, 2)), np.zeros(3, int), "platt"),
        (np.zeros(3), np.zeros(3, int), "temperature"),
        (np.zeros((3, 2)), np.zeros(2, int), None),
        (np.zeros((0, 2)), np.zeros(0, int), None),
    ],
)
def test_scores_that_do_not_fit_are_refused(scores, codes, kind):
    with pytest.raises(ModelInputError):
        fit_calibrator(scores, codes, kind=kind)


def test_a_calibrator_says_which_scores_it_takes():
    with pytest.raises(ModelInputError, match=r"platt calibrator takes scores of 1 dim.*\(3, 2\)"):
        Calibrator("platt").probabilities(np.zeros((3, 2)))


def test_raw_scores_are_margins_or_probabilities(digits):
    images, labels = digits
    svm = build_model("svm").fit(images, labels)
    assert np.array_equal(raw_scores(svm, images), svm.decision_function(images))
    assert calibrate(svm, images, labels).kind == "temperature"
    knn = build_model("knn").fit(images, labels)
    assert np.array_equal(raw_scores(knn, images), knn.predict_proba(images))
    assert calibrate(knn, images, labels).kind == "probabilities"


def draw_votes(seed, n=6000, k=4):
    """Return shares of five votes, and labels that each class has by (votes + .2) ** 2."""
    rng = np.random.default_rng(seed)
    votes = rng.multinomial(5, [0.7, 0.2, 0.1, 0.0], n)
    truth = (votes + 0.2) ** 2.0
    truth /= truth.sum(axis=1, keepdims=True)
    return votes / 5, (truth.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1), truth


def test_probabilities_get_a_temperature_and_a_smoothing():
    shares, codes, truth = draw_votes(0)
    calibrator = fit_calibrator(shares[:3000], codes[:3000], kind="probabilities")
    found = calibrator.probabilities(shares[3000:])
    assert np.abs(found - truth[3000:]).max() < 0.06
    known = np.log(shares.clip(1e-7))
    only = fit_calibrator(known[:3000], codes[:3000]).probabilities(known[3000:])
    assert log_loss(found, codes[3000:]) < log_loss(only, codes[3000:]) - 0.01


@given(
    hnp.arrays(np.float64, (12, 3), elements=st.floats(0, 1)),
    hnp.arrays(np.int64, 12, elements=st.integers(0, 2)),
)
def test_any_probabilities_keep_their_largest(weights, codes):
    weights[:, 0] += 0.001
    shares = weights / weights.sum(axis=1, keepdims=True)
    calibrator = fit_calibrator(shares, codes, kind="probabilities")
    found = calibrator.probabilities(shares)
    assert found.sum(axis=1) == pytest.approx(1)
    assert found[np.arange(12), shares.argmax(axis=1)] == pytest.approx(found.max(axis=1))
    assert Calibrator.from_dict(json.loads(json.dumps(calibrator.to_dict()))) == calibrator


def test_weights_that_do_not_sum_to_one_are_taken_for_shares():
    shares, codes, _ = draw_votes(1)
    fitted = fit_calibrator(shares, codes, kind="probabilities")
    assert fit_calibrator(2e-7 * shares, codes, kind="probabilities") == fitted
    assert fitted.probabilities(30 * shares) == pytest.approx(fitted.probabilities(shares))


def test_the_rounding_of_even_probabilities_is_not_made_certainty():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, 500)
    even = np.full((500, 4), 0.25) + 1e-9 * np.eye(4)[codes]
    fitted = fit_calibrator(even, codes, kind="probabilities")
    assert fitted.probabilities(even) == pytest.approx(0.25, abs=1e-4)
    stepped = fit_calibrator(even + 1e-3 * np.eye(4)[codes], codes, kind="probabilities")
    assert stepped.temperature == pytest.approx(1e-3)


def test_a_fitted_calibrator_takes_the_plain_ones_place(digits):
    images, labels = digits
    model = build_model("sgd").fit(images[:150], labels[:150])
    labels_before = model.predict(images[150:])
    plain = model.predict_proba(images[150:])
    model.calibrator_ = fit_calibrator(model.decision_function(images[150:]), labels[150:])
    better = model.predict_proba(images[150:])
    assert log_loss(better, labels[150:]) < log_loss(plain, labels[150:])
    assert (model.predict(images[150:]) == labels_before).all()
