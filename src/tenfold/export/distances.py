"""Exact products and distances between the images and rows of pixels that a graph holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.export.graph import Graph

Rows = npt.NDArray[np.uint8]

# So many pixels' squared distance, and twice their product, stay below 2**31.
_WIDEST_INT32 = 2**30 // 255**2


def add_products(graph: Graph, rows: Rows) -> str:
    """Add the scalar products of the images with rows of pixels, as exact whole numbers.

    Both sides stay uint8: on processors without instructions for small numbers, sums of int8
    products overflow, those of uint8 do not. Pixels that are 0 in every row, such as the border of
    most digits, add nothing and are left out.

    Args:
        graph: Where to.
        rows: ``(m, n_pixels)``.

    Returns:
        Name of ``(n, m)``, int32; int64 for images of more than 16,512 pixels.
    """
    # One pixel at the least: what onnxruntime gives for a product over none is not defined.
    used = np.flatnonzero(rows.any(axis=0)) if rows.any() else np.zeros(1, dtype=np.int64)
    if whole_number(graph.n_pixels) is np.int32:
        return _add_product(graph, rows, used)
    total = graph.cast(_add_product(graph, rows, used[:_WIDEST_INT32]), np.int64)
    for start in range(_WIDEST_INT32, len(used), _WIDEST_INT32):
        product = _add_product(graph, rows, used[start : start + _WIDEST_INT32])
        total = graph.add("Add", total, graph.cast(product, np.int64))
    return total


def _add_product(graph: Graph, rows: Rows, used: npt.NDArray[np.int64]) -> str:
    """Add the product over some of the pixels, ``(n, m)`` int32."""
    images = "images"
    if len(used) < graph.n_pixels:
        images = graph.add("Gather", images, used, axis=1)
    return graph.add("MatMulInteger", images, rows[:, used].T)


def add_ranks(graph: Graph, products: str, lengths: npt.NDArray[Any]) -> str:
    """Add what orders rows by their distance: the squared distance less the image's own length.

    Args:
        graph: Where to.
        products: ``(n, m)`` scalar products.
        lengths: ``(m,)`` squared lengths of the rows, in the same type of number.
    """
    return graph.add("Sub", lengths, graph.add("Mul", products, lengths.dtype.type(2)))


def add_own_lengths(graph: Graph) -> str:
    """Add the squared length of each image, ``(n, 1)``, in the type of `add_products`."""
    pixels = graph.cast("images", whole_number(graph.n_pixels))
    return graph.reduce("ReduceSum", graph.add("Mul", pixels, pixels), 1, keep=True)


def squared_lengths(rows: Rows) -> npt.NDArray[np.integer[Any]]:
    """Return ``(m,)`` squared lengths, in the type of `add_products`."""
    pixels = rows.astype(whole_number(rows.shape[1]))
    lengths: npt.NDArray[np.integer[Any]] = np.einsum("ij,ij->i", pixels, pixels)
    return lengths


def whole_number(n_pixels: int) -> type[np.integer[Any]]:
    """Return the type of number that holds the squared distance of so many pixels."""
    return np.int32 if n_pixels <= _WIDEST_INT32 else np.int64
