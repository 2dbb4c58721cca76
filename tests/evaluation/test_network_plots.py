"""What networks learned, drawn."""

import numpy as np
import pytest

from tenfold.evaluation import network_plots
from tenfold.evaluation.style import ORANGE, chart_style, new_axes


@pytest.fixture(autouse=True)
def style():
    with chart_style():
        yield


@pytest.mark.parametrize("count", [1, 5, 32, 48, 64])
def test_every_filter_is_drawn_on_one_scale_that_is_white_at_zero(count):
    filters = np.random.default_rng(0).normal(size=(count, 5, 5)).astype(np.float16)
    axes = network_plots.plot_filters(filters)
    tiles = axes.get_images()
    assert len(tiles) == count
    assert np.array_equal(tiles[-1].get_array(), filters[-1].astype(float))
    largest = float(np.abs(filters).max())
    assert {tile.get_clim() for tile in tiles} == {(-largest, largest)}
    assert np.allclose(tiles[0].cmap(0.5), 1, atol=0.01)
    axes.figure.draw_without_rendering()


def test_filters_of_zeros_are_drawn():
    network_plots.plot_filters(np.zeros((2, 3, 3))).figure.draw_without_rendering()


def test_a_patch_is_covered_the_more_the_more_it_is_looked_at():
    images = np.zeros((1, 16), dtype=np.uint8)
    maps = np.array([[[[0.4, 0.3], [0.2, 0.1]]]])
    ((plain, covered),) = network_plots.cover_images(images, (4, 4), maps, 2)
    assert plain.max() == 0
    sums = covered.sum(axis=2)[::2, ::2]
    assert sums[0, 0] > sums[0, 1] > sums[1, 0] > sums[1, 1] == 0
    assert (covered[:2, :2] == covered[0, 0]).all()
    red, green, blue = (int(ORANGE[i : i + 2], 16) for i in (1, 3, 5))
    assert covered[0, 0, 0] / covered[0, 0, 1] == pytest.approx(red / green, rel=0.02)
    assert blue == covered[0, 0, 2] == 0


def test_an_image_shines_through():
    images = np.array([[0, 255, 0, 255]], dtype=np.uint8)
    ((_, covered),) = network_plots.cover_images(images, (2, 2), np.array([[[[0.9], [0.1]]]]), 2)
    assert covered[0, 0].sum() < covered[0, 1].sum()


def test_a_flat_map_covers_nothing():
    images = np.full((2, 4), 100, dtype=np.uint8)
    covered = network_plots.cover_images(images, (2, 2), np.full((2, 1, 2, 2), 0.25), 1)
    assert (covered[:, 1] == covered[0, 1, 0, 0]).all()


def test_patches_that_reach_over_the_image_do_so_on_all_sides():
    images = np.zeros((1, 9), dtype=np.uint8)
    maps = np.array([[[[1.0, 0.0], [0.0, 0.0]]]])
    ((_, covered),) = network_plots.cover_images(images, (3, 3), maps, 4)
    # Two patches of 4 pixels begin 2 pixels above and left of the 3 that there are.
    expected = np.zeros((3, 3), dtype=bool)
    expected[:2, :2] = True
    assert np.array_equal(covered.sum(axis=2) > 0, expected)


def test_large_images_are_shrunk_as_a_page_needs_them():
    images = np.zeros((1, 300 * 100), dtype=np.uint8)
    covered = network_plots.cover_images(images, (300, 100), np.ones((1, 1, 30, 10)), 10)
    assert covered.shape == (1, 2, 64, 21, 3)


@pytest.mark.parametrize("shape", [(28, 28), (8, 48), (64, 16)])
@pytest.mark.parametrize("names", ["0123", ["T-shirt/top", "Ankle boot", "Dress", "x" * 40]])
def test_names_of_images_and_maps_never_overlap(shape, names):
    maps = [f"Head {i}" for i in range(8)] + ["All blocks"]
    covered = np.zeros((4, 1 + len(maps), *shape, 3), dtype=np.uint8)
    axes = network_plots.plot_attention(covered, names, maps)
    axes.figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == 4 + 10
    for at, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:at])


def test_plots_are_drawn_into_the_axes_given():
    covered = np.zeros((1, 2, 4, 4, 3), dtype=np.uint8)
    for draw in (
        lambda ax: network_plots.plot_filters(np.ones((3, 3, 3)), ax),
        lambda ax: network_plots.plot_attention(covered, ["a"], ["b"], ax),
    ):
        ax = new_axes()
        assert draw(ax) is ax
