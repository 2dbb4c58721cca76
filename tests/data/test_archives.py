import io
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenfold.data import load_dataset, open_sealed_test
from tenfold.data.archives import read_npz
from tenfold.errors import ConfigError, CorruptDataError


@pytest.mark.parametrize(
    ("x", "y"), [("x", "y"), ("X", "Y"), ("images", "labels"), ("data", "targets")]
)
def test_the_usual_names_are_found(npz, draw, x, y):
    images, labels = draw()
    dataset = load_dataset(npz(**{x: images, y: labels}))
    np.testing.assert_array_equal(dataset.images, images.reshape(len(images), -1))
    np.testing.assert_array_equal(dataset.labels, labels)
    assert dataset.image_shape == (4, 6)
    assert dataset.test is None
    assert dataset.groups is None


def test_keras_archives_have_an_official_test_part(npz, draw):
    images, labels = draw(seed=1)
    test_images, test_labels = draw(n=4, seed=2)
    path = npz(x_train=images, y_train=labels[:, None], x_test=test_images, y_test=test_labels)
    dataset = load_dataset(path)
    assert len(dataset.test) == 12
    assert open_sealed_test(dataset, choices={"a": 1}).tolist() == test_labels.tolist()


def test_groups_and_class_names_are_kept(npz, draw):
    images, labels = draw()
    writers = np.array(["ann", "bob", "cy"])[np.arange(len(labels)) % 3]
    path = npz(x=images, y=labels, groups=writers, class_names=np.array(["b", "a", "c"]))
    dataset = load_dataset(path)
    assert dataset.class_names == ("b", "a", "c")
    np.testing.assert_array_equal(dataset.labels, labels)
    np.testing.assert_array_equal(dataset.groups, np.arange(len(labels)) % 3)


def test_text_labels_with_class_names_are_looked_up(npz, draw):
    images, labels = draw()
    names = np.array(["b", "a", "c"])
    dataset = load_dataset(npz(x=images, y=names[labels], class_names=names))
    np.testing.assert_array_equal(dataset.labels, labels)


def test_groups_of_the_test_part_are_numbered_alike(npz, draw):
    images, labels = draw()
    arrays = {"x_train": images, "y_train": labels, "x_test": images[:3], "y_test": labels[:3]}
    groups = {"groups": np.arange(len(labels)) // 3 + 5, "groups_test": np.array([7, 7, 99])}
    dataset = load_dataset(npz(**arrays, **groups))
    assert dataset.test.groups.tolist() == [2, 2, 12]
    without = load_dataset(npz(**arrays, groups=groups["groups"]))
    assert without.test.groups is None


def test_arrays_may_be_named_by_the_caller(npz, draw):
    images, labels = draw()
    path = npz(x=images, y=labels, digit=labels[::-1].copy(), writer=labels * 2)
    dataset = load_dataset(path, label_column="digit", group_column="writer")
    assert dataset.labels.tolist() == labels[::-1].tolist()
    assert dataset.groups.tolist() == labels.tolist()
    with pytest.raises(ConfigError, match="has no array 'digits'. Did you mean 'digit'?"):
        load_dataset(path, label_column="digits")


@pytest.mark.parametrize("values", ["bytes", "floats"])
def test_labels_may_be_bytes_or_whole_floats(npz, draw, values):
    images, labels = draw()
    given_labels = labels.astype("S1") if values == "bytes" else labels.astype(np.float32)
    assert load_dataset(npz(x=images, y=given_labels)).labels.tolist() == labels.tolist()


def test_flat_rows_are_square_unless_told(npz):
    rows, labels = np.arange(4 * 36).reshape(4, 36) % 200 + 20, [0, 1, 0, 1]
    assert load_dataset(npz(x=rows, y=labels)).image_shape == (6, 6)
    assert load_dataset(npz(x=rows, y=labels), image_shape=(4, 9)).image_shape == (4, 9)
    with pytest.raises(CorruptDataError, match="rows have 36 pixels, but image_shape 5x7 needs 35"):
        load_dataset(npz(x=rows, y=labels), image_shape=(5, 7))
    with pytest.raises(CorruptDataError, match=r"35 pixels, but a square .* set image_shape"):
        load_dataset(npz(x=rows[:, 1:], y=labels))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("first", [True, False])
def test_colour_becomes_luma_with_channels_first_or_last(npz, dtype, first):
    colours = np.zeros((4, 5, 6, 3), dtype)
    colours[0] = [255, 255, 255]
    colours[1] = [255, 0, 0]
    colours[2] = [0, 255, 0]
    images = np.moveaxis(colours, 3, 1) if first else colours
    dataset = load_dataset(npz(x=images, y=[0, 1, 0, 1]))
    assert dataset.image_shape == (5, 6)
    assert dataset.images[:, 0].tolist() == [255, 76, 150, 0]


def test_white_in_floats_of_0_to_1_stays_within_the_range(npz):
    colours = np.zeros((4, 5, 6, 3))
    colours[::2] = 1.0
    dataset = load_dataset(npz(x=colours, y=[0, 1, 0, 1]))
    assert dataset.value_rule == "0..1: round(v*255)"


def test_one_channel_is_grey(npz, draw):
    images, labels = draw()
    assert load_dataset(npz(x=images[..., None], y=labels)).image_shape == (4, 6)
    assert load_dataset(npz(x=images[:, None], y=labels)).image_shape == (4, 6)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": [0, 1]}, "no array of images: expected one of x, X"),
        ({"x": np.zeros((2, 2, 2))}, r"no array of labels: expected one of y, .* found x"),
        ({"x": np.zeros((2, 2, 2)), "X": np.zeros((2, 2, 2)), "y": [0, 1]}, "mean the same"),
        ({"x": np.zeros((2, 2, 2)), "y": [0, 1, 1]}, "2 images need 2 labels"),
        ({"x": np.zeros((2, 2, 2)), "y": np.eye(2)}, r"labels of shape \(2, 2\)"),
        ({"x": np.zeros((0, 2, 2)), "y": []}, "no images"),
        ({"x": np.zeros(4), "y": [0, 1]}, r"must have shape .* got \(4,\)"),
        ({"x": np.zeros((2, 5, 5, 4)), "y": [0, 1]}, r"must have shape .* got \(2, 5, 5, 4\)"),
        ({"x": np.array([["a"], ["b"]]), "y": [0, 1]}, "must be numbers"),
        ({"x": np.zeros((2, 2, 2)), "y": [0, 0]}, "all labels are '0'"),
        ({"x": np.zeros((2, 2, 2)), "y": [0, 1.5]}, "a label is 1.5"),
        ({"x": np.zeros((2, 2, 2)), "y": [0, np.nan]}, "a label is nan"),
        ({"x": np.zeros((2, 2, 2)), "y": ["a", " "]}, "a label is empty"),
        ({"x": np.zeros((2, 2, 2)), "y": [1j, 2j]}, "labels are of type complex128"),
        ({"x": np.full((2, 2, 2), np.nan), "y": [0, 1]}, "NaN or infinite"),
        ({"x": np.zeros((2, 2, 2)), "y": [0, 1], "x_test": np.zeros((1, 2, 2))}, "'x_test' alone"),
        (
            {"x": np.zeros((2, 2, 2)), "y": [0, 1], "groups": [1]},
            "2 images need 2 groups",
        ),
        (
            {"x": np.zeros((2, 2, 2)), "y": [0, 5], "class_names": ["a", "b"]},
            "label '5' is none of the 2 classes: 0, 1",
        ),
        ({"x": np.zeros((2, 2, 2)), "y": [0, 1], "class_names": ["a", "a"]}, "occurs twice"),
        ({"x": np.zeros((2, 2, 2)), "y": [0, 1], "class_names": [["a", "b"]]}, "on one axis"),
        (
            {"x": np.zeros((2, 2, 2)), "y": [0, 1], "class_names": ["a", "b", "c"]},
            "class 'c' has no images to learn from",
        ),
        (
            {
                "x": np.zeros((2, 2, 2)),
                "y": [0, 1],
                "x_test": np.zeros((1, 2, 2)),
                "y_test": [2],
            },
            "class '2' has no images to learn from",
        ),
    ],
)
def test_contradictions_are_refused_with_the_file(npz, arrays, message):
    path = npz(**arrays)
    with pytest.raises(CorruptDataError, match=message) as caught:
        load_dataset(path)
    assert str(path) in str(caught.value)


