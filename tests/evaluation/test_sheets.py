import base64
import io

import numpy as np
import pytest
from PIL import Image

from tenfold.evaluation import pick_samples
from tenfold.evaluation.sheets import plot_sheet, to_data_uri
from tenfold.evaluation.style import chart_style, new_axes, to_png


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


@pytest.mark.parametrize("count", [1, 7, 25])
def test_a_sheet_shows_every_image_with_its_caption(count):
    images = np.zeros((count, 6), dtype=np.uint8)
    with chart_style():
        axes = plot_sheet(images, (2, 3), [f"c{i}" for i in range(count)])
        assert len(axes.get_images()) == count
        assert [text.get_text() for text in axes.texts] == [f"c{i}" for i in range(count)]
        given = new_axes()
        assert plot_sheet(images, (2, 3), ["x"] * count, given) is given
    assert to_png(axes, dpi=50)


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
        boxes += [image.get_window_extent() for image in axes.get_images()]
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
