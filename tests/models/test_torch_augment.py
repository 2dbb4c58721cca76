"""Random changes of a batch of images."""

import pytest
import torch

from tenfold.config.params import PARAMS
from tenfold.models.torch.augment import Augmenter, background_of, leave_alone, make_augment

MLP = PARAMS["mlp"]
EVERY = {
    "shift_px": {"shift_px": 2},
    "rotate_deg": {"rotate_deg": 20},
    "scale": {"scale": 0.2},
    "shear": {"shear": 0.3},
    "elastic": {"elastic": 1.0},
    "erase": {"erase": 1.0},
    "stroke": {"stroke": 1.0},
    "all": {
        "shift_px": 2,
        "flip": True,
        "rotate_deg": 10,
        "scale": 0.1,
        "shear": 0.1,
        "elastic": 0.5,
        "erase": 0.5,
        "stroke": 0.5,
    },
}


def pictures(n=6, shape=(28, 20), ink=255, background=0):
    """Return rows with one rectangle of ink, well inside."""
    images = torch.full((n, *shape), background, dtype=torch.uint8)
    images[:, 8:20, 7:13] = ink
    return images.view(n, -1)


def augmenter(shape=(28, 20), background=0, seed=0, **recipe):
    made = Augmenter(MLP(**recipe), shape, background=background)
    made.generator.manual_seed(seed)
    return made


@pytest.mark.parametrize("recipe", EVERY.values(), ids=EVERY)
def test_shape_and_range_stay_and_each_batch_is_new(recipe):
    rows = pictures()
    kept = rows.clone()
    change = augmenter(**recipe)
    first, second = change(rows), change(rows)
    assert torch.equal(rows, kept)
    assert first.shape == rows.shape
    assert first.min() >= -1e-3
    assert first.max() <= 255 + 1e-3
    assert not torch.equal(first.float(), rows.float())
    assert not torch.equal(first, second)


@pytest.mark.parametrize("recipe", EVERY.values(), ids=EVERY)
def test_the_same_seed_gives_the_same_images(recipe):
    rows = pictures()
    global_state = torch.get_rng_state()
    assert torch.equal(augmenter(**recipe)(rows), augmenter(**recipe)(rows))
    assert not torch.equal(augmenter(**recipe)(rows), augmenter(seed=1, **recipe)(rows))
    assert torch.equal(torch.get_rng_state(), global_state)


@pytest.mark.parametrize("recipe", EVERY.values(), ids=EVERY)
def test_an_empty_image_stays_as_it_is_on_any_background(recipe):
    rows = torch.full((4, 560), 200, dtype=torch.uint8)
    changed = augmenter(background=200, **recipe)(rows)
    assert torch.allclose(changed.float(), rows.float(), atol=0.01)


def test_a_flip_mirrors_about_half_of_the_images_and_moves_nothing_else():
    rows = torch.arange(560, dtype=torch.int64).remainder(256).to(torch.uint8).repeat(400, 1)
    flipped = augmenter(flip=True)(rows)
    mirror = rows[0].view(28, 20).flip(1).flatten()
    mirrored = (flipped == mirror).all(dim=1)
    kept = (flipped == rows).all(dim=1)
    assert (mirrored ^ kept).all()
    assert 150 < int(mirrored.sum()) < 250


def test_a_shift_moves_whole_pixels_by_no_more_than_it_says():
    rows = pictures(n=200, shape=(28, 28))
    moved = augmenter((28, 28), shift_px=2)(rows).view(-1, 28, 28)
    assert moved.dtype == torch.uint8
    assert (moved.flatten(1).sum(dim=1) == rows[0].sum()).all()
    tops = (moved > 0).any(dim=2).int().argmax(dim=1)
    lefts = (moved > 0).any(dim=1).int().argmax(dim=1)
    assert set(tops.tolist()) == {6, 7, 8, 9, 10}
    assert set(lefts.tolist()) == {5, 6, 7, 8, 9}


@pytest.mark.parametrize(("side", "pixels"), [(28, 2), (8, 1), (6, 0), (56, 4)])
def test_a_shift_is_in_proportion_to_the_image(side, pixels):
    made = Augmenter(MLP(shift_px=2), (side, side))
    assert made.shift == pixels
    assert made.changes == (pixels > 0)


def test_a_turn_turns_about_the_middle_and_keeps_the_ink():
    rows = pictures(n=50, shape=(28, 28))
    turned = augmenter((28, 28), rotate_deg=90)(rows).view(-1, 28, 28)
    ink = turned.sum(dim=(1, 2))
    assert ink == pytest.approx(float(rows[0].sum()), rel=0.05)
    point = torch.zeros((20, 9, 9), dtype=torch.uint8)
    point[:, 4, 4] = 255
    still = augmenter((9, 9), rotate_deg=180)(point.view(20, -1)).view(20, 9, 9)
    assert still[:, 4, 4] == pytest.approx(255, abs=0.01)


