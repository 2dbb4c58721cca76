"""Support vector machines of all pairs of classes: libsvm on kernels of exact products."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import sklearn
from sklearn.base import BaseEstimator
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from tenfold.models.base import Codes
from tenfold.models.products import Ints, PixelRows, squared_lengths
from tenfold.pixels import Images

Doubles = npt.NDArray[np.float64]
Pair = tuple[int, int]

# Products of a block of rows stay in a core's cache until the kernel is made of them.
_BLOCK_ROWS = 512
_WHITE = 255


class PairwiseSvc(BaseEstimator):
    """Support vector machine, one class against another for all pairs, on uint8 pixels.

    Learns what ``sklearn.svm.SVC`` learns from the same pixels as float64 numbers of 0..1: libsvm
    solves each pair, but on a kernel that is made once, of exact products, for every value of C.
    It takes 8 bytes for each two rows of a pair.

    Args:
        C: Inverse strength of the penalty.
        kernel: ``"rbf"``, ``"linear"`` or ``"poly"``.
        gamma: Width of the kernel on pixels of 0..1, or a rule for it, as for ``SVC``.
        degree: Of the poly kernel.
        threads: Threads of fit and prediction.

    Attributes:
        support_: Training rows that are support vectors, by class and then row.
        support_vectors_: ``(n_vectors, n_pixels)`` their pixels, uint8.
        n_support_: ``(n_classes,)`` how many are of each class.
        dual_coef_: ``(n_classes - 1, n_vectors)``, as ``SVC`` has them.
        intercept_: ``(n_pairs,)``.
        gamma_: What the rule came to.
    """

    def __init__(
        self,
        C: float,
        kernel: Literal["rbf", "linear", "poly"] = "rbf",
        gamma: Literal["scale", "auto"] | float = "scale",
        degree: int = 3,
        threads: int = 1,
    ) -> None:
        self.C = C
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.threads = threads

    def fit(self, images: Images, codes: Codes) -> Self:
        """Learn from images and their class indices, 0 to k - 1, each of them there."""
        fit_together([self], images, codes)
        return self

    def decision_function(self, images: Images) -> Doubles:
        """Return ``(n, n_pairs)`` margins, above zero for a pair's first class.

        Of two classes ``(n,)``, above zero for the second. So does ``SVC`` with ``"ovo"``.
        """
        weights = pair_weights(self.dual_coef_, self.n_support_)
        rows = PixelRows(self.support_vectors_)
        kernel = _Kernel(self.kernel, self.gamma_, self.degree)

        def margins(start: int) -> Doubles:
            others = _Others.of(rows, images[start : start + _BLOCK_ROWS])
            total = np.tile(self.intercept_, (len(others.lengths), 1))
            for part in _blocks(0, len(rows)):
                total += kernel.values(rows, part, others).T @ weights[part]
            return total

        with threadpool_limits(limits=1), ThreadPoolExecutor(self.threads) as pool:
            found = np.concatenate(list(pool.map(margins, range(0, len(images), _BLOCK_ROWS))))
        return found[:, 0] if len(self.n_support_) == 2 else found


def fit_together(machines: Sequence[PairwiseSvc], images: Images, codes: Codes) -> None:
    """Fit machines that differ in C alone, on kernels that are made once for all of them.

    Args:
        machines: At least one.
        images: ``(n, n_pixels)``.
        codes: ``(n,)`` class indices, 0 to k - 1, each of them there.
    """
    first = machines[0]
    classes = _Classes(images, codes)
    gamma = _width(first.gamma, classes.rows, images.shape[1])
    kernel = _Kernel(first.kernel, gamma, first.degree)
    penalties = [machine.C for machine in machines]
    memory = np.empty(most_pair_rows(codes) ** 2)
    solved = []
    with threadpool_limits(limits=1), ThreadPoolExecutor(first.threads) as pool:
        for pair in combinations(range(len(classes.counts)), 2):
            matrix = classes.fill(memory, pair, kernel, pool)
            solve = partial(_solve, matrix, classes.counts[pair[0]])
            solved.append(list(pool.map(solve, penalties)))
    for machine, solutions in zip(machines, zip(*solved, strict=True), strict=True):
        machine.gamma_ = gamma
        machine.dual_coef_, machine.intercept_, places = classes.joined(solutions)
        machine.support_ = classes.order[places]
        machine.support_vectors_ = images[machine.support_]
        machine.n_support_ = np.bincount(codes[machine.support_], minlength=len(classes.counts))


def most_pair_rows(codes: Codes) -> int:
    """Return the rows of the two largest classes together: the side of the largest kernel."""
    return int(np.sort(np.bincount(codes))[-2:].sum())


def pair_weights(dual_coef: Doubles, n_support: npt.NDArray[np.integer[Any]]) -> Doubles:
    """Return ``(n_vectors, n_pairs)``: what each support vector weighs in each pair's margin.

    A vector of class i has one weight for each other class j: in row j - 1 of the dual coefficients
    where j > i, else in row j (https://scikit-learn.org/stable/modules/svm.html).

    Args:
        dual_coef: ``(n_classes - 1, n_vectors)``.
        n_support: ``(n_classes,)`` vectors of each class.
    """
    if len(dual_coef) == 1:
        return dual_coef.T
    stops = np.cumsum(n_support)
    members = [slice(stop - count, stop) for stop, count in zip(stops, n_support, strict=True)]
    weights = np.zeros((dual_coef.shape[1], len(n_support) * (len(n_support) - 1) // 2))
    for column, (i, j) in enumerate(combinations(range(len(n_support)), 2)):
        weights[members[i], column] = dual_coef[j - 1, members[i]]
        weights[members[j], column] = dual_coef[i, members[j]]
    return weights


@dataclass(frozen=True)
class _Solution:
    """What libsvm found for a pair: weights above zero speak for its first class.

    Args:
        places: Support vectors among the pair's rows, first class first.
        weights: Of each.
        intercept: Of the margin.
    """

    places: npt.NDArray[np.intp]
    weights: Doubles
    intercept: float


def _solve(matrix: Doubles, n_first: int, C: float) -> _Solution:
    labels = np.repeat([0, 1], [n_first, len(matrix) - n_first])
    with sklearn.config_context(assume_finite=True):
        # A seed on which nothing depends: without one, each fit draws it from NumPy's global state.
        machine = SVC(C=C, kernel="precomputed", random_state=0).fit(matrix, labels)
    # Where there are two classes, scikit-learn's signs speak for the second.
    return _Solution(machine.support_, -machine.dual_coef_[0], -float(machine.intercept_[0]))


@dataclass(frozen=True, eq=False)
class _Others:
    """Images that rows are multiplied with."""

    columns: Ints
    lengths: Ints

    @classmethod
    def of(cls, rows: PixelRows, images: Images) -> Self:
        return cls(rows.columns(images), squared_lengths(images, rows.number))


@dataclass(frozen=True)
class _Kernel:
    name: str
    gamma: float
    degree: int

    def values(self, rows: PixelRows, part: slice, others: _Others) -> Doubles:
        """Return the kernel between some rows and others, ``(n_part, m)``."""
        products = rows.products(part, others.columns)
        missing = rows.shift * rows.sums[part, None]
        if self.name == "rbf":
            squared = products
            squared *= -2
            squared += rows.lengths[part, None] - 2 * missing
            squared += others.lengths
            exponents = np.multiply(squared, -self.gamma / _WHITE**2)
            return np.exp(exponents, out=exponents)
        products += missing
        scaled = np.multiply(products, 1 / _WHITE**2)
        return scaled if self.name == "linear" else (self.gamma * scaled) ** self.degree


class _Classes:
    """Training rows by class.

    Args:
        images: ``(n, n_pixels)``.
        codes: ``(n,)`` class indices.

    Attributes:
        order: The rows by class and then row.
        counts: How many are of each class.
        rows: All of them, in this order.
    """

    def __init__(self, images: Images, codes: Codes) -> None:
        self.order = np.argsort(codes, kind="stable")
        self.counts: list[int] = np.bincount(codes).tolist()
        ordered = images[self.order]
        self.rows = PixelRows(ordered)
        self._starts = [0, *np.cumsum(self.counts).tolist()]
        self._blocks = [
            [(part, _Others.of(self.rows, ordered[part])) for part in _blocks(start, stop)]
            for start, stop in zip(self._starts, self._starts[1:], strict=False)
        ]

    def fill(self, memory: Doubles, pair: Pair, kernel: _Kernel, pool: Executor) -> Doubles:
        """Write the kernel of a pair's rows, first class first; return it, square."""
        n = sum(self.counts[index] for index in pair)
        matrix = memory[: n * n].reshape(n, n)
        blocks = [block for index in pair for block in self._blocks[index]]
        stops = np.cumsum([part.stop - part.start for part, _ in blocks])
        places = [
            slice(stop - part.stop + part.start, stop)
            for stop, (part, _) in zip(stops, blocks, strict=True)
        ]

        def fill_rows(number: int) -> None:
            (part, _), place = blocks[number], places[number]
            for (_, others), other in zip(blocks[: number + 1], places, strict=False):
                values = kernel.values(self.rows, part, others)
                matrix[place, other], matrix[other, place] = values, values.T

        list(pool.map(fill_rows, reversed(range(len(blocks)))))
        return matrix

    def joined(
        self, solutions: Sequence[_Solution]
    ) -> tuple[Doubles, Doubles, npt.NDArray[np.intp]]:
        """Return dual coefficients, intercepts, and which rows in order are support vectors."""
        pairs = list(combinations(range(len(self.counts)), 2))
        firsts = [
            found.places < self.counts[i] for (i, _), found in zip(pairs, solutions, strict=True)
        ]
        rows = [
            found.places + np.where(first, self._starts[i], self._starts[j] - self.counts[i])
            for (i, j), found, first in zip(pairs, solutions, firsts, strict=True)
        ]
        held = np.unique(np.concatenate(rows))
        dual = np.zeros((len(self.counts) - 1, len(held)))
        for (i, j), found, first, row in zip(pairs, solutions, firsts, rows, strict=True):
            dual[np.where(first, j - 1, i), np.searchsorted(held, row)] = found.weights
        intercepts = np.array([found.intercept for found in solutions])
        # Where there are two classes, scikit-learn's signs speak for the second.
        sign = -1.0 if len(pairs) == 1 else 1.0
        return sign * dual, sign * intercepts, held


def _blocks(start: int, stop: int) -> list[slice]:
    """Cut rows into blocks."""
    return [
        slice(first, min(first + _BLOCK_ROWS, stop)) for first in range(start, stop, _BLOCK_ROWS)
    ]


def _width(rule: str | float, rows: PixelRows, n_pixels: int) -> float:
    """Return gamma for pixels of 0..1."""
    if not isinstance(rule, str):
        return float(rule)
    if rule == "auto":
        return 1 / n_pixels
    n = len(rows) * n_pixels
    total, squares = (int(part.sum(dtype=np.int64)) for part in (rows.sums, rows.lengths))
    variance = (n * squares - total**2) / (n * _WHITE) ** 2
    return 1 / (n_pixels * variance) if variance else 1.0
