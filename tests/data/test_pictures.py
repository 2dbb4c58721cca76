import numpy as np
import pytest
from PIL import Image

from tenfold.data import Dataset, SealedTest, audit_split, load_dataset, make_split
from tenfold.data.pictures import (
    Section,
    Tile,
    draw_audit,
    draw_image,
    draw_samples,
    draw_sheet,
    save_png,
)
from tenfold.errors import StorageError


@pytest.fixture(scope="module")
def split():
    return make_split(load_dataset("digits"))


def test_an_image_is_enlarged_by_whole_pixels():
    row = np.arange(6, dtype=np.uint8) * 40
    assert np.asarray(draw_image(row, (2, 3))).tolist() == row.reshape(2, 3).tolist()
    large = np.asarray(draw_image(row, (2, 3), least_side=13))
    assert large.shape == (8, 12)
    assert np.unique(large).tolist() == row.tolist()
    assert (large[:4, 4:8] == 40).all()


def test_samples_show_every_class_and_are_the_same_every_time(split):
    one, two = (draw_samples(split, per_class=5) for _ in range(2))
    assert one.tobytes() == two.tobytes()
    assert draw_samples(split, per_class=5, seed=1).tobytes() != one.tobytes()
    assert one.height > draw_samples(split, per_class=5).height / 2
    assert draw_samples(split, per_class=40).height > one.height


def test_an_audit_is_drawn_with_what_it_found():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (200, 40 * 100), np.uint8)
    labels = np.arange(200) % 2
    clean = Dataset("d", images, labels, ("a", "b" * 60), (40, 100), None, None, "0..255", "here")
    spoilt = images.copy()
    spoilt[[2, 3]] = spoilt[0]
    spoilt[5] = 7
    test = SealedTest(spoilt[[0, 9]], labels[:2])
    dataset = Dataset("d", spoilt, labels, ("a", "b" * 60), (40, 100), None, test, "0..255", "here")
    pictures = [
        draw_audit(split, audit_split(split)) for split in map(make_split, (clean, dataset))
    ]
    assert pictures[0].width == pictures[1].width
    assert pictures[1].height > pictures[0].height


def test_tiles_wrap_and_long_captions_are_cut():
    row = np.zeros(64, np.uint8)
    tiles = (Tile((row,), "a caption that is much too long for it"), Tile((row, row), "two")) * 20
    sheet = draw_sheet([Section("heading", tiles), Section("empty", ())], (8, 8))
    assert sheet.mode == "RGB"
    assert sheet.height > 5 * 84


def test_a_picture_is_written_whole_or_not_at_all(tmp_path, split):
    path = tmp_path / "new" / "x.png"
    save_png(draw_image(split.images[0], (8, 8)), path)
    assert Image.open(path).size == (8, 8)
    assert [child.name for child in path.parent.iterdir()] == ["x.png"]
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"x\.png"):
        save_png(draw_image(split.images[0], (8, 8)), tmp_path / "file" / "x.png")
    with pytest.raises(StorageError):
        save_png(draw_image(split.images[0], (8, 8)), tmp_path / "new")
