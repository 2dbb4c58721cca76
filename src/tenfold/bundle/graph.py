"""What a bundle's graph may be: one plain ONNX graph that carries all it needs.

The bytes are checked as they lie, before onnxruntime sees them, and without the onnx package. What
is not allowed here is refused, whether ONNX knows it or not, so that the two never read the same
bytes in two ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from tenfold.bundle.messages import (
    ATTRIBUTE,
    DIMENSION,
    GRAPH,
    MODEL,
    NODE,
    OPSET,
    SHAPE,
    TENSOR,
    TENSOR_TYPE,
    TYPE,
    VALUE,
)
from tenfold.bundle.operators import OPERATORS, OPSETS
from tenfold.bundle.wire import WireReader
from tenfold.errors import BundleError

_IR_VERSIONS = range(8, 12)
_MOST_FIELDS = 100_000
_MOST_DIMENSIONS = 8
_ORT_FORMAT = b"ORTM"  # bytes that onnxruntime takes for its own format have this mark
_ITEM_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
_FLOAT, _UINT8, _INT64, _DOUBLE = 1, 2, 7, 11
#: Where a tensor may hold its values, and of which types.
_HELD_IN: Mapping[str, frozenset[int]] = {
    "raw_data": frozenset(_ITEM_BYTES),
    "float_data": frozenset({_FLOAT}),
    "double_data": frozenset({_DOUBLE}),
    "int32_data": frozenset({2, 3, 4, 5, 6, 9, 10, 16}),
    "int64_data": frozenset({_INT64}),
    "uint64_data": frozenset({12, 13}),
}
_LARGEST_SIDE = 2**31 - 1
#: What may be made of tensors while a graph is loaded, and the most bytes of a value of it.
_UNPACKED: Mapping[str, int] = {"Cast": 8, "DequantizeLinear": 4}
_MOST_UNPACKED_BYTES = 512 * 2**20


def check_graph(model: bytes, *, n_pixels: int, n_classes: int) -> int:
    """See that a graph is one that a bundle may have.

    Args:
        model: The bytes of ``model.onnx``.
        n_pixels: What an image must have.
        n_classes: What the probabilities must have columns for.

    Returns:
        The version of its operators.

    Raises:
        BundleError: It is damaged, has external data, a tensor whose size and bytes contradict
            each other, unknown operators or versions, constants that grow while it is loaded, or
            other inputs and outputs. How much memory its answers take is not bounded.
    """
    if model[4:8] == _ORT_FORMAT:
        raise BundleError("it is in onnxruntime's own format; only ONNX is allowed")
    return _Check(WireReader(_MOST_FIELDS)).model(memoryview(model), n_pixels, n_classes)


class _Check:
    """Walks through one model."""

    def __init__(self, reader: WireReader) -> None:
        self._reader = reader
        self._computed = {b"images"}
        self._tensors: dict[bytes, int] = {}  # how many values each has
        self._unpacked_bytes = 0

    def model(self, content: memoryview, n_pixels: int, n_classes: int) -> int:
        model = MODEL.read(self._reader, content)
        version = _one(model["ir_version"], "version of its format")
        if version not in _IR_VERSIONS:
            raise BundleError(
                f"its format has version {version}, known are "
                f"{_IR_VERSIONS.start} to {_IR_VERSIONS.stop - 1}"
            )
        if len(model["opset_import"]) != 1:
            raise BundleError(f"it has operators of {len(model['opset_import'])} domains, not of 1")
        opset = self._opset(model["opset_import"][0])
        graph = GRAPH.read(self._reader, _one(model["graph"], "graph"))
        for tensor in graph["initializer"]:
            self._tensor(tensor)
        for node in graph["node"]:
            self._node(node)
        for value in graph["value_info"]:
            self._value(value)
        inputs = {"images": (_UINT8, (None, n_pixels))}
        outputs = {
            "label": (_INT64, (None,)),
            "probabilities": (_FLOAT, (None, n_classes)),
            "outlier_score": (_FLOAT, (None,)),
        }
        self._see(graph["input"], inputs)
        self._see(graph["output"], outputs)
        return opset

    def _opset(self, content: memoryview) -> int:
        item = OPSET.read(self._reader, content)
        domain = _domain(item["domain"])
        version = int(_one(item["version"], "operator version"))
        if domain or version not in OPSETS:
            raise BundleError(
                f"its operators are of {domain or 'ONNX'!r}, version {version}; "
                f"known are ONNX's of versions {OPSETS.start} to {OPSETS.stop - 1}"
            )
        return version

    def _node(self, content: memoryview) -> None:
        node = NODE.read(self._reader, content)
        domain, operator = _domain(node["domain"]), _text(node["op_type"])
        if domain or operator not in OPERATORS:
            name = f"{domain}.{operator}" if domain else operator
            raise BundleError(f"its operator {name!r} is not one of those allowed")
        for item in node["attribute"]:
            ATTRIBUTE.read(self._reader, item)
        # Without a name is what is left out.
        inputs, outputs = (
            [bytes(name) for name in node[side] if len(name)] for side in ("input", "output")
        )
        if self._computed.isdisjoint(inputs):
            self._unpack(operator, inputs)
        else:
            self._computed.update(outputs)

    def _unpack(self, operator: str, inputs: list[bytes]) -> None:
        """Bound what onnxruntime computes of constants alone, while it loads a graph."""
        if operator not in _UNPACKED or not self._tensors.keys() >= set(inputs):
            raise BundleError(f"its operator {operator!r} computes nothing from the images")
        for name in inputs:
            self._unpacked_bytes += _UNPACKED[operator] * self._tensors[name]
        if self._unpacked_bytes > _MOST_UNPACKED_BYTES:
            raise BundleError(
                f"its constants grow by more than {_MOST_UNPACKED_BYTES:,} bytes while it is loaded"
            )

    def _tensor(self, content: memoryview) -> None:
        tensor = TENSOR.read(self._reader, content)
        if any(tensor["data_location"]):
            raise BundleError("its tensor has external data")
        dims, data_type = tensor["dims"], _one(tensor["data_type"], "type of a tensor")
        if len(dims) > _MOST_DIMENSIONS or max(dims, default=0) > _LARGEST_SIDE:
            raise BundleError(f"its tensor has the shape {dims[: _MOST_DIMENSIONS + 1]}")
        held = [name for name in _HELD_IN if tensor[name]]
        if len(held) > 1 or any(data_type not in _HELD_IN[name] for name in held):
            raise BundleError(f"its tensor of type {data_type} has {' and '.join(held)}")
        found = _count(held[0], tensor[held[0]][0], data_type) if held else 0
        if found != prod(dims) or data_type not in _ITEM_BYTES:
            raise BundleError(
                f"its tensor of type {data_type} declares {prod(dims):,} values and has {found:,}"
            )
        self._tensors[bytes(tensor["name"][0]) if tensor["name"] else b""] = prod(dims)

    def _value(self, content: memoryview) -> tuple[str, int, tuple[int | None, ...]]:
        value = VALUE.read(self._reader, content)
        kind = TYPE.read(self._reader, _one(value["type"], "type of a value"))
        tensor = TENSOR_TYPE.read(self._reader, _one(kind["tensor_type"], "type of a value"))
        dims: list[int | None] = []
        for shape in tensor["shape"]:
            for item in SHAPE.read(self._reader, shape)["dim"]:
                size = DIMENSION.read(self._reader, item)["dim_value"]
                dims.append(size[0] if size else None)
        return _text(value["name"]), sum(tensor["elem_type"]), tuple(dims)

    def _see(
        self, values: list[memoryview], wanted: Mapping[str, tuple[int, tuple[int | None, ...]]]
    ) -> None:
        """See that inputs or outputs are those wanted, in their order; the batch size is free."""
        found = [self._value(value) for value in values]
        if [name for name, _, _ in found] != list(wanted):
            raise BundleError(
                f"it takes or gives {', '.join(name for name, _, _ in found) or 'nothing'}, "
                f"where {', '.join(wanted)} must be"
            )
        for name, kind, dims in found:
            if (kind, dims) != wanted[name]:
                raise BundleError(
                    f"its {name!r} is of type {kind} and shape {_shown(dims)}, it must be of "
                    f"type {wanted[name][0]} and shape {_shown(wanted[name][1])}"
                )


def _count(name: str, data: memoryview, data_type: int) -> float:
    """Return how many values a tensor's bytes hold; a fraction where the last is cut off."""
    if name in ("raw_data", "float_data", "double_data"):
        return len(data) / _ITEM_BYTES[data_type]
    return float(np.count_nonzero(np.frombuffer(data, dtype=np.uint8) < 0x80))


def _one(values: list[Any], what: str) -> Any:
    if not values:
        raise BundleError(f"it has no {what}")
    return values[0]


def _domain(values: list[memoryview]) -> str:
    """Return a domain of operators; ONNX's own has two names."""
    name = _text(values) if values else ""
    return "" if name == "ai.onnx" else name


def _text(values: list[memoryview]) -> str:
    try:
        return str(_one(values, "name where one is needed"), "utf-8")
    except UnicodeDecodeError as error:
        raise BundleError("it has a name that is no UTF-8 text") from error


def _shown(dims: tuple[int | None, ...]) -> str:
    return f"[{', '.join('n' if size is None else str(size) for size in dims)}]"
