"""What a network says of images, and how well."""

from __future__ import annotations

import logging

import torch
from torch import Tensor, nn
from torch.nn import functional

from tenfold.errors import TrainingMemoryError
from tenfold.models.torch.device import error_line, free_memory, is_shortage
from tenfold.models.torch.rows import Rows

logger = logging.getLogger(__name__)

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
    return {"loss": float(loss), **scores_of(rows.codes, logits.argmax(dim=1))}


def scores_of(codes: Tensor, said: Tensor) -> dict[str, float]:
    """Return ``accuracy``, ``precision``, ``recall`` and ``f1`` as `evaluate` does.

    Args:
        codes: ``(n,)`` whole numbers, the true classes; n at least 1.
        said: ``(n,)`` whole numbers, the predicted ones.
    """
    codes, said = codes.cpu(), said.cpu()  # not every GPU has float64
    n_classes = 1 + int(max(codes.max(), said.max()))
    there = torch.bincount(codes, minlength=n_classes)
    called = torch.bincount(said, minlength=n_classes)
    right = torch.bincount(codes[said == codes], minlength=n_classes).double()
    met = there + called > 0
    return {
        "accuracy": float(right.sum() / len(codes)),
        "precision": float((right / called.clamp(min=1))[met].mean()),
        "recall": float((right / there.clamp(min=1))[met].mean()),
        "f1": float((2 * right / (there + called).clamp(min=1))[met].mean()),
    }


@torch.inference_mode()
def predict_logits(network: nn.Module, images: Tensor) -> Tensor:
    """Return ``(n, n_classes)`` logits in float32, whatever the precision of the training.

    Where the memory is short, fewer images go through the network at once.

    Args:
        network: From uint8 rows to logits; it is left in evaluation mode.
        images: ``(n, height * width)`` uint8 on the network's device.

    Raises:
        TrainingMemoryError: The memory is too small even for one image at a time.
    """
    network.eval()
    at_once = _CPU_ROWS if images.device.type == "cpu" else _GPU_ROWS
    while True:
        try:
            return torch.cat([network(block) for block in images.split(at_once)])
        except RuntimeError as error:
            at_once = min(at_once, len(images)) // 2
            if not is_shortage(error):
                raise
            if not at_once:
                raise TrainingMemoryError(
                    f"the memory is too small even for 1 image at a time ({error_line(error)}); "
                    "make the network smaller, or use it where there is more memory"
                ) from error
        free_memory()  # not before the error is gone: its frames hold what is to be freed
        logger.info("out of memory; going on with %d images at a time", at_once)
