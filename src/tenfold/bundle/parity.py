"""Proof that a graph answers as the estimator does that it was made from."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from tenfold.errors import ParityError
from tenfold.inference import OnnxClassifier
from tenfold.schema import FrozenModel

#: How many images a proof needs, where the data have so many.
PARITY_IMAGES = 1000
#: How far a probability may be from the estimator's.
TOLERANCE = 1e-4


class Parity(FrozenModel):
    """A proof: the same label for every image, every probability within the tolerance."""

    images: int = Field(ge=1, description="Images that both answered.")
    largest_difference: float = Field(ge=0, le=TOLERANCE, description="Of any probability.")


def prove_parity(
    classifier: OnnxClassifier,
    images: npt.NDArray[np.uint8],
    *,
    labels: npt.NDArray[np.integer[Any]],
    probabilities: npt.NDArray[np.floating[Any]],
) -> Parity:
    """Compare a graph's answers with those of its estimator.

    Args:
        classifier: The graph.
        images: ``(n, height * width)`` uint8, n at least 1.
        labels: ``(n,)`` class indices that the estimator gave.
        probabilities: ``(n, k)`` that it gave.

    Raises:
        ParityError: A label differs, or a probability by more than the tolerance.
    """
    answers = classifier.answer(images)
    found, given = answers.labels, answers.probabilities
    if given.shape != probabilities.shape or found.shape != labels.shape or not len(images):
        raise ParityError(
            f"the graph gave labels of shape {found.shape} and probabilities of shape "
            f"{given.shape}, the estimator {labels.shape} and {probabilities.shape}"
        )
    changed = int(np.count_nonzero(found != labels))
    difference = float(np.abs(given.astype(np.float64) - probabilities).max())
    if changed or not difference <= TOLERANCE:
        raise ParityError(
            f"the graph gives {changed} of {len(images):,} images another label than its estimator "
            f"and differs by up to {difference:.2g} in a probability; "
            f"allowed are none and {TOLERANCE:g}"
        )
    return Parity(images=len(images), largest_difference=difference)
