"""The rule of the outlier score: where it alarms, and how often by mistake."""

import json

import numpy as np
import pytest

from tenfold.errors import ExportError
from tenfold.export import fit_outlier_rule
from tenfold.export.outliers import Distance, outlier_features
from tenfold.models import build_model


@pytest.fixture(scope="module")
def linear(digits):
    images, labels = digits
    return build_model("logistic_regression").fit(images[:200], labels[:200])


def test_familiar_images_seldom_alarm_and_foreign_ones_mostly(digits, linear):
    images, labels = digits
    rule = fit_outlier_rule(linear, images[:200], labels[:200], images[200:], false_alarms=0.05)
    noise = np.random.default_rng(0).integers(0, 256, (100, 64)).astype(np.uint8)

    def alarms(seen):
        scores = rule.score(outlier_features(linear, seen), linear.predict_proba(seen))
        return (scores > rule.threshold).mean()

    assert alarms(images[200:]) <= 0.05
    assert alarms(noise) == 1.0
    assert alarms(255 - images) > 0.9


def test_fewer_false_alarms_have_a_higher_threshold(digits, linear):
    images, labels = digits
    few, many = (
        fit_outlier_rule(linear, images[:200], labels[:200], images[200:], false_alarms=share)
        for share in (0.01, 0.3)
    )
    assert few.distance_limit > many.distance_limit
    assert few.doubt_limit > many.doubt_limit


def test_doubt_alone_is_enough_for_an_alarm(digits, linear):
    images, labels = digits
    rule = fit_outlier_rule(linear, images[:200], labels[:200], images[200:])
    features = outlier_features(linear, images[:1])
    sure, torn = np.eye(10)[:1], np.full((1, 10), 0.1)
    assert rule.score(features, sure)[0] < rule.threshold < rule.score(features, torn)[0]


def test_probabilities_may_be_given(digits, linear):
    images, labels = digits
    given = np.eye(10)[labels[200:]]
    rule = fit_outlier_rule(linear, images[:200], labels[:200], images[200:], probabilities=given)
    assert rule.doubt_limit == pytest.approx(1e-3)  # nobody ever doubted


def test_the_rule_tells_its_numbers_as_plain_json(digits, linear):
    images, labels = digits
    rule = fit_outlier_rule(linear, images[:200], labels[:200], images[200:])
    told = json.loads(json.dumps(rule.to_dict(), allow_nan=False))
    assert told["threshold"] == rule.threshold
    assert told["false_alarms"] == 0.01


def test_a_distance_is_mahalanobis_where_all_directions_are_kept():
    rng = np.random.default_rng(0)
    codes = np.arange(3000) % 3
    means = np.array([[0.0, 0, 0, 0], [9, 0, 0, 0], [0, 9, 0, 0]])
    values = means[codes] + rng.normal(size=(3000, 4)) * [1.0, 2.0, 0.5, 0.7]
    distance = Distance.fit(values.copy(), codes)
    here = np.stack([values[codes == code].mean(axis=0) for code in range(3)])
    within = values - here[codes]
    inverse = np.linalg.inv(within.T @ within / len(values))
    shifted = values[:50, None] - here
    expected = np.sqrt(np.einsum("ncd,de,nce->nc", shifted, inverse, shifted).min(axis=1))
    assert distance.measure(values[:50]) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    "values",
    [np.zeros((20, 6)), np.ones((20, 1)), np.eye(20)[:, :3], np.full((2, 500), 7.0)],
)
def test_features_that_hardly_differ_give_finite_distances(values):
    distance = Distance.fit(values.copy(), np.arange(len(values)) % 2)
    assert np.isfinite(distance.measure(values)).all()
    far = distance.measure(values + 1)
    assert np.isfinite(far).all()
    assert (far > distance.measure(values)).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((0, 64), dtype=np.uint8)}, "got 0, 200 and 200"),
        ({"codes": np.zeros(3, dtype=int)}, "one class index each"),
        ({"calibrate_images": np.zeros((0, 64), dtype=np.uint8)}, "got 200, 200 and 0"),
        ({"false_alarms": 0.0}, "between 0 and 1; got 0.0"),
        ({"false_alarms": 1.0}, "between 0 and 1; got 1.0"),
    ],
)
def test_what_breaks_a_rule_is_refused(digits, linear, change, message):
    images, labels = digits
    given = {"images": images[:200], "codes": labels[:200], "calibrate_images": images[200:]}
    with pytest.raises(ExportError, match=message):
        fit_outlier_rule(linear, **(given | change))
