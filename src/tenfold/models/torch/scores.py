"""What a network says of images, and how well."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tenfold.models.torch.rows import Rows

# Rows that go through a network at once. A processor's caches hold what the layers give for some
# hundred; more take up to twice as long for each image. A GPU wants more.
_CPU_ROWS, _GPU_ROWS = 128, 2000


@torch.inference_mode()
def evaluate(network: nn.Module, rows: Rows) -> dict[str, float]:
    """Return a network's scores over some rows.

    Args:
        network: From uint8 rows to logits.
        rows: Images and their codes.

    Returns:
        ``loss``, the mean cross entropy, and ``accuracy``, ``precision``, ``recall`` and ``f1``,
        0 to 1; the last three are plain means over the classes that occur in the rows or among
        the predictions, as scikit-learn's macro averages are.
    """
    logits = predict_logits(network, rows.images)
    loss = functional.cross_entropy(logits, rows.codes)
    said = logits.argmax(dim=1)
    n_classes = logits.shape[1]
    there = torch.bincount(rows.codes, minlength=n_classes)
    called = torch.bincount(said, minlength=n_classes)
    right = torch.bincount(rows.codes[said == rows.codes], minlength=n_classes).double()
    met = there + called > 0
    return {
        "loss": float(loss),
        "accuracy": float((said == rows.codes).float().mean()),
        "precision": float((right / called.clamp(min=1))[met].mean()),
        "recall": float((right / there.clamp(min=1))[met].mean()),
        "f1": float((2 * right / (there + called).clamp(min=1))[met].mean()),
    }


@torch.inference_mode()
def predict_logits(network: nn.Module, images: Tensor) -> Tensor:
    """Return ``(n, n_classes)`` logits in float32, whatever the precision of the training.

    Args:
        network: From uint8 rows to logits; it is left in evaluation mode.
        images: ``(n, height * width)`` uint8 on the network's device.
    """
    network.eval()
    at_once = _CPU_ROWS if images.device.type == "cpu" else _GPU_ROWS
    return torch.cat([network(block) for block in images.split(at_once)])
