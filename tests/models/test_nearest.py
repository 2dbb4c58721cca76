"""The search among rows of pixels is exact, on any processor, for any size."""

import numpy as np
import pytest

from tenfold.models import nearest, products
from tenfold.models.nearest import PixelIndex


def by_hand(train, queries, k):
    """Return rows and squared distances by distance and then row number."""
    wide = train.astype(np.int64)
    squared = np.array([((wide - query) ** 2).sum(axis=1) for query in queries.astype(np.int64)])
    rows = np.argsort(squared, axis=1, kind="stable")[:, :k]
    return rows, np.take_along_axis(squared, rows, axis=1)


def heap_of(squared, k):
    """Return the rows that a heap of size k holds, by the definition: one row after the other."""
    heap = [(np.inf, -1)] * k
    for row, distance in enumerate(squared.tolist()):
        if distance < heap[0][0]:
            place, heap[0] = 0, (distance, row)
            while 2 * place + 1 < k:
                left, right = 2 * place + 1, 2 * place + 2
                child = right if right < k and heap[right][0] > heap[left][0] else left
                if heap[child][0] <= heap[place][0]:
                    break
                heap[place], heap[child] = heap[child], heap[place]
                place = child
    return {row for _, row in heap}


@pytest.fixture(params=["the processor's own", "small numbers overflow"])
def multiplier(request, monkeypatch):
    """Search by the fast products of this processor, and as on one where they overflow."""
    products._exact_multiplier.cache_clear()
    if request.param == "small numbers overflow":
        exact = products._Multiplier.products

        def overflowing(self, rows, columns):
            found = exact(self, rows, columns)
            return found if columns.dtype == np.uint8 else np.clip(found, -(2**15), 2**15 - 1)

        monkeypatch.setattr(products._Multiplier, "products", overflowing)
    yield
    products._exact_multiplier.cache_clear()


@pytest.mark.parametrize("n_pixels", [1, 9, 300])
@pytest.mark.parametrize("n_rows", [1, 2, 70, 1500])
def test_rows_and_distances_are_exact(n_rows, n_pixels, multiplier):
    rng = np.random.default_rng(n_rows * n_pixels)
    train = rng.integers(0, 256, (n_rows, n_pixels), dtype=np.uint8)
    queries = rng.integers(0, 256, (40, n_pixels), dtype=np.uint8)
    k = min(5, n_rows)
    found = PixelIndex(train).search(queries, [k])[k]
    rows, squared = by_hand(train, queries, k)
    assert np.array_equal(np.sort(found.squared, axis=1), squared)
    wide = train.astype(np.int64)[found.rows] - queries[:, None, :]
    assert np.array_equal((wide**2).sum(axis=2), found.squared)
    if n_pixels == 300:  # nothing is tied
        assert np.array_equal(found.rows, rows)


def test_extreme_pixels_are_counted_exactly(multiplier):
    # Black, white, and white but for one pixel; 3,000 pixels: the squares have 28 bits.
    train = np.full((3, 3000), 255, dtype=np.uint8)
    train[1, 0], train[2, 0] = 254, 253
    queries = np.stack([np.zeros(3000), np.full(3000, 255), train[2]]).astype(np.uint8)
    found = PixelIndex(train).search(queries, [3])[3]
    assert found.rows.tolist() == [[2, 1, 0], [0, 1, 2], [2, 1, 0]]
    assert found.squared[0].tolist() == [2999 * 255**2 + value**2 for value in (253, 254, 255)]
    assert found.squared[1:].tolist() == [[0, 1, 4], [0, 1, 4]]


@pytest.mark.parametrize("n_pixels", [16_000, 16_001, 40_000])
def test_images_of_any_size_are_counted_exactly(n_pixels, multiplier):
    train = np.full((3, n_pixels), 255, dtype=np.uint8)
    train[1, -1], train[2] = 254, 0
    queries = np.stack([np.zeros(n_pixels), np.full(n_pixels, 255)]).astype(np.uint8)
    found = PixelIndex(train).search(queries, [3])[3]
    most = n_pixels * 255**2
    assert found.rows.tolist() == [[2, 1, 0], [0, 1, 2]]
    assert found.squared.tolist() == [[0, most - 255**2 + 254**2, most], [0, 1, most]]


def test_one_search_gives_every_k_what_a_search_of_its_own_gives():
    # Three levels on six pixels: ties for the last place nearly everywhere, at every k.
    rng = np.random.default_rng(0)
    train, queries = rng.integers(0, 3, (900, 6)) * 100, rng.integers(0, 3, (60, 6)) * 100
    index = PixelIndex(train.astype(np.uint8))
    together = index.search(queries.astype(np.uint8), (7, 1, 3, 7, 20), threads=2)
    assert list(together) == [1, 3, 7, 20]
    for k, found in together.items():
        alone = index.search(queries.astype(np.uint8), (k,))[k]
        assert np.array_equal(found.rows, alone.rows)
        assert np.array_equal(found.squared, alone.squared)
        assert found.rows.shape == (60, k)


@pytest.mark.parametrize("k", [1, 2, 5, 8])
def test_among_rows_as_far_as_the_last_those_of_the_heap_are_kept(k):
    rng = np.random.default_rng(k)
    train, queries = rng.integers(0, 2, (400, 10)) * 255, rng.integers(0, 2, (50, 10)) * 255
    found = PixelIndex(train.astype(np.uint8)).search(queries.astype(np.uint8), (k,))[k]
    squared = ((queries[:, None, :] - train[None]) ** 2).sum(axis=2)
    expected = [heap_of(row, k) for row in squared]
    assert [set(rows) for rows in found.rows.tolist()] == expected
    lowest = [set(np.argsort(row, kind="stable")[:k].tolist()) for row in squared]
    assert k < 5 or lowest != expected  # else the heap would not have been needed


def test_as_many_neighbours_as_rows_are_all_of_them():
    rng = np.random.default_rng(0)
    train = rng.integers(0, 256, (130, 20), dtype=np.uint8)
    found = PixelIndex(train).search(train[:9], (130, 129))
    rows, squared = by_hand(train, train[:9], 130)
    assert np.array_equal(found[130].rows, rows)
    assert np.array_equal(found[130].squared, squared)
    assert np.array_equal(found[129].rows, rows[:, :129])


def test_threads_and_steps_do_not_change_the_result(digits, monkeypatch):
    images, _ = digits
    whole = PixelIndex(images[:200]).search(images[200:], (5,))[5]
    monkeypatch.setattr(nearest, "_TABLE_VALUES", 2100)
    monkeypatch.setattr(nearest, "_BLOCK_ROWS", 24)
    parts = PixelIndex(images[:200]).search(images[200:], (5,), threads=3)[5]
    assert np.array_equal(parts.rows, whole.rows)
    assert np.array_equal(parts.squared, whole.squared)


def test_rows_without_any_ink_are_as_far_as_the_query_has_ink():
    found = PixelIndex(np.zeros((4, 9), dtype=np.uint8)).search(
        np.full((1, 9), 2, dtype=np.uint8), (3,)
    )[3]
    assert found.squared.tolist() == [[36, 36, 36]]


def test_an_index_keeps_its_own_rows(digits):
    images, _ = digits
    mine = images.copy()
    index = PixelIndex(mine)
    mine[:] = 0
    assert index.search(images[:9], (1,))[1].squared.tolist() == [[0]] * 9