def test_objects_are_never_unpickled(npz):
    path = npz(x=np.zeros((2, 2, 2)), y=np.array([0, "a"], dtype=object))
    with pytest.raises(CorruptDataError, match="Python objects, which are never unpickled"):
        load_dataset(path)


def test_what_is_no_archive_is_named(tmp_path):
    path = tmp_path / "x.npz"
    path.write_bytes(b"no zip at all")
    with pytest.raises(CorruptDataError, match=r"x\.npz cannot be read as an \.npz archive"):
        load_dataset(path)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", b"\0" * 2_000_000)
        archive.writestr("y.npy", b"\0")
    assert path.stat().st_size < 10_000
    with pytest.raises(CorruptDataError, match="declares 2,000,001 bytes of arrays, allowed are"):
        read_npz(path, max_bytes=1_000_000)


@pytest.mark.parametrize(
    ("compression", "method"), [(zipfile.ZIP_BZIP2, 12), (zipfile.ZIP_LZMA, 14)]
)
def test_a_compression_that_unpacks_without_bounds_is_refused(
    npz, draw, tmp_path, compression, method
):
    images, labels = draw()
    path = tmp_path / "bomb.npz"
    with (
        zipfile.ZipFile(npz(x=images, y=labels)) as plain,
        zipfile.ZipFile(path, "w", compression) as archive,
    ):
        for name in plain.namelist():
            archive.writestr(name, plain.read(name))
    with pytest.raises(CorruptDataError, match=rf"compressed by method {method}; allowed are"):
        load_dataset(path)


def test_a_header_that_declares_more_than_is_there_is_refused(tmp_path):
    path = tmp_path / "x.npz"
    file = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**3, 10**3)}
    np.lib.format.write_array_header_1_0(file, header)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", file.getvalue())
        archive.writestr("y.npy", file.getvalue())
    with pytest.raises(CorruptDataError, match="'x' declares .* and is truncated"):
        load_dataset(path)


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.9])
def test_a_cut_archive_is_named(npz, draw, cut):
    images, labels = draw()
    path = npz(x=images, y=labels)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * cut)])
    with pytest.raises(CorruptDataError, match=r"data\.npz cannot be read"):
        load_dataset(path)


def test_an_encrypted_archive_is_named(npz, draw):
    images, labels = draw()
    path = npz(x=images, y=labels)
    content = bytearray(path.read_bytes())
    for start in range(len(content)):
        if content[start : start + 4] == b"PK\x01\x02":  # an entry of the directory
            content[start + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(CorruptDataError, match=r"data\.npz cannot be read.*encrypted"):
        load_dataset(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_a_flipped_byte_is_refused_or_changes_nothing_silently(npz, draw, data):
    images, labels = draw(n=3)
    path = npz(x=images, y=labels)
    whole = bytearray(path.read_bytes())
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(whole)
    with suppress(CorruptDataError):
        dataset = load_dataset(path)
        np.testing.assert_array_equal(dataset.images, images.reshape(len(images), -1))
