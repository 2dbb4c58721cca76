"""Drawing rows: stratified by class, and never cutting through a group."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def seeded(text: str) -> np.random.Generator:
    """Return the generator that belongs to a text, such as a fingerprint."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest(), "big"))


def pick(
    labels: Indices, n: int, rng: np.random.Generator, *, at_least: int = 0, leave: int = 0
) -> Mask:
    """Draw rows so that every class has its share.

    Args:
        labels: ``(m,)`` class indices.
        n: How many rows to draw; the bounds of the classes go first.
        rng: Where the draw comes from.
        at_least: Rows drawn of every class that is present, at the least.
        leave: Rows not drawn of every class that is present, at the least.

    Returns:
        ``(m,)``, True for a drawn row.
    """
    counts = np.bincount(labels)
    present = counts > 0
    exact = counts * (n / max(1, len(labels)))
    takes = np.floor(exact).astype(np.int64)
    # Largest remainders first; ties go to the lower class.
    order = np.argsort(-(exact - takes), kind="stable")
    takes[order[: n - int(takes.sum())]] += 1
    takes = np.clip(takes, present * at_least, np.maximum(counts - present * leave, 0))
    drawn: Mask = _rank_within(labels, rng) < takes[labels]
    return drawn


def deal(labels: Indices, parts: int, rng: np.random.Generator) -> Indices:
    """Deal rows out into parts of equal size, each with its share of every class.

    Args:
        labels: ``(m,)`` class indices.
        parts: How many parts.
        rng: Where the draw comes from.

    Returns:
        ``(m,)``, the part of every row, 0 to ``parts`` - 1.
    """
    counts = np.bincount(labels)
    # Every class goes on where the one before ended, so that the parts' sizes differ by one.
    start = np.concatenate([[0], np.cumsum(counts)[:-1]])
    dealt: Indices = (_rank_within(labels, rng) + start[labels]) % parts
    return dealt


def deal_groups(
    labels: Indices, groups: Indices, shares: tuple[float, ...], rng: np.random.Generator
) -> Indices:
    """Deal whole groups out into parts of given shares, each with its share of every class.

    Groups are dealt from large to small, similar ones in random order, each into the part that
    it leaves most even: the smallest sum over classes and parts of (filled fraction)² × share.

    Args:
        labels: ``(m,)`` class indices.
        groups: ``(m,)`` group of every row.
        shares: The parts' sizes, of a sum of 1.
        rng: Where the draw comes from.

    Returns:
        ``(m,)``, the part of every row.
    """
    _, group_of = np.unique(groups, return_inverse=True)
    n_groups, n_classes = int(group_of.max()) + 1, int(labels.max()) + 1
    cells = np.bincount(group_of * n_classes + labels, minlength=n_groups * n_classes)
    counts = cells.reshape(n_groups, n_classes).astype(np.float64)
    size_class = np.floor(np.log2(counts.sum(axis=1)))
    order = np.lexsort((rng.random(n_groups), -size_class))
    totals = np.maximum(counts.sum(axis=0), 1)
    weights = 1 / (totals**2 * np.array(shares)[:, None])
    filled = np.zeros((len(shares), n_classes))
    part = np.empty(n_groups, dtype=np.int64)
    for group in order:
        row = counts[group]
        cost = ((2 * filled + row) * row * weights).sum(axis=1)
        part[group] = chosen = int(np.argmin(cost))
        filled[chosen] += row
    dealt: Indices = part[group_of]
    return dealt


def _rank_within(labels: Indices, rng: np.random.Generator) -> Indices:
    """Number the rows of each class from 0 in random order."""
    order = np.lexsort((rng.random(len(labels)), labels))
    counts = np.bincount(labels)
    start = np.concatenate([[0], np.cumsum(counts)[:-1]])
    rank = np.empty(len(labels), dtype=np.int64)
    rank[order] = np.arange(len(labels)) - start[labels[order]]
    return rank
