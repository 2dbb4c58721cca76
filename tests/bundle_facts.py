"""What a bundle in a test says of its model, where the test does not care."""

from datetime import UTC, datetime

from tenfold.bundle import BundleFacts
from tenfold.imaging import PictureStyle

FACTS = {
    "name": "tiny",
    "title": "Tiny C=1",
    "model": "logistic_regression",
    "params": {"C": 1.0, "solver": "lbfgs"},
    "class_names": ("zero", "one", "two"),
    "image_shape": (3, 4),
    "style": PictureStyle(fills_frame=True),
    "calibration": None,
    "thresholds": {"outlier": -0.4},
    "scores": {"accuracy": {"value": 0.9, "low": 0.85, "high": 0.94}},
    "test_images": 200,
    "dataset": "made up",
    "fingerprint": "ab" * 32,
    "split": "{}",
    "fitted_on": "train",
    "chosen_by": "The only one there was.",
    "trial_key": "cd" * 32,
    "licence": "MIT",
    "created": datetime(2026, 11, 3, 12, tzinfo=UTC),
}


def make_facts(**changes):
    """Return the facts of a small model of 12 pixels and 3 classes, with changes."""
    return BundleFacts(**FACTS | changes)
