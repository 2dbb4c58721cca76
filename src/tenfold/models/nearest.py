"""The rows of pixels nearest to others: exact, by products of small whole numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np
import numpy.typing as npt

from tenfold.models.products import Ints, PixelRows, squared_lengths
from tenfold.pixels import Images

Rows = npt.NDArray[np.int64]

# Products of a block of rows stay in a core's cache until the least of each group is known.
_BLOCK_ROWS = 512
_MOST_QUERIES = 256
_LARGEST_GROUP = 64
_TABLE_VALUES = 64_000_000  # of all threads together


@dataclass(frozen=True, eq=False)
class Neighbors:
    """The nearest rows of some queries.

    Args:
        rows: ``(m, k)`` row numbers, by distance and then row number; where several rows are as far
            as the last, in the order of scikit-learn's heap.
        squared: ``(m, k)`` squared Euclidean distances, whole numbers.
    """

    rows: Rows
    squared: Ints


class PixelIndex:
    """Rows of pixels that can be searched.

    With ``b = q - shift`` the squared distance of a row x from a query q is
    ``sum(x (x - 2 shift)) - 2 x.b + q.q``. The last part ranks nothing, and the first is halved, so
    that a rank is one subtraction from the product; whether the first was odd is kept apart.

    Args:
        rows: ``(n, n_pixels)``; a copy is kept.
    """

    def __init__(self, rows: Images) -> None:
        self._rows = PixelRows(rows)
        own = self._rows.lengths - 2 * self._rows.shift * self._rows.sums
        self._halves, self._odd = own >> 1, own & 1

    def __len__(self) -> int:
        return len(self._rows)

    def search(
        self, queries: Images, ks: Iterable[int], *, threads: int = 1
    ) -> Mapping[int, Neighbors]:
        """Return the k nearest rows of each query for several k, all by one search.

        Distances are exact. Where several rows are as far as the k-th, those are kept that
        scikit-learn keeps: the ones left in a binary heap of size k that has seen the rows one
        after the other. So the rows for a small k need not be the first ones for a larger k.

        Args:
            queries: ``(m, n_pixels)``.
            ks: At least one number, each 1 to n.
            threads: Threads of the search; the result does not depend on it.

        Returns:
            The neighbours by k, ascending.
        """
        wanted = tuple(sorted(set(ks)))
        size = max(1, min(_LARGEST_GROUP, len(self) // (4 * wanted[-1])))
        n_groups = -(-len(self) // size)
        most = _TABLE_VALUES // (threads * n_groups * size)
        step = max(1, min(_MOST_QUERIES, most, -(-len(queries) // threads)))
        spare: SimpleQueue[Ints] = SimpleQueue()
        for _ in range(threads):  # Fresh memory for each step would cost as much as ranking does.
            spare.put(np.empty(n_groups * size * step, dtype=self._rows.number))

        def nearest(start: int) -> list[Neighbors]:
            part = queries[start : start + step]
            memory = spare.get()
            ranks = memory[: n_groups * size * len(part)].reshape(n_groups, size, len(part))
            try:
                minima = self._rank(part, ranks)
                return self._nearest(part, ranks, minima, wanted)
            finally:
                spare.put(memory)

        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(nearest, range(0, len(queries), step)))
        return {
            k: Neighbors(
                np.concatenate([found[place].rows for found in parts]),
                np.concatenate([found[place].squared for found in parts]),
            )
            for place, k in enumerate(wanted)
        }

    def _rank(self, queries: Images, ranks: Ints) -> Ints:
        """Write half of each squared distance, less the query's own part; return group minima.

        Args:
            queries: ``(m, n_pixels)``.
            ranks: ``(n_groups, size, m)``, to be written; row x is in group ``x // size``.

        Returns:
            ``(n_groups, m)``, the least of each group.
        """
        n_groups, size, n_queries = ranks.shape
        by_row = ranks.reshape(-1, n_queries)
        by_row[len(self) :] = np.iinfo(by_row.dtype).max
        minima = np.empty((n_groups, n_queries), dtype=by_row.dtype)
        columns = self._rows.columns(queries)
        groups = max(1, _BLOCK_ROWS // size)
        for first in range(0, n_groups, groups):
            rows = slice(first * size, min(len(self), (first + groups) * size))
            products = self._rows.products(rows, columns)
            np.subtract(self._halves[rows, None], products, out=by_row[rows])
            ranks[first : first + groups].min(axis=1, out=minima[first : first + groups])
        return minima

    def _nearest(
        self, queries: Images, ranks: Ints, minima: Ints, ks: tuple[int, ...]
    ) -> list[Neighbors]:
        """Return the neighbours of each k from the ranks of all rows.

        No group has a row nearer than its minimum. So the k-th smallest minimum is a bound that at
        least k rows keep, and few besides them: far cheaper to find than to sort all rows.
        """
        size, n = ranks.shape[1:]
        bound = np.partition(minima, ks[-1] - 1, axis=0)[ks[-1] - 1]
        groups, query = np.nonzero(minima <= bound)
        near, place = np.nonzero(ranks[groups, :, query] <= bound[query, None])
        rows, query = groups[near] * size + place, query[near]
        own = squared_lengths(queries, self._rows.number)
        by_row = ranks.reshape(-1, n)
        squared = 2 * by_row[rows, query] + self._odd[rows] + own[query]
        order = np.lexsort((rows, squared, query))
        rows, query, squared = rows[order], query[order], squared[order]
        first = np.searchsorted(query, np.arange(n))
        found = []
        for k in ks:
            places = first[:, None] + np.arange(k)
            nearest, far = rows[places].astype(np.int64), squared[places]
            after = np.minimum(first + k, len(rows) - 1)
            tied = (query[after] == np.arange(n)) & (squared[after] == far[:, -1])
            for each in np.flatnonzero(tied & (after > places[:, -1])):
                every = 2 * by_row[: len(self), each] + self._odd + own[each]
                nearest[each] = _heap_order(every, k)
                far[each] = every[nearest[each]]
            found.append(Neighbors(nearest, far))
        return found


def _heap_order(squared: Ints, k: int) -> list[int]:
    """Return the k entries that a bounded max-heap holds after it has seen the row in order.

    An entry comes in only when it is smaller than the largest one held, which it replaces; which
    of several equal largest ones that is follows from the places in the heap.
    """
    heap = [(np.inf, -1)] * k
    start = 0
    while True:
        closer = np.flatnonzero(squared[start:] < heap[0][0])
        if not len(closer):
            return [row for _, row in heap]
        # The bound falls while these are pushed: look at some, then compare all again.
        for row in (closer[: 4 * k] + start).tolist():
            if squared[row] < heap[0][0]:
                _replace_largest(heap, (float(squared[row]), row))
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
