import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tenfold.data import load_dataset
from tenfold.errors import ImageError
from tenfold.imaging import PictureStyle, decode_image, measure_style, normalize_image

DARK = PictureStyle(ink="dark")
FULL = PictureStyle(fills_frame=True)


def seven(height=120, width=200, top=30, left=100, paper=255, ink=0):
    """Return a picture of a 7 that is 60 pixels high and 40 wide."""
    picture = np.full((height, width), paper, np.uint8)
    picture[top : top + 8, left : left + 40] = ink
    for row in range(8, 60):
        start = left + round(34 * (60 - row) / 52)
        picture[top + row, start : start + 6] = ink
    return picture


def box_of(image):
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    return rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1


def centre_of(image):
    levels = image.astype(float)
    return tuple(
        levels.sum(axis=1 - axis) @ np.arange(side) / levels.sum()
        for axis, side in enumerate(image.shape)
    )


def test_ink_is_scaled_into_twenty_pixels_and_lies_by_its_centre_of_mass():
    image = normalize_image(seven(), (28, 28))
    assert image.dtype == np.uint8
    assert image.shape == (28, 28)
    assert image.max() == 255
    assert box_of(image) == (20, 13)  # 40 of 60 is 13 of 20
    assert all(13 <= centre <= 14.5 for centre in centre_of(image))
    assert image[:, 0].max() == 0


@pytest.mark.parametrize("top", [0, 30, 59])
@pytest.mark.parametrize("left", [1, 100, 159])
def test_the_place_in_the_picture_does_not_matter(top, left):
    expected = normalize_image(seven(), (28, 28))
    np.testing.assert_array_equal(normalize_image(seven(top=top, left=left), (28, 28)), expected)


@pytest.mark.parametrize(("paper", "ink"), [(0, 255), (40, 200), (200, 40), (110, 15), (128, 255)])
def test_paper_and_ink_of_any_grey_become_light_on_dark(paper, ink):
    expected = normalize_image(seven(), (28, 28))
    found = normalize_image(seven(paper=paper, ink=ink), (28, 28))
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_the_other_way_round_where_the_model_was_trained_so():
    np.testing.assert_array_equal(
        normalize_image(seven(), (28, 28), style=DARK), 255 - normalize_image(seven(), (28, 28))
    )


@pytest.mark.parametrize(
    ("shape", "box"), [((14, 14), (10, 7)), ((56, 28), (30, 20)), ((28, 56), (20, 13))]
)
def test_other_shapes_are_served_in_proportion(shape, box):
    image = normalize_image(seven(), shape)
    assert image.shape == shape
    assert box_of(image) == box


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 9)])
def test_the_smallest_shapes_hold_some_ink(shape):
    image = normalize_image(seven(), shape)
    assert image.shape == shape
    assert image.max() == 255


def test_a_thin_line_stays_visible():
    picture = np.full((400, 400), 255, np.uint8)
    picture[50:350, 200] = 0
    assert normalize_image(picture, (28, 28)).max() == 255


def test_faint_speckles_are_no_ink():
    noisy = seven(paper=240, ink=20).astype(int)
    noisy += np.random.default_rng(0).integers(-8, 9, noisy.shape)
    image = normalize_image(noisy.clip(0, 255).astype(np.uint8), (28, 28))
    assert np.abs(image.astype(int) - normalize_image(seven(), (28, 28))).mean() < 5


def test_a_style_that_fills_the_frame_is_only_resized():
    picture = np.zeros((4, 4), np.uint8)
    picture[1:3, 1:3] = 255
    doubled = picture.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(normalize_image(picture, (4, 4), style=FULL), picture)
    np.testing.assert_array_equal(normalize_image(255 - picture, (4, 4), style=FULL), picture)
    shrunk = normalize_image(doubled, (4, 4), style=FULL)
    assert shrunk[1:3, 1:3].min() > 128 > shrunk[0].max()
    blank = np.zeros((4, 4), np.uint8)
    np.testing.assert_array_equal(normalize_image(blank, (4, 4), style=FULL), blank)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_picture_of_nothing_is_refused(level):
    picture = np.full((40, 40), level, np.uint8)
    picture[20, 20] = level + 3 if level < 255 else level - 3
    with pytest.raises(ImageError, match="shows nothing: its grey levels differ by 3"):
        normalize_image(picture, (28, 28))


