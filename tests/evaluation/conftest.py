"""Trial results and reports made of random numbers, for the tests of evaluation."""

import re
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest

from tenfold.evaluation import ReportInput, build_leaderboard, choose_winner
from tenfold.records import Predictions, Trial, TrialResult

CLASSES = ("cat", "dog", "owl")
N_TEST, N_VALIDATION = 120, 80


def make_probabilities(labels, k, *, skill=2.0, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(len(labels), k))
    logits[np.arange(len(labels)), labels] += skill
    weights = np.exp(logits)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float16)


class Lab:
    """Labels of one imaginary experiment, and results that trials would give on them."""

    def __init__(self, class_names=CLASSES, n_test=N_TEST):
        rng = np.random.default_rng(42)
        self.class_names = tuple(class_names)
        k = len(self.class_names)
        self.test_labels = np.arange(n_test) % k
        self.validation_labels = rng.permutation(np.arange(N_VALIDATION) % k)
        self.select = np.arange(N_VALIDATION) % 2 == 0
        self.test_images = rng.integers(0, 256, (n_test, 6), dtype=np.uint8)

    def finished(self, title, *, skill, label="", repeat=0, refit=False, seed=None, **fields):
        k = len(self.class_names)
        seed = repeat if seed is None else seed
        trial = Trial(title.lower(), {"p": label}, title, label, seed, repeat=repeat, refit=refit)
        noise = hash_of(title, label, repeat, refit)
        predictions = Predictions(
            None
            if refit
            else make_probabilities(self.validation_labels, k, skill=skill, seed=noise),
            make_probabilities(self.test_labels, k, skill=skill, seed=noise + 1),
        )
        key = f"{title}-{label}-{repeat}-{'refit' if refit else 'base'}"
        defaults = {"fit_s": 1.5, "predict_us_per_image": 2.5, "model_bytes": 1000}
        return TrialResult(trial, key, "finished", predictions=predictions, **defaults | fields)

    def failed(self, title, *, error="ValueError: too wide", **kwargs):
        result = self.finished(title, skill=1, **kwargs)
        return replace(result, status="failed", error=error, predictions=None)

    def board(self, results, **kwargs):
        winner = choose_winner(results, self.validation_labels, self.select)
        return build_leaderboard(
            results,
            test_labels=self.test_labels,
            validation_labels=self.validation_labels,
            select=self.select,
            winner_key=winner,
            class_names=self.class_names,
            draws=100,
            **kwargs,
        )

    def report(self, results, **fields):
        board = self.board(results)
        winner = next((r for r in results if r.key == board.winner_key), None)
        given = {
            "name": "pets",
            "leaderboard": board,
            "image_shape": (2, 3),
            "dataset": {"Name": "pets", "Images": 1200, "Recorded": True, "Rules": ("a", "b")},
            "split": "100 train images, 80 for validation, 120 for the sealed test.",
            "fingerprint": "0123abcd" * 8,
            "class_counts": [60] * len(self.class_names),
            "config_yaml": "name: pets\n",
            "seed": 7,
            "environment": {"Python": "3.11", "Machine": None},
            "created": "2026-11-22",
            "audit_rows": [("blank images", 2, "look at them")],
            "sample_images": self.test_images[:6],
            "sample_labels": self.test_labels[:6],
            "test_images": self.test_images,
            "test_labels": self.test_labels,
            "test_probabilities": None if winner is None else winner.predictions.test,
        }
        return ReportInput(**given | fields)


def list_schemes():
    """Return the colours of the report's light and of its dark scheme, by name."""
    css = files("tenfold.evaluation").joinpath("templates/report.css").read_text("utf-8")
    blocks = re.findall(r":root \{([^}]*)\}", css)
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in blocks)
    return light, {**light, **dark}


def contrast(colour, ground, *, opacity=1.0, below="#ffffff"):
    """Return WCAG's contrast of a text with its ground, which may let through what is below it."""
    under = opacity * to_rgb(ground) + (1 - opacity) * to_rgb(below)
    darker, lighter = sorted(luminance(found) for found in (to_rgb(colour), under))
    return (lighter + 0.05) / (darker + 0.05)


def to_rgb(colour):
    return np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255


def luminance(rgb):
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def hash_of(*parts):
    return sum(ord(letter) * (place + 1) for place, letter in enumerate(repr(parts))) % 10_000


@pytest.fixture
def lab():
    return Lab()


@pytest.fixture
def two_class_lab():
    return Lab(("not 5", "5"))


@pytest.fixture
def make_lab():
    return Lab
