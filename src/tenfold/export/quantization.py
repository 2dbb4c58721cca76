"""Networks in 8-bit numbers: a quarter of the size, at the price of some accuracy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import onnx
from onnxruntime import quantization

from tenfold.errors import ExportError
from tenfold.export.graph import MODEL_PART
from tenfold.pixels import check_images

_WEIGHTED = ("Conv", "MatMul")
_BLOCK_ROWS = 64


def quantize_int8(model: bytes, calibration_images: npt.ArrayLike) -> bytes:
    """Return a network's graph with 8-bit weights and activations in its layers.

    Weights are whole numbers of -64 to 64 with a scale for each channel, activations uint8 with
    ranges seen on the images; what follows the logits stays as it was (static quantization, Jacob
    et al. 2018, "Quantization and training of neural networks for efficient integer-arithmetic-only
    inference"). Larger weights would overflow on processors without instructions for small numbers,
    and answer otherwise there. Whether the accuracy holds is for the caller to measure.

    Args:
        model: What `export_onnx` made of a network.
        calibration_images: ``(n, height * width)`` pixels of some hundred training images.

    Returns:
        A graph with the same inputs and outputs, without external data.

    Raises:
        ExportError: The graph is not that of a network.
        ModelInputError: The images break a rule.
    """
    images = check_images(calibration_images)
    graph = onnx.load_model_from_string(model)
    weighted = _weighted_nodes(graph.graph)
    if not weighted:
        raise ExportError(
            "Only networks have an int8 variant; this graph has no layer with float32 weights. "
            "Keep it as it is."
        )
    # Else it warns, through the root logger, that the graph was not simplified first.
    onnx.helper.set_model_props(graph, {"onnx.quant.pre_process": "onnxruntime.quant"})
    with TemporaryDirectory(prefix="tenfold-") as folder:
        target = Path(folder) / "int8.onnx"
        quantization.quantize_static(
            graph,
            target,
            _Images(images),
            quant_format=quantization.QuantFormat.QDQ,
            nodes_to_quantize=weighted,
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        quantized = onnx.load(target)
    del quantized.metadata_props[:]
    content: bytes = quantized.SerializeToString()
    return content


def _weighted_nodes(graph: onnx.GraphProto) -> list[str]:
    """Return the names of the layers that multiply by float32 weights."""
    float_constants = {
        item.name for item in graph.initializer if item.data_type == onnx.TensorProto.FLOAT
    }
    return [
        node.name
        for node in graph.node
        if node.name.startswith(MODEL_PART)
        and node.op_type in _WEIGHTED
        and node.input[1] in float_constants
    ]


class _Images(quantization.CalibrationDataReader):  # type: ignore[misc]  # it ships no types
    """Gives the calibration some images at a time."""

    def __init__(self, images: npt.NDArray[np.uint8]) -> None:
        blocks = range(0, len(images), _BLOCK_ROWS)
        self._blocks: Iterator[npt.NDArray[np.uint8]] = (
            images[start : start + _BLOCK_ROWS] for start in blocks
        )

    def get_next(self) -> dict[str, npt.NDArray[np.uint8]] | None:
        """Return the next inputs of the graph, or None after the last."""
        block = next(self._blocks, None)
        return None if block is None else {"images": block}
