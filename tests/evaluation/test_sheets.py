import base64
import io

import numpy as np
import pytest
from matplotlib.transforms import Bbox
from PIL import Image

from tenfold.evaluation import pick_samples
from tenfold.evaluation.sheets import plot_sheet, to_data_uri
from tenfold.evaluation.style import SURFACE, chart_style, new_axes, to_png

from .conftest import contrast


def open_uri(uri):
    prefix = "data:image/png;base64,"
    assert uri.startswith(prefix)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.removeprefix(prefix)))))


def test_a_small_image_is_embedded_pixel_by_pixel():
    image = np.arange(6, dtype=np.uint8)
    assert np.array_equal(open_uri(to_data_uri(image, (2, 3))), image.reshape(2, 3))


def test_a_large_image_is_shrunk():
    image = np.zeros(300 * 100, dtype=np.uint8)
    assert open_uri(to_data_uri(image, (300, 100))).shape == (64, 21)


def shown_on(axes):
    """Return the places (left, top, right, bottom) and pixels of the images on a sheet."""
    (sheet,) = axes.get_images()
    pixels, (_, width, height, _) = sheet.get_array(), sheet.get_extent()
    solid = pixels[..., 3] > 0
    across = np.flatnonzero(np.diff(solid.any(axis=0), prepend=False, append=False))
    down = np.flatnonzero(np.diff(solid.any(axis=1), prepend=False, append=False))
    wide, tall = width / solid.shape[1], height / solid.shape[0]
    for top, bottom in down.reshape(-1, 2):
        for left, right in across.reshape(-1, 2):
            part = slice(top, bottom), slice(left, right)
            if solid[part].all():
                yield (left * wide, top * tall, right * wide, bottom * tall), pixels[part][..., 0]


@pytest.mark.parametrize("count", [1, 7, 25])
def test_a_sheet_shows_every_image_with_its_caption(count):
    images = np.arange(6 * count, dtype=np.uint8).reshape(count, 6)
    with chart_style():
        axes = plot_sheet(images, (2, 3), [f"c{i}" for i in range(count)])
        shown = [pixels.ravel().tolist() for _, pixels in shown_on(axes)]
        assert shown == images.tolist()
        assert [text.get_text() for text in axes.texts] == [f"c{i}" for i in range(count)]
        given = new_axes()
        assert plot_sheet(images, (2, 3), ["x"] * count, given) is given
    assert to_png(axes, dpi=50)


def test_of_large_images_a_sheet_takes_as_many_pixels_as_it_can_show():
    with chart_style():
        axes = plot_sheet(np.full((3, 900 * 500), 9, dtype=np.uint8), (900, 500), ["x"] * 3)
        assert [pixels.shape for _, pixels in shown_on(axes)] == [(180, 167)] * 3


def test_samples_show_every_class_alike():
    labels = np.array([2, 0, 0, 1, 0, 2, 1])
    assert pick_samples(labels, n_classes=3, per_class=2).tolist() == [1, 2, 3, 6, 0, 5]
    assert pick_samples(labels, n_classes=3, limit=3).tolist() == [1, 3, 0]
    assert pick_samples(labels, n_classes=3, limit=2).tolist() == [1, 3]


@pytest.mark.parametrize("shape", [(28, 28), (8, 64), (64, 8), (100, 90)])
@pytest.mark.parametrize("caption", ["3 → 5\n99.0 %", "T-shirt/top\n→ Ankle boot\n87.3 %"])
def test_captions_touch_neither_each_other_nor_an_image(shape, caption):
    images = np.zeros((23, shape[0] * shape[1]), dtype=np.uint8)
    with chart_style():
        axes = plot_sheet(images, shape, [caption] * 23)
        axes.figure.draw_without_rendering()
        boxes = [text.get_window_extent() for text in axes.texts]
        corners = (np.reshape(place, (2, 2)) for place, _ in shown_on(axes))
        boxes += [Bbox(axes.transData.transform(found)) for found in corners]
    assert len(boxes) == 46
    for at, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:at])


def test_marked_images_are_framed_and_their_captions_coloured():
    images = np.zeros((3, 6), dtype=np.uint8)
    with chart_style():
        axes = plot_sheet(images, (2, 3), ["a", "b", "c"], marked=[1])
    assert len(axes.patches) == 1
    colours = [text.get_color() for text in axes.texts]
    assert colours[0] == colours[2] != colours[1]
    assert contrast(colours[1], SURFACE) >= 4.5
