from dataclasses import replace

import numpy as np
import pytest

from tenfold.data import Dataset, SealedTest, load_dataset
from tenfold.errors import CorruptDataError


@pytest.fixture
def dataset(draw):
    images, labels = draw()
    rows = images.reshape(len(images), -1)
    test = SealedTest(rows[:4].copy(), labels[:4])
    return Dataset(
        "d", rows, labels, ("a", "b", "c"), (4, 6), labels.copy(), test, "as they are", "here"
    )


def changes(dataset):
    """Return one changed copy per part of the content."""
    images, labels = dataset.images.copy(), dataset.labels.copy()
    images[3, 3] ^= 1
    labels[3] = 2 - labels[3]
    test_images = dataset.test.images.copy()
    test_images[0, 0] ^= 1
    return {
        "a pixel": replace(dataset, images=images),
        "a label": replace(dataset, labels=labels),
        "a class name": replace(dataset, class_names=("a", "b", "d")),
        "the shape": replace(dataset, image_shape=(6, 4)),
        "a group": replace(dataset, groups=labels),
        "no groups": replace(dataset, groups=None),
        "no test": replace(dataset, test=None),
        "a test pixel": replace(dataset, test=SealedTest(test_images, dataset.labels[:4])),
        "a test label": replace(dataset, test=SealedTest(dataset.test.images, dataset.labels[1:5])),
        "fewer rows": replace(dataset, images=images[:-1], labels=labels[:-1], groups=labels[:-1]),
    }


def test_every_part_of_the_content_changes_the_fingerprint(dataset):
    found = {what: changed.fingerprint for what, changed in changes(dataset).items()}
    assert len({dataset.fingerprint, *found.values()}) == len(found) + 1
    assert all(len(text) == 64 for text in found.values())


def test_names_and_places_do_not_change_the_fingerprint(dataset):
    moved = replace(dataset, name="e", source="elsewhere", value_rule="another")
    assert moved.fingerprint == dataset.fingerprint


def test_formats_do_not_change_the_fingerprint(tmp_path, npz, csv, draw, idx_bytes):
    images, labels = draw(shape=(5, 5))
    rows = [
        ",".join(map(str, [label, *image.ravel()]))
        for image, label in zip(images, labels, strict=True)
    ]
    for name, array in (("images-idx3", images), ("labels-idx1", labels.astype(np.uint8))):
        path = tmp_path / "folder" / f"{name}-ubyte"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(idx_bytes(array))
    sources = [npz(x=images, y=labels), csv(*rows), tmp_path / "folder"]
    assert len({load_dataset(source).fingerprint for source in sources}) == 1


def test_a_target_changes_the_fingerprint(npz, draw):
    images, labels = draw()
    path = npz(x=images, y=labels)
    found = {load_dataset(path, target=target).fingerprint for target in (None, "0", "1", "2")}
    assert len(found) == 4


def test_the_arrays_are_read_only(dataset):
    for array in (dataset.images, dataset.labels, dataset.groups, dataset.test.images):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_the_arrays_that_were_given_stay_as_they_were(draw):
    images, labels = draw()
    rows = images.reshape(len(images), -1)
    Dataset("d", rows, labels, ("a", "b", "c"), (4, 6), None, None, "as they are", "here")
    SealedTest(rows, labels)
    rows[0], labels[0] = 1, 1


def test_it_says_what_it_is(dataset):
    assert repr(dataset) == "Dataset('d', 36 images of 4x6, 3 classes, 4 sealed)"
    assert repr(replace(dataset, test=None)).endswith("no official test)")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((36, 25), np.uint8)}, r"uint8 of shape \(n, 24\), got uint8 of shape"),
        ({"images": np.zeros((36, 24))}, "got float64"),
        ({"labels": np.zeros(35, np.int64)}, r"labels must be int64 of shape \(36,\)"),
        ({"labels": np.zeros(36, np.uint8)}, "labels must be int64"),
        ({"groups": np.zeros((36, 1), np.int64)}, "groups must be int64"),
        ({"labels": np.full(36, 3)}, "indices of the 3 class names"),
        ({"labels": np.full(36, -1)}, "indices of the 3 class names"),
        ({"class_names": ("a",)}, "at least two classes"),
    ],
)
def test_parts_that_do_not_fit_are_refused(dataset, change, message):
    with pytest.raises(CorruptDataError, match=message):
        replace(dataset, **change)
