"""Real digits, small enough that every model learns them in an instant, and a graph's answers."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tenfold.inference import OnnxClassifier


@pytest.fixture(scope="session")
def digits():
    """Return 400 images of 8×8 pixels, 0..255, and their labels."""
    bunch = load_digits()
    images = np.rint(bunch.data[:400] * 255 / 16).astype(np.uint8)
    images.setflags(write=False)
    return images, bunch.target[:400]


@pytest.fixture(scope="session")
def same():
    """Return a function that compares a graph's answers with an estimator's."""

    def compare(model, estimator, images, *, tolerance=2e-6):
        answers = OnnxClassifier(model).answer(images)
        expected = estimator.predict_proba(images)
        assert (estimator.classes_[answers.labels] == estimator.predict(images)).all()
        assert answers.probabilities == pytest.approx(expected, abs=tolerance)
        assert np.isfinite(answers.outlier_scores).all()
        return answers

    return compare