def test_a_turn_is_no_larger_than_it_says_on_any_shape():
    bar = torch.zeros((300, 28, 20), dtype=torch.uint8)
    bar[:, 13:15, 5:15] = 255
    turned = augmenter((28, 20), rotate_deg=30)(bar.view(300, -1)).view(300, 28, 20)
    angles, lengths = axes_of(turned)
    assert 24 < angles.abs().max() <= 30.5
    assert angles.abs().min() < 3
    assert lengths == pytest.approx(float(axes_of(bar)[1][0]), rel=0.05)


def axes_of(images):
    """Return the angle of the longest axis of each image's ink, in degrees, and its length."""
    ink = images.double() / images.double().sum(dim=(1, 2), keepdim=True)
    rows, columns = (torch.arange(float(side), dtype=ink.dtype) for side in images.shape[1:])
    places = torch.stack([part.flatten() for part in torch.meshgrid(columns, rows, indexing="xy")])
    flat = ink.flatten(1)
    away = places - (flat @ places.T)[:, :, None]
    variances, vectors = torch.linalg.eigh((away * flat[:, None]) @ away.transpose(1, 2))
    x, y = vectors[:, :, 1].T
    return torch.rad2deg(torch.atan(y / x)), variances[:, 1].sqrt()


def test_a_shift_beside_a_turn_moves_by_no_more_than_it_says():
    rows = pictures(n=300, shape=(28, 28))
    moved = augmenter((28, 28), shift_px=3, rotate_deg=1e-3)(rows).view(-1, 28, 28)
    for axis in (1, 2):
        ink = moved.sum(dim=3 - axis)
        places = (ink * torch.arange(28.0)).sum(dim=1) / ink.sum(dim=1)
        still = (13.5, 9.5)[axis - 1]
        assert -3.01 <= (places - still).min() < -2.5
        assert 2.5 < (places - still).max() <= 3.01


def test_an_elastic_change_is_about_as_large_as_it_says():
    point = torch.zeros((400, 29, 29), dtype=torch.uint8)
    point[:, 12:17, 12:17] = 255
    spreads = []
    for size in (0.5, 1.0):
        moved = augmenter((29, 29), elastic=size)(point.view(400, -1)).view(-1, 29, 29)
        ink = moved.sum(dim=1)
        places = (ink * torch.arange(29.0)).sum(dim=1) / ink.sum(dim=1)
        assert places.mean() == pytest.approx(14, abs=0.2)
        spreads.append(float(places.std()))
    # A spot of five pixels moves by the mean of what its pixels do.
    assert 0.4 < spreads[1] < 1.1
    assert spreads[1] == pytest.approx(2 * spreads[0], rel=0.1)


def test_a_stretch_changes_the_area_within_its_bounds():
    rows = pictures(n=200, shape=(28, 28))
    ink = augmenter((28, 28), scale=0.2)(rows).sum(dim=1) / float(rows[0].sum())
    assert 0.6 < ink.min() < 0.9
    assert 1.1 < ink.max() < 1.5


def test_a_slant_moves_the_ends_and_not_the_middle_row():
    rows = torch.zeros((60, 9, 9), dtype=torch.uint8)
    rows[:, :, 4] = 255
    slanted = augmenter((9, 9), shear=0.5)(rows.view(60, -1)).view(60, 9, 9)
    assert slanted[:, 4, 4] == pytest.approx(255, abs=0.01)
    columns = torch.arange(9.0)
    top = (slanted[:, 0] * columns).sum(dim=1) / slanted[:, 0].sum(dim=1)
    assert (top - 4).abs().max() <= 2.01
    assert (top - 4).abs().max() > 1


def test_strokes_become_thicker_and_thinner():
    rows = pictures(n=100)
    ink = augmenter(stroke=1.0)(rows).sum(dim=1) / float(rows[0].sum())
    assert 12 * 6 * ink.max() <= 14 * 8 + 1e-3
    assert 12 * 6 * ink.min() >= 10 * 4 - 1e-3
    assert ink.max() > 1.2
    assert ink.min() < 0.8


def test_erasing_hits_the_share_of_images_that_it_says():
    rows = torch.full((400, 400), 9, dtype=torch.uint8)
    erased = augmenter((20, 20), erase=0.5)(rows)
    hit = (erased == 0).any(dim=1)
    assert 0.4 < hit.float().mean() < 0.6
    assert (erased == 0).float().mean(dim=1).max() <= 0.2


def test_a_recipe_without_augmentation_leaves_images_alone():
    rows = pictures()
    augment = make_augment(MLP(), rows, (28, 20), seed=0)
    assert augment is leave_alone
    assert augment(rows) is rows


def test_the_background_is_read_off_the_borders():
    rows = pictures(ink=0, background=230)
    assert background_of(rows, (28, 20)) == 230
    augment = make_augment(MLP(shift_px=5), rows, (28, 20), seed=3)
    changed = augment(rows)
    assert set(changed.unique().tolist()) == {0, 230}
