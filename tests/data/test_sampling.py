import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.data.sampling import deal, deal_groups, pick, seeded

LABELS = st.lists(st.integers(0, 4), min_size=5, max_size=200).map(np.array)


@given(LABELS, st.data())
def test_a_draw_has_each_class_in_proportion(labels, data):
    n = data.draw(st.integers(0, len(labels)))
    drawn = pick(labels, n, seeded("a"))
    assert drawn.sum() == n
    exact = np.bincount(labels) * (n / len(labels))
    assert np.abs(np.bincount(labels[drawn], minlength=len(exact)) - exact).max() < 1


def test_small_classes_keep_their_bounds():
    labels = np.array([0] * 96 + [1] * 4)
    drawn = pick(labels, 10, seeded("a"), at_least=1, leave=1)
    assert np.bincount(labels[drawn]).tolist() == [10, 1]
    nearly_all = pick(labels, 99, seeded("a"), at_least=1, leave=2)
    assert np.bincount(labels[nearly_all]).tolist() == [94, 2]


@given(LABELS, st.integers(2, 6))
def test_parts_differ_by_one_row_at_most(labels, parts):
    part_of = deal(labels, parts, seeded("a"))
    sizes = np.bincount(part_of, minlength=parts)
    assert sizes.max() - sizes.min() <= 1
    for label in np.unique(labels):
        counts = np.bincount(part_of[labels == label], minlength=parts)
        assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("shares", [(0.2, 0.8), (1 / 12, 1 / 12, 5 / 6), (0.2,) * 5])
def test_groups_stay_whole_and_parts_have_their_shares(shares):
    rng = np.random.default_rng(0)
    groups = np.sort(rng.integers(0, 300, 6000))
    labels = rng.choice(4, 6000, p=[0.4, 0.3, 0.2, 0.1])
    part_of = deal_groups(labels, groups, shares, seeded("a"))
    assert all(len(set(part_of[groups == group])) == 1 for group in range(300))
    for label in range(4):
        found = (
            np.bincount(part_of[labels == label], minlength=len(shares)) / (labels == label).sum()
        )
        np.testing.assert_allclose(found, shares, atol=0.02)


def test_a_text_seeds_always_the_same_numbers():
    assert seeded("a").integers(1000, size=3).tolist() == [477, 498, 945]
    assert seeded("a").random() != seeded("b").random()