@pytest.mark.parametrize(
    "picture", [np.zeros((0, 5), np.uint8), np.zeros((5, 5)), np.zeros((2, 5, 5), np.uint8)]
)
def test_what_is_no_picture_is_refused(picture):
    with pytest.raises(ImageError, match=r"must be uint8 of shape \(height, width\)"):
        normalize_image(picture, (28, 28))


@given(st.data())
def test_any_picture_becomes_an_image_or_an_image_error(data):
    height, width = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    values = data.draw(st.lists(st.integers(0, 255), min_size=height * width, max_size=144))
    picture = np.array(values[: height * width], np.uint8).reshape(height, width)
    try:
        image = normalize_image(picture, (9, 7))
    except ImageError:
        return
    assert image.shape == (9, 7)
    assert image.max() == 255


def test_the_style_is_found_in_the_images():
    margin = np.stack([normalize_image(seven(left=left), (28, 28)) for left in (20, 90)])
    rows = margin.reshape(2, -1)
    assert measure_style(rows, (28, 28)) == PictureStyle(ink="light", fills_frame=False)
    assert measure_style(255 - rows, (28, 28)) == PictureStyle(ink="dark", fills_frame=False)
    digits = load_dataset("digits")
    assert measure_style(digits.images, digits.image_shape) == FULL
    blank = np.zeros((3, 784), np.uint8)
    assert measure_style(blank, (28, 28)) == PictureStyle()


@pytest.mark.parametrize("order", ["mixed", "sorted"])
def test_training_images_that_fill_the_frame_and_are_light_or_dark_stay_as_they_are(
    order, tmp_path
):
    """Photos, of which a third has a light border: they were learned from as they are."""
    pictures = np.random.default_rng(0).integers(0, 80, (1500, 10, 12), np.uint8)
    light = np.arange(1500) % 3 == 0 if order == "mixed" else np.arange(1500) >= 1000
    pictures[light] += 170
    pictures[:, 2:8, 2:8] = 255 - pictures[:, 2:8, 2:8]
    pictures[:, 0, 0], pictures[:, -1, -1] = 0, 255
    style = measure_style(pictures.reshape(len(pictures), -1), (10, 12))
    assert style.fills_frame
    for picture in pictures[[0, 1, 2, 1200, 1201]]:
        path = tmp_path / "picture.png"
        Image.fromarray(picture).save(path)
        found = normalize_image(decode_image(path), (10, 12), style=style)
        np.testing.assert_array_equal(found, picture)


def test_images_of_the_digits_stay_as_they_are():
    digits = load_dataset("digits")
    for row in digits.images[:100]:
        image = row.reshape(8, 8)
        np.testing.assert_array_equal(normalize_image(image, (8, 8), style=FULL), image)


@pytest.mark.mnist
def test_images_of_mnist_keep_all_but_their_faint_rims(data_dir):
    dataset = load_dataset("mnist", data_dir=data_dir)
    assert measure_style(dataset.images, (28, 28)) == PictureStyle()
    kept = []
    for row in dataset.images[:500]:
        image = row.reshape(28, 28)
        found = normalize_image(image, (28, 28))
        kept.append(np.abs(found.astype(int) - image).max() <= 26)
        np.testing.assert_array_equal(normalize_image(255 - image, (28, 28)), found)
    assert np.mean(kept) > 0.99  # without its rim a digit may come to lie one pixel further


@pytest.mark.mnist
def test_an_enlarged_paper_copy_of_a_digit_becomes_the_digit_again(data_dir):
    dataset = load_dataset("mnist", data_dir=data_dir)
    differences = []
    for row in dataset.images[:200]:
        image = row.reshape(28, 28)
        paper = np.full((400, 500), 230, np.uint8)
        large = image.repeat(10, axis=0).repeat(10, axis=1)
        paper[60:340, 130:410] = 230 - (large * 0.7).astype(np.uint8)
        found = normalize_image(paper, (28, 28))
        differences.append(np.abs(found.astype(int) - image).mean())
    assert np.median(differences) < 4
