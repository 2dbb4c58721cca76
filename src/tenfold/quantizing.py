"""The int8 variant of a finished network, kept only where its accuracy holds."""

from __future__ import annotations

from dataclasses import dataclass

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
        facts: What 8-bit numbers changed on validation images.
        scores: Of the int8 graph itself, on the test images.
    """

    model: bytes
    facts: Quantization
    scores: Scores


def quantize(model: bytes, split: Split, *, trial_key: str) -> Quantized:
    """Return a network's int8 variant, if its accuracy holds.

    The ranges of the activations are seen on training images. Whether the accuracy holds is
    decided on the *calibrate* rows: it may not fall below the 95 % interval of the float32 graph's.
    Only then are the test images opened, to report on the variant.

    Args:
        model: What `tenfold.export.export_onnx` made of a network.
        split: The data that the network was trained on.
        trial_key: Key of the trial, for the record of what the test was opened for.

    Raises:
        ExportError: The graph is not a network's, or the accuracy does not hold.
    """
    from tenfold.export import quantize_int8

    small = quantize_int8(model, split.images[split.train[:_RANGE_IMAGES]])
    rows = np.unique(split.validation_rows[split.calibrate])
    images, labels = split.images[rows], split.labels[rows]
    before, after = (OnnxClassifier(graph).answer(images).labels for graph in (model, small))
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
    )
    opened = open_sealed_test(split, choices={"trial": trial_key, "variant": "int8"})
    found = OnnxClassifier(small).answer(split.test.images)
    return Quantized(
        small, facts, score(opened, found.probabilities, class_names=split.class_names)
    )
