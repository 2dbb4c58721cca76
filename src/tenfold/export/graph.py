"""A graph under construction: it names values, holds constants, and ends as one ONNX model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from tenfold.errors import ExportError

#: Version of ONNX's operators; onnxruntime knows it from 1.18 on.
OPSET = 21

_IR_VERSION = 10
_LARGEST_MODEL = 2**31 - 2**20  # protobuf's limit, less room for the nodes
_SHOWN_CONSTANT = 256  # values of a constant that shape inference may need, such as a shape

#: The nodes of the model itself have names that begin so; the others come after it.
MODEL_PART = "model/"

#: A name of a value, or a constant that is given one.
Value = str | npt.NDArray[Any] | np.generic


class Graph:
    """Nodes and constants from ``images`` on.

    Args:
        n_pixels: Columns of ``images``.

    Attributes:
        part: Begins the names of the nodes that are added next.
    """

    def __init__(self, n_pixels: int) -> None:
        self.n_pixels = n_pixels
        self.part = MODEL_PART
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._unit: str | None = None

    def add(self, operator: str, *inputs: Value, **attributes: Any) -> str:
        """Add a node with one output.

        Args:
            operator: ONNX's name of it.
            inputs: Names of values, or arrays to be held as constants.
            attributes: The node's attributes.

        Returns:
            The output's name.
        """
        return self.split(operator, *inputs, n_outputs=1, **attributes)[0]

    def split(
        self, operator: str, *inputs: Value, n_outputs: int, **attributes: Any
    ) -> tuple[str, ...]:
        """Add a node with several outputs and return their names; see `add`."""
        names = [item if isinstance(item, str) else self.constant(item) for item in inputs]
        name = f"{self.part}{operator}_{len(self._nodes)}"
        outputs = [name, *(f"{name}.{place}" for place in range(1, n_outputs))]
        self._nodes.append(helper.make_node(operator, names, outputs, name=name, **attributes))
        return tuple(outputs)

    def constant(self, value: npt.NDArray[Any] | np.generic) -> str:
        """Hold an array and return its name."""
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def cast(self, value: Value, dtype: npt.DTypeLike) -> str:
        """Add a conversion to another type of number."""
        return self.add("Cast", value, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def reshape(self, value: Value, *shape: int) -> str:
        """Add a change of shape; one size may be -1, and 0 keeps the size that is there."""
        return self.add("Reshape", value, np.array(shape, dtype=np.int64))

    def reduce(self, operator: str, value: Value, axis: int, *, keep: bool = False) -> str:
        """Add a reduction over one axis."""
        return self.add(operator, value, np.array([axis], dtype=np.int64), keepdims=int(keep))

    def unit_pixels(self) -> str:
        """Return the pixels as ``(n, n_pixels)`` float32, values 0 to 1; one node for all users."""
        if self._unit is None:
            self._unit = self.add("Div", self.cast("images", np.float32), np.float32(255))
        return self._unit

    def finish(self, outputs: Sequence[tuple[str, str, npt.DTypeLike, tuple[int, ...]]]) -> bytes:
        """Return the serialized model.

        Args:
            outputs: For each its name, the value it shows, its type, and its sizes after the
                first, which is the number of images.

        Raises:
            ExportError: The model is larger than ONNX's format can hold.
        """
        size = sum(len(item.raw_data) for item in self._constants)
        if size > _LARGEST_MODEL:
            raise ExportError(
                f"The graph would hold {size / 2**30:.1f} GiB; one ONNX file holds less than 2. "
                "Fit the model on fewer images or principal components."
            )
        shown = []
        for name, value, dtype, rest in outputs:
            self._nodes.append(helper.make_node("Identity", [value], [name], name=name))
            kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
            shown.append(helper.make_tensor_value_info(name, kind, ["n", *rest]))
        graph = helper.make_graph(
            self._nodes, "tenfold", [self._images("n")], shown, self._constants
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=_IR_VERSION,
            producer_name="tenfold",
        )
        graph = model.graph
        graph.doc_string = json.dumps({"row_bytes": self._row_bytes(shown)})
        content: bytes = model.SerializeToString()
        return content

    def _images(self, n_images: int | str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info("images", TensorProto.UINT8, [n_images, self.n_pixels])

    def _row_bytes(self, outputs: Sequence[onnx.ValueInfoProto]) -> int:
        """Return how much the values of one image need while a node computes, at the most.

        Shapes are inferred for one image, with the large constants' values left out.
        """
        small = [item for item in self._constants if np.prod(item.dims) <= _SHOWN_CONSTANT]
        large = [
            helper.make_tensor_value_info(item.name, item.data_type, list(item.dims))
            for item in self._constants
            if np.prod(item.dims) > _SHOWN_CONSTANT
        ]
        graph = helper.make_graph(self._nodes, "one", [self._images(1), *large], outputs, small)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
        sizes = {value.name: _value_bytes(value) for value in inferred.value_info}
        return max(
            sum(sizes.get(name, 0) for name in {*node.input, *node.output}) for node in self._nodes
        )


def _value_bytes(value: onnx.ValueInfoProto) -> int:
    """Return the bytes of a value; unknown sizes count as 1."""
    tensor = value.type.tensor_type
    item = helper.tensor_dtype_to_np_dtype(tensor.elem_type).itemsize
    return int(item * np.prod([max(1, size.dim_value) for size in tensor.shape.dim]))
