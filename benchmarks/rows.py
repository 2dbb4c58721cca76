"""The images that both sides of a measurement learn from, and those that they are graded on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.config import load_settings
from tenfold.data import Split, load_dataset, make_split, open_sealed_test
from tenfold.evaluation import wilson_interval


@dataclass(frozen=True, eq=False)
class Rows:
    """What one training learns from, and what it is graded on.

    Args:
        images: ``(n, height * width)`` uint8 to learn from.
        labels: ``(n,)`` int64 class indices.
        held_images: ``(n_held, height * width)`` uint8 to be graded on.
        split: Where they come from.
        sealed: Whether the held images are the sealed test; else they are the validation rows.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    held_images: npt.NDArray[np.uint8]
    split: Split
    sealed: bool

    def truth(self, choices: Mapping[str, Any]) -> npt.NDArray[np.int64]:
        """Return the class indices of the held rows.

        Args:
            choices: What was decided beforehand; the sealed test is opened for it.
        """
        if self.sealed:
            return open_sealed_test(self.split, choices=choices)
        return self.split.labels[self.split.validation_rows]

    def grade(
        self, predicted: npt.NDArray[np.int64], choices: Mapping[str, Any]
    ) -> dict[str, float]:
        """Return the accuracy on the held rows and its 95 % interval (Wilson 1927).

        Args:
            predicted: ``(n_held,)`` class indices.
            choices: What was decided beforehand; the sealed test is opened for it.
        """
        truth = self.truth(choices)
        interval = wilson_interval(int((predicted == truth).sum()), len(truth))
        return {"accuracy": interval.value, "low": interval.low, "high": interval.high}


def load_rows(spec: Mapping[str, Any]) -> Rows:
    """Load and split a data set.

    Args:
        spec: ``dataset``, a name; ``part``: ``"train"`` learns from the training rows and is graded
            on the validation rows, ``"all"`` learns from both and is graded on the sealed test,
            ``"sweep"`` learns from the training rows and is graded on the sealed test, as the rows
            of an experiment are; ``max_images``, the most rows to draw from the data set, or None.

    Raises:
        UsageError: The data cannot be used.
        DownloadError: They are neither there nor to be fetched; the message says where they go.
    """
    dataset = load_dataset(
        spec["dataset"], data_dir=load_settings().data_dir, max_images=spec["max_images"]
    )
    # The limit below which validation is by folds must not turn a miniature into something else.
    split = make_split(dataset, cv_below=0)
    if spec["part"] == "all":
        return Rows(split.images, split.labels, split.test.images, split, sealed=True)
    images, labels = split.images[split.train], split.labels[split.train]
    if spec["part"] == "sweep":
        return Rows(images, labels, split.test.images, split, sealed=True)
    return Rows(images, labels, split.images[split.validation_rows], split, sealed=False)
