"""Exact scalar products between many rows of pixels, as fast as the processor can."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnx import TensorProto, helper

from tenfold.pixels import Images

Ints = npt.NDArray[np.integer[Any]]

# Of so many pixels, squared distances and twice the products of rows fit into 32 bits.
_WIDEST_INT32 = 16_000
_BLOCK_ROWS = 512


class PixelRows:
    """Rows of pixels, to be multiplied with others.

    Args:
        rows: ``(n, n_pixels)``; a copy is kept, without the pixels that are 0 in every row, such
            as the border of most digits.

    Attributes:
        number: Type of numbers that holds squared distances.
        shift: What `columns` takes off each pixel.
        sums: ``(n,)`` sum of each row's pixels.
        lengths: ``(n,)`` squared length of each row.
    """

    def __init__(self, rows: Images) -> None:
        self._used = np.flatnonzero(rows.any(axis=0)) if rows.any() else np.zeros(1, dtype=np.intp)
        self._rows = rows.take(self._used, axis=1)
        self._multiplier = _exact_multiplier()
        self.shift = self._multiplier.shift
        narrow = rows.shape[1] <= _WIDEST_INT32
        self.number: type[np.integer[Any]] = np.int32 if narrow else np.int64
        self.sums: Ints = self._rows.sum(axis=1, dtype=self.number)
        self.lengths = squared_lengths(self._rows, self.number)

    def __len__(self) -> int:
        return len(self._rows)

    def columns(self, others: Images) -> Ints:
        """Return ``(n_used, m)``: other images' pixels, less the shift, as `products` takes them.

        Args:
            others: ``(m, n_pixels)``.
        """
        return self._multiplier.columns(others[:, self._used])

    def products(self, part: slice, columns: Ints) -> Ints:
        """Return ``(n_part, m)`` products of rows x with columns b: x.b = x.q - shift * sum(x).

        Args:
            part: Of the rows.
            columns: From `columns`.
        """
        rows = self._rows[part]
        if self.number is np.int32:
            return self._multiplier.products(rows, columns)
        total = np.zeros((len(rows), columns.shape[1]), dtype=np.int64)
        for start in range(0, len(columns), _WIDEST_INT32):
            pixels = slice(start, start + _WIDEST_INT32)
            total += self._multiplier.products(rows[:, pixels], columns[pixels])
        return total


def squared_lengths(images: Images, number: type[np.integer[Any]]) -> Ints:
    """Return ``(n,)`` squared lengths.

    Args:
        images: ``(n, n_pixels)``.
        number: Type of numbers that holds them.
    """
    lengths = np.empty(len(images), dtype=number)
    for start in range(0, len(images), _BLOCK_ROWS):
        pixels: Ints = images[start : start + _BLOCK_ROWS].astype(number)
        np.einsum("ij,ij->i", pixels, pixels, out=lengths[start : start + _BLOCK_ROWS])
    return lengths


@dataclass(frozen=True)
class _Multiplier:
    """Products of uint8 with uint8, or with int8 after a shift.

    Args:
        session: Multiplies two matrices of whole numbers on the calling thread.
        shift: 128 where the second factor is int8, 0 where it is uint8.
    """

    session: Any
    shift: int

    def columns(self, others: Images) -> Ints:
        """Return the second factor, ``(n_pixels, m)``."""
        number = np.int8 if self.shift else np.uint8
        shifted = np.subtract(others, self.shift, dtype=np.int16)
        return np.ascontiguousarray(shifted.T, dtype=number)

    def products(self, rows: Images, columns: Ints) -> Ints:
        """Return ``(n_rows, m)`` products, int32."""
        product: Ints = self.session.run(None, {"rows": rows, "columns": columns})[0]
        return product


@functools.cache
def _exact_multiplier() -> _Multiplier:
    """Return the faster of two ways that are exact on this processor.

    uint8 times int8 is by far the faster where the processor has instructions for it (VNNI). On
    x86 without them onnxruntime adds pairs of such products in 16 bits, which overflow; a product
    of the largest numbers shows it. uint8 times uint8 is exact everywhere
    (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html).
    """
    fast = _Multiplier(_session(TensorProto.INT8), 128)
    rows = np.full((64, 256), 255, dtype=np.uint8)
    exact = fast.products(rows, fast.columns(np.zeros((64, 256), dtype=np.uint8)))
    if (exact == -128 * 255 * 256).all():
        return fast
    return _Multiplier(_session(TensorProto.UINT8), 0)


def _session(columns: int) -> Any:
    """Return a session that multiplies uint8 rows with columns of the given type."""
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["rows", "columns"], ["products"])],
        "products",
        [
            helper.make_tensor_value_info("rows", TensorProto.UINT8, ["n", "n_pixels"]),
            helper.make_tensor_value_info("columns", columns, ["n_pixels", "m"]),
        ],
        [helper.make_tensor_value_info("products", TensorProto.INT32, ["n", "m"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    # Those who need more threads call it from each of theirs.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
