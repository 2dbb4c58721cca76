"""Images that resemble each other too much, or the rest of their class too little."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tenfold.data.dataset import Images, Indices

Floats = npt.NDArray[np.float32]

#: MNIST has no pair of a training and a test image this close, Fashion-MNIST some dozens.
NEAR_CORRELATION = 0.99
#: Products of two numbers that the search may cost: about a second on two cores.
_MAX_PRODUCTS = 4e10
_CELLS = 7
_BLOCK_VALUES = 1 << 24

#: Robust standard deviations from the class's middle distance.
OUTLIER_SCORE = 6.0
MAX_OUTLIERS = 24
_MIN_CLASS = 5
#: Share of the mean variance that is added to every cell: keeps empty margins from dominating.
_RIDGE = 0.1
#: Keeps classes of near copies from calling every other image an outlier; share of the median.
_LEAST_SPREAD = 0.05


@dataclass(frozen=True)
class NearPair:
    """Two images that are nearly the same.

    Args:
        development_row: Row of the development images.
        test_row: Row of the test images.
        correlation: Of their pixels, up to 1.
    """

    development_row: int
    test_row: int
    correlation: float


@dataclass(frozen=True)
class NearPairs:
    """The pairs that a search found.

    Args:
        pairs: At most one for each test row, closest first.
        checked: Test rows that were looked at.
        threshold: The least correlation of a pair.
    """

    pairs: tuple[NearPair, ...]
    checked: int
    threshold: float


def row_digests(images: Images) -> list[bytes]:
    """Return a digest per row, equal for equal images."""
    return [hashlib.blake2b(row, digest_size=16).digest() for row in np.ascontiguousarray(images)]


def find_near_pairs(
    images: Images,
    test_images: Images,
    image_shape: tuple[int, int],
    *,
    skip: Indices,
    threshold: float = NEAR_CORRELATION,
    max_products: float = _MAX_PRODUCTS,
) -> NearPairs:
    """Find test images that are nearly a development image: brighter, noisier, compressed again.

    Every test image is compared with all development images by their means over a grid of at most
    7x7 cells; the closest is then compared by all its pixels. Moved or turned copies are not found.

    Args:
        images: ``(n, height * width)`` development images.
        test_images: ``(m, height * width)``.
        image_shape: Height and width in pixels.
        skip: Test rows to leave out, such as exact copies.
        threshold: The least correlation of a pair, up to 1.
        max_products: Above this cost only every so-manieth test image is looked at.

    Returns:
        The pairs, and how many test images were looked at (``skip`` counts as looked at).
    """
    grid = _grid(image_shape)
    cost = len(images) * len(test_images) * grid.shape[1]
    step = max(1, int(np.ceil(cost / max_products)))
    rows = np.arange(0, len(test_images), step)
    checked = len(rows)
    rows = np.setdiff1d(rows, skip)
    described, test_described = _unit(_pool(images, grid)), _unit(_pool(test_images[rows], grid))
    block = max(1, _BLOCK_VALUES // len(images))
    nearest = np.empty(len(rows), dtype=np.int64)
    for start in range(0, len(rows), block):
        part = slice(start, start + block)
        nearest[part] = (test_described[part] @ described.T).argmax(axis=1)
    correlation = np.empty(len(rows), dtype=np.float32)
    for start in range(0, len(rows), 4096):
        part = slice(start, start + 4096)
        ours, theirs = _unit(images[nearest[part]]), _unit(test_images[rows[part]])
        correlation[part] = (ours * theirs).sum(axis=1)
    hits = np.flatnonzero(correlation >= threshold)
    hits = hits[np.argsort(-correlation[hits], kind="stable")]
    pairs = tuple(
        NearPair(int(nearest[hit]), int(rows[hit]), min(1.0, float(correlation[hit])))
        for hit in hits
    )
    return NearPairs(pairs, checked, threshold)


def find_outliers(
    images: Images,
    labels: Indices,
    image_shape: tuple[int, int],
    *,
    least_score: float = OUTLIER_SCORE,
    at_most: int = MAX_OUTLIERS,
) -> tuple[tuple[int, float], ...]:
    """Find images that are unlike the rest of their class.

    The distance is Mahalanobis's from the class mean, over a grid of at most 7x7 cell means with
    the covariance within all classes; the score is its robust z-value within the class (distance
    from the median in units of 1.4826 median absolute deviations).

    Args:
        images: ``(n, height * width)``.
        labels: ``(n,)`` class indices.
        image_shape: Height and width in pixels.
        least_score: The score from which an image counts.
        at_most: How many are returned.

    Returns:
        Row and score, worst first.
    """
    described = _pool(images, _grid(image_shape)).astype(np.float64)
    centred = described.copy()
    for index in np.unique(labels):
        centred[labels == index] -= described[labels == index].mean(axis=0)
    covariance = centred.T @ centred / len(centred)
    ridge = max(_RIDGE * np.trace(covariance) / len(covariance), 1e-6)
    inverse = np.linalg.inv(covariance + ridge * np.eye(len(covariance)))
    distance = np.sqrt(np.einsum("ij,ij->i", centred @ inverse, centred))
    score = np.zeros(len(images))
    for index in np.unique(labels):
        rows = labels == index
        if rows.sum() < _MIN_CLASS:
            continue
        middle = np.median(distance[rows])
        spread = 1.4826 * np.median(np.abs(distance[rows] - middle))
        score[rows] = (distance[rows] - middle) / max(spread, _LEAST_SPREAD * middle, 1e-6)
    worst = np.argsort(-score, kind="stable")[:at_most]
    return tuple((int(row), float(score[row])) for row in worst if score[row] >= least_score)


def _grid(image_shape: tuple[int, int]) -> Floats:
    """Return the ``(height * width, cells)`` matrix that takes the means of cells."""
    height, width = image_shape
    rows = np.arange(height) * min(_CELLS, height) // height
    columns = np.arange(width) * min(_CELLS, width) // width
    cell = (rows[:, None] * min(_CELLS, width) + columns).reshape(-1)
    grid = np.zeros((height * width, int(cell.max()) + 1), dtype=np.float32)
    grid[np.arange(height * width), cell] = 1
    means: Floats = grid / grid.sum(axis=0)
    return means


def _pool(images: Images, grid: Floats) -> Floats:
    pooled = np.empty((len(images), grid.shape[1]), dtype=np.float32)
    for start in range(0, len(images), 4096):  # bounds the float32 copies
        pooled[start : start + 4096] = images[start : start + 4096].astype(np.float32) @ grid
    return pooled


def _unit(rows: npt.NDArray[np.generic]) -> Floats:
    """Take the mean out of every row and make its length 1, so that products correlate."""
    centred: Floats = rows.astype(np.float32)
    centred -= centred.mean(axis=1, keepdims=True)
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6)
    return centred
