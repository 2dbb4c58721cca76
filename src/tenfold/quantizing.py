"""The int8 variant of a finished network, kept only where its accuracy holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tenfold.bundle import Quantization, Score
from tenfold.data import Split, open_sealed_test
from tenfold.errors import ExportError
from tenfold.evaluation import Scores, score, wilson_interval
from tenfold.inference import OnnxClassifier

_RANGE_IMAGES = 500


@dataclass(frozen=True, eq=False)
class Quantized:
    """An int8 graph whose accuracy held.

    Args:
        model: The graph, in ONNX's form.
        facts: What 8-bit numbers changed on validation images, and what those are to the network.
        scores: Of the int8 graph itself, on the test images.
    """

    model: bytes
    facts: Quantization
    scores: Scores


def quantize(model: bytes, split: Split, *, trial_key: str, train_fit: bytes | None) -> Quantized:
    """Return a network's int8 variant, if its accuracy holds.

    The ranges of the activations are seen on training images. Whether the accuracy holds is
    decided on the *calibrate* rows: it may not fall below the 95 % interval of the float32 graph's.
    A refit learned from those rows, so its train fit decides in its place; where there is none, as
    with cross-validation, the facts say that the rows were learned from. Only then are the test
    images opened, to report on the variant.

    Args:
        model: What `tenfold.export.export_onnx` made of a network.
        split: The data that the network was trained on.
        trial_key: Key of the trial, for the record of what the test was opened for.
        train_fit: The graph of the same recipe that learned from the train rows alone: the model
            itself, or what it is a refit of; None: there is none.

    Raises:
        ExportError: The graph is not a network's, or the accuracy does not hold.
    """
    from tenfold.export import quantize_int8

    seen = split.images[split.train[:_RANGE_IMAGES]]
    small = quantize_int8(model, seen)
    pair = (model, small)
    if train_fit is not None and train_fit != model:
        pair = (train_fit, quantize_int8(train_fit, seen))
    rows = np.unique(split.validation_rows[split.calibrate])
    images, labels = split.images[rows], split.labels[rows]
    before, after = (OnnxClassifier(graph).answer(images).labels for graph in pair)
    held = wilson_interval(int((before == labels).sum()), len(labels))
    accuracy = float((after == labels).mean())
    if accuracy < held.low:
        raise ExportError(
            f"in int8 the accuracy on {len(rows):,} validation images is {accuracy:.4f}, below "
            f"the 95 % interval {held.low:.4f} to {held.high:.4f} of the model as it is; "
            "export it without int8"
        )
    facts = Quantization(
        images=len(rows),
        accuracy=accuracy,
        accuracy_before=Score(value=held.value, low=held.low, high=held.high),
        labels_changed=int(np.count_nonzero(before != after)),
        compared_on=_compared_on(model, train_fit),
    )
    opened = open_sealed_test(split, choices={"trial": trial_key, "variant": "int8"})
    found = OnnxClassifier(small).answer(split.test.images)
    return Quantized(
        small, facts, score(opened, found.probabilities, class_names=split.class_names)
    )


def _compared_on(
    model: bytes, train_fit: bytes | None
) -> Literal["held out", "held out from the train fit", "learned from"]:
    if train_fit is None:
        return "learned from"
    return "held out" if train_fit == model else "held out from the train fit"
