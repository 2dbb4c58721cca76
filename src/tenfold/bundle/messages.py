"""The parts of ONNX's messages that a bundle may have, and those it is refused for.

https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tenfold.bundle.wire import BYTES, FIXED32, VARINT, WireReader
from tenfold.errors import BundleError


@dataclass(frozen=True)
class Part:
    """One field of a message.

    Args:
        name: Its name in onnx.proto.
        kind: Its wire type.
        many: Whether it may occur more than once.
    """

    name: str
    kind: int = BYTES
    many: bool = False


@dataclass(frozen=True)
class Message:
    """One kind of message.

    Args:
        name: What people call it.
        parts: The fields that it may have, by number.
        refused: What other fields hold, by number, for the error.
        passed_over: Runs of fields that need no look.
    """

    name: str
    parts: Mapping[int, Part]
    refused: Mapping[int, str] = field(default_factory=dict)
    passed_over: re.Pattern[bytes] | None = None

    def read(self, reader: WireReader, content: memoryview) -> dict[str, list[Any]]:
        """Return the values of each part by its name; none for one that is not there.

        Raises:
            BundleError: The content has a part that is not allowed, or one twice.
        """
        found: dict[str, list[Any]] = {part.name: [] for part in self.parts.values()}
        for number, kind, value in reader.fields(content, passed_over=self.passed_over):
            part = self.parts.get(number)
            if part is None or part.kind != kind:
                what = self.refused.get(number, f"a part that is not known (number {number})")
                raise BundleError(f"its {self.name} has {what}")
            if found[part.name] and not part.many:
                raise BundleError(f"its {self.name} has two of {part.name!r}")
            found[part.name].append(value)
        return found


MODEL = Message(
    "model",
    {
        1: Part("ir_version", VARINT),
        2: Part("producer_name"),
        3: Part("producer_version"),
        4: Part("domain"),
        5: Part("model_version", VARINT),
        6: Part("doc_string"),
        7: Part("graph"),
        8: Part("opset_import", many=True),
    },
    # onnxruntime may take session options from a model's metadata.
    refused={14: "metadata", 20: "training", 25: "functions of its own", 26: "device settings"},
)
OPSET = Message("opset", {1: Part("domain"), 2: Part("version", VARINT)})
GRAPH = Message(
    "graph",
    {
        1: Part("node", many=True),
        2: Part("name"),
        5: Part("initializer", many=True),
        10: Part("doc_string"),
        11: Part("input", many=True),
        12: Part("output", many=True),
        13: Part("value_info", many=True),
        16: Part("metadata_props", many=True),
    },
    refused={14: "quantization notes", 15: "sparse tensors"},
)
NODE = Message(
    "node",
    {
        1: Part("input", many=True),
        2: Part("output", many=True),
        3: Part("name"),
        4: Part("op_type"),
        5: Part("attribute", many=True),
        6: Part("doc_string"),
        7: Part("domain"),
        9: Part("metadata_props", many=True),
    },
    refused={8: "an overload", 10: "device settings"},
)
ATTRIBUTE = Message(
    "attribute",
    {
        1: Part("name"),
        2: Part("f", FIXED32),
        3: Part("i", VARINT),
        4: Part("s"),
        9: Part("strings", many=True),
        13: Part("doc_string"),
        20: Part("type", VARINT),
    },
    refused={
        **dict.fromkeys((6, 11), "a graph inside"),
        **dict.fromkeys((5, 10, 22, 23), "a tensor of its own"),
    },
    # Lists of floats and of whole numbers have one field for each item.
    passed_over=re.compile(rb"(?:\x3d.{4})++|(?:\x40[\x80-\xff]{0,9}[\x00-\x7f])++", re.DOTALL),
)
TENSOR = Message(
    "tensor",
    {
        1: Part("dims", VARINT, many=True),
        2: Part("data_type", VARINT),
        4: Part("float_data"),
        5: Part("int32_data"),
        7: Part("int64_data"),
        8: Part("name"),
        9: Part("raw_data"),
        10: Part("double_data"),
        11: Part("uint64_data"),
        12: Part("doc_string"),
        14: Part("data_location", VARINT),
    },
    refused={3: "a segment", 6: "texts", 13: "external data", 16: "metadata"},
)
VALUE = Message(
    "value",
    {
        1: Part("name"),
        2: Part("type"),
        3: Part("doc_string"),
        4: Part("metadata_props", many=True),
    },
)
TYPE = Message(
    "type",
    {1: Part("tensor_type"), 6: Part("denotation")},
    refused=dict.fromkeys((4, 5, 7, 8, 9), "a value that is no plain tensor"),
)
TENSOR_TYPE = Message("type", {1: Part("elem_type", VARINT), 2: Part("shape")})
SHAPE = Message("shape", {1: Part("dim", many=True)})
DIMENSION = Message(
    "dimension", {1: Part("dim_value", VARINT), 2: Part("dim_param"), 3: Part("denotation")}
)
