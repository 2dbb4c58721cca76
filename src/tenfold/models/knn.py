"""The k nearest training images, found exactly: integer distances and scikit-learn's labels."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits

from tenfold.config.params import KnnParams
from tenfold.errors import ModelInputError
from tenfold.models.base import Codes, Floats
from tenfold.models.classical import ClassicalClassifier
from tenfold.pixels import Images

Ints = npt.NDArray[np.integer[Any]]
Single = npt.NDArray[np.float32]

# Pixels are shifted to -128..127: a sum of so many products stays within 2**24, up to which
# float32 holds every whole number, so that the fast float32 product of matrices is exact.
_EXACT_COLUMNS = 1024
_CHUNK_VALUES = 8_000_000
_LARGEST_INT32 = 2**31 - 1


class KnnClassifier(ClassicalClassifier, schema=KnnParams):
    """Vote of the k nearest training images by Euclidean distance on raw pixels.

    Gives the labels of scikit-learn's ``KNeighborsClassifier(algorithm="brute")`` on the same
    pixels in float64, ties included. With ``pca`` the search is scikit-learn's own, on the
    principal components.
    """

    def _make(self, params: Any) -> Any:
        if params.pca is None:
            return ExactNeighbors(params.n_neighbors, params.weights, self.threads)
        return KNeighborsClassifier(params.n_neighbors, weights=params.weights, algorithm="brute")

    def _fit_model(self, features: Floats, codes: Codes) -> None:
        n_neighbors = self.model_.n_neighbors
        if n_neighbors > len(features):
            raise ModelInputError(
                f"n_neighbors is {n_neighbors} and there are only {len(features)} training "
                "images; ask for fewer neighbours."
            )
        super()._fit_model(features, codes)

    def _features(self, images: Images) -> Any:
        return images if self.pca_ is None else super()._features(images)


class ExactNeighbors(BaseEstimator):
    """Votes of the k nearest rows of uint8 pixels.

    Args:
        n_neighbors: Neighbours that vote, at least 1.
        weights: ``"uniform"``, or ``"distance"`` for votes by inverse distance.
        threads: Threads of a search.

    Attributes:
        images_: ``(n, n_pixels)`` training rows.
        codes_: ``(n,)`` their class indices.
        n_classes_: Columns of the probabilities.
    """

    def __init__(
        self, n_neighbors: int, weights: Literal["uniform", "distance"], threads: int = 1
    ) -> None:
        self.n_neighbors = n_neighbors
        self.weights = weights
        self.threads = threads

    def fit(self, images: Images, codes: Codes) -> Self:
        """Keep the rows and their class indices, 0 to k - 1."""
        self.images_, self.codes_ = images.copy(), codes
        self.n_classes_ = int(codes.max()) + 1
        return self

    def predict_proba(self, images: Images) -> Floats:
        """Return ``(n, n_classes)``: the share of the votes that each class got."""
        rows, distances = nearest_rows(self.images_, images, self.n_neighbors, threads=self.threads)
        votes = _votes(distances) if self.weights == "distance" else np.ones(rows.shape)
        shares = np.zeros((len(images), self.n_classes_))
        for place in range(rows.shape[1]):
            shares[np.arange(len(images)), self.codes_[rows[:, place]]] += votes[:, place]
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def nearest_rows(
    train: Images, queries: Images, k: int, *, threads: int = 1
) -> tuple[npt.NDArray[np.int64], Ints]:
    """Return the k nearest rows of each query and their squared Euclidean distances, exactly.

    Where several rows are as far as the k-th, those are kept that scikit-learn keeps: the ones
    left in a binary heap of size k that has seen the rows one after the other.

    Args:
        train: ``(n, n_pixels)``.
        queries: ``(m, n_pixels)``.
        k: 1 to n.
        threads: Threads of the search; the result does not depend on it.

    Returns:
        Row numbers and squared distances, ``(m, k)`` each, by distance and then row number (rows
        with ties for the last place in the order of the heap).
    """
    wide = train.shape[1] * 255**2 > _LARGEST_INT32
    number = np.int64 if wide else np.int32
    table = _shifted(train)
    norms = _squared_norms(train, number)
    step = max(1, _CHUNK_VALUES // len(train))

    def search(start: int) -> tuple[npt.NDArray[np.int64], Ints]:
        chunk = queries[start : start + step]
        distances = _products(_shifted(chunk), table, number)
        distances *= -2
        distances += norms
        distances += _squared_norms(chunk, number)[:, None]
        return _smallest(distances, k)

    with threadpool_limits(limits=1), ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(search, range(0, len(queries), step)))
    return np.concatenate([rows for rows, _ in parts]), np.concatenate([far for _, far in parts])


def _shifted(images: Images) -> Single:
    """Return the pixels as float32 numbers from -128 to 127."""
    return np.subtract(images, np.float32(128), dtype=np.float32)


def _squared_norms(images: Images, number: type[np.integer[Any]]) -> Ints:
    """Return the squared length of each shifted row."""
    shifted = images.astype(number) - 128
    norms: Ints = np.einsum("ij,ij->i", shifted, shifted)
    return norms


def _products(queries: Single, table: Single, number: type[np.integer[Any]]) -> Ints:
    """Return the scalar products of all pairs of rows as whole numbers."""
    total: Ints | None = None
    for start in range(0, table.shape[1], _EXACT_COLUMNS):
        columns = slice(start, start + _EXACT_COLUMNS)
        part = (queries[:, columns] @ table[:, columns].T).astype(number)
        total = part if total is None else total + part
    assert total is not None
    return total


def _smallest(distances: Ints, k: int) -> tuple[npt.NDArray[np.int64], Ints]:
    """Return columns and values of the k smallest entries of each row."""
    bound = _upper_bound(distances, k)
    rows, columns = np.nonzero(distances <= bound[:, None])
    values = distances[rows, columns]
    order = np.lexsort((columns, values, rows))
    rows, columns, values = rows[order], columns[order], values[order]
    first = np.searchsorted(rows, np.arange(len(distances)))
    places = first[:, None] + np.arange(k)
    nearest, far = columns[places].astype(np.int64), values[places]
    after = np.minimum(first + k, len(rows) - 1)
    tied = (rows[after] == np.arange(len(distances))) & (values[after] == far[:, -1])
    tied &= first + k < len(rows)
    for row in np.flatnonzero(tied):
        nearest[row] = _heap_order(distances[row], k)
        far[row] = distances[row, nearest[row]]
    return nearest, far


def _upper_bound(distances: Ints, k: int) -> Ints:
    """Return for each row a value that at least k of its entries do not exceed.

    It is the k-th smallest of the minima of disjoint groups of columns: far cheaper than to
    partition whole rows, and close to the k-th smallest entry where groups are many.
    """
    n_rows, n = distances.shape
    size = max(1, min(64, n // (4 * k)))
    groups = n // size
    minima = distances[:, : groups * size].reshape(n_rows, size, groups).min(axis=1)
    bound: Ints = np.partition(minima, k - 1, axis=1)[:, k - 1]
    return bound


def _heap_order(distances: Ints, k: int) -> list[int]:
    """Return the k entries that a bounded max-heap holds after it has seen the row in order.

    An entry comes in only when it is smaller than the largest one held, which it replaces; which
    of several equal largest ones that is follows from the places in the heap.
    """
    heap = [(np.inf, -1)] * k
    start = 0
    while True:
        closer = np.flatnonzero(distances[start:] < heap[0][0])
        if not len(closer):
            return [row for _, row in heap]
        # The bound falls while these are pushed: look at some, then compare all again.
        for row in (closer[: 4 * k] + start).tolist():
            if distances[row] < heap[0][0]:
                _replace_largest(heap, (float(distances[row]), row))
        start = row + 1


def _replace_largest(heap: list[tuple[float, int]], entry: tuple[float, int]) -> None:
    """Put an entry in the root's place and let it sink below its larger children."""
    place, size = 0, len(heap)
    while (child := 2 * place + 1) < size:
        if child + 1 < size and heap[child + 1][0] > heap[child][0]:
            child += 1
        if heap[child][0] <= entry[0]:
            break
        heap[place] = heap[child]
        place = child
    heap[place] = entry


def _votes(distances: Ints) -> npt.NDArray[np.float64]:
    """Return the inverse distances; where some are zero, those alone vote."""
    far = np.sqrt(distances.astype(np.float64))
    same = far == 0
    with np.errstate(divide="ignore"):
        return np.where(same.any(axis=1, keepdims=True), same.astype(np.float64), 1 / far)
