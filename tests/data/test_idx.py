import gzip
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tenfold.data import load_dataset, open_sealed_test
from tenfold.data.idx import parse_idx, read_idx, read_idx_folder
from tenfold.errors import ConfigError, CorruptDataError, DatasetNotFoundError


@given(
    st.sampled_from(["uint8", "int8", "int16", "int32", "float32", "float64"]).flatmap(
        lambda name: arrays(name, array_shapes(max_dims=4, max_side=5))
    )
)
def test_any_array_comes_back_as_it_was_written(idx_bytes, array):
    back = parse_idx(idx_bytes(array), where="x")
    np.testing.assert_array_equal(back, array)


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(content):
    with suppress(CorruptDataError):
        assert parse_idx(content, where="x").ndim > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:-1], "truncated"),
        (lambda content: content + b"\0", "too long"),
        (lambda content: content[:9], "truncated within its header"),
        (lambda content: b"\1" + content[1:], "no IDX file"),
        (lambda content: content[:2] + b"\7" + content[3:], "no IDX file"),
        (lambda content: content[:4] + b"\xff" * 12, "truncated"),
    ],
)
def test_damage_is_named_with_the_file(tmp_path, idx_bytes, change, message):
    path = tmp_path / "x-images-idx3-ubyte"
    path.write_bytes(change(idx_bytes(np.zeros((2, 3, 4), np.uint8))))
    with pytest.raises(CorruptDataError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_a_cut_gzip_file_is_named(tmp_path, idx_bytes):
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(idx_bytes(np.arange(200, dtype=np.uint8)))[:-9])
    with pytest.raises(CorruptDataError, match=r"x\.gz cannot be read"):
        read_idx(path)


def test_an_empty_file_is_named(tmp_path):
    path = tmp_path / "x"
    path.touch()
    with pytest.raises(CorruptDataError, match="x is empty"):
        read_idx(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DatasetNotFoundError, match="nothing-here"):
        read_idx(tmp_path / "nothing-here")


@pytest.mark.parametrize("packed", [True, False])
def test_a_folder_has_train_and_official_test_rows(idx_folder, draw, packed):
    folder = idx_folder(packed=packed)
    dataset = load_dataset(folder)
    images, labels = draw(seed=1)
    np.testing.assert_array_equal(dataset.images, images.reshape(len(images), -1))
    np.testing.assert_array_equal(dataset.labels, labels)
    assert dataset.image_shape == (4, 6)
    assert dataset.class_names == ("0", "1", "2")
    assert dataset.name == "idx"
    test = draw(seed=2)
    np.testing.assert_array_equal(dataset.test.images, test[0].reshape(len(test[0]), -1))
    opened = open_sealed_test(dataset, choices={"winner": "a"})
    np.testing.assert_array_equal(opened, test[1])


def test_the_test_part_is_optional(idx_folder):
    assert load_dataset(str(idx_folder(test=False))).test is None


def test_dots_in_the_names_are_read_too(tmp_path, draw, idx_bytes):
    images, labels = draw()
    (tmp_path / "train-images.idx3-ubyte").write_bytes(idx_bytes(images))
    (tmp_path / "train-labels.idx1-ubyte").write_bytes(idx_bytes(labels.astype(np.uint8)))
    assert len(load_dataset(tmp_path)) == len(images)


def test_images_without_labels_are_refused(idx_folder):
    folder = idx_folder()
    (folder / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(CorruptDataError, match="no labels beside it: expected train-labels-idx1"):
        load_dataset(folder)


def test_two_files_to_learn_from_are_refused(idx_folder):
    folder = idx_folder()
    (folder / "more-images-idx3-ubyte").write_bytes(b"")
    with pytest.raises(CorruptDataError, match="found more-images-idx3-ubyte, t10k"):
        load_dataset(folder)


def test_labels_in_place_of_images_are_refused(tmp_path, idx_bytes):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx_bytes(np.zeros(4, np.uint8)))
    with pytest.raises(CorruptDataError, match="on three axes, it has 1"):
        read_idx_folder(tmp_path)


def test_fewer_labels_than_images_are_refused(idx_folder, idx_bytes):
    folder = idx_folder(test=False, packed=False)
    (folder / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(5, np.uint8)))
    with pytest.raises(CorruptDataError, match="36 images need 36 labels"):
        load_dataset(folder)


def test_a_contradicting_shape_is_refused(idx_folder):
    folder = idx_folder()
    assert load_dataset(folder, image_shape=(4, 6)).image_shape == (4, 6)
    with pytest.raises(ConfigError, match="image_shape is 6x4, but the images of .* are 4x6"):
        load_dataset(folder, image_shape=(6, 4))


def test_test_images_of_another_size_are_refused(idx_folder, draw, idx_bytes):
    folder = idx_folder(packed=False)
    images, _ = draw(shape=(6, 4), seed=2)
    (folder / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(images))
    with pytest.raises(CorruptDataError, match=r"t10k.*\(6, 4\).*\(4, 6\)"):
        load_dataset(folder)


def test_options_for_tables_do_not_fit_a_folder(idx_folder):
    folder = idx_folder()
    with pytest.raises(ConfigError, match="label_column is 'y'"):
        load_dataset(folder, label_column="y")
    with pytest.raises(ConfigError, match="group_column is 'w'"):
        load_dataset(folder, group_column="w")
