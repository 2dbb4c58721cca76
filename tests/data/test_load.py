import importlib.util
from pathlib import Path

import numpy as np
import pytest

from tenfold.data import get_entry, list_datasets, load_dataset, open_sealed_test
from tenfold.errors import (
    ConfigError,
    CorruptDataError,
    DatasetNotFoundError,
    UnknownDatasetError,
)


def test_digits_need_no_file_and_no_network():
    dataset = load_dataset("digits")
    assert dataset.images.shape == (1797, 64)
    assert dataset.image_shape == (8, 8)
    assert dataset.class_names == tuple("0123456789")
    assert dataset.value_rule == "0..16: round(v*255/16)"
    assert dataset.images.max() == 255
    assert np.bincount(dataset.labels).tolist() == [
        *(178, 182, 177, 183, 181),
        *(182, 181, 179, 174, 180),
    ]
    assert dataset.fingerprint.startswith("b8571044f657")


def test_digits_are_those_of_scikit_learn(monkeypatch):
    fast = load_dataset("digits")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    slow = load_dataset("digits")
    assert slow.fingerprint == fast.fingerprint


def test_a_target_makes_the_task_binary():
    dataset = load_dataset("digits", target="5")
    assert dataset.class_names == ("not 5", "5")
    np.testing.assert_array_equal(dataset.labels, load_dataset("digits").labels == 5)


def test_an_unknown_target_lists_the_classes():
    with pytest.raises(ConfigError, match=r"target is 'five'.*Valid: 0, 1, 2"):
        load_dataset("digits", target="five")


def test_the_target_holds_for_the_test_rows_too(npz, draw):
    images, labels = draw()
    path = npz(x_train=images, y_train=labels, x_test=images, y_test=labels)
    dataset = load_dataset(path, target="2")
    opened = open_sealed_test(dataset, choices={"a": 1})
    np.testing.assert_array_equal(opened, labels == 2)


def test_an_unknown_name_lists_the_names():
    with pytest.raises(UnknownDatasetError, match=r"'mnits'. Did you mean 'mnist'\? Valid: digits"):
        load_dataset("mnits")
    with pytest.raises(UnknownDatasetError, match="Did you mean 'usps'"):
        get_entry("usp")


@pytest.mark.parametrize("source", ["./mnits", "a/b", "data.npz", Path("digits")])
def test_what_looks_like_a_path_is_one(source):
    with pytest.raises(DatasetNotFoundError, match="does not exist"):
        load_dataset(source)


@pytest.mark.parametrize(
    "options", [{"label_column": "y"}, {"group_column": "g"}, {"image_shape": (7, 7)}]
)
def test_options_for_files_do_not_fit_names(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        load_dataset("digits", **options)


def test_max_images_draws_a_stratified_part(npz, draw):
    images, labels = draw(n=20)
    groups = np.arange(len(labels))
    path = npz(x_train=images, y_train=labels, x_test=images, y_test=labels, groups=groups)
    dataset = load_dataset(path, max_images=30)
    assert np.bincount(dataset.labels).tolist() == [10, 10, 10]
    assert len(dataset.test) == 60
    assert len(dataset.groups) == 30
    assert (np.diff(dataset.groups) > 0).all()
    np.testing.assert_array_equal(labels[dataset.groups], dataset.labels)
    assert load_dataset(path, max_images=30).fingerprint == dataset.fingerprint
    assert len(load_dataset(path, max_images=1000)) == 60


def test_max_images_must_hold_every_class():
    with pytest.raises(ConfigError, match="max_images is 9, but digits has 10 classes"):
        load_dataset("digits", max_images=9)


def test_every_entry_of_the_catalogue_says_where_its_files_come_from():
    for entry in list_datasets():
        assert len(entry.class_names) == 10
        for role in entry.roles:
            files = [file for file in entry.files if file.role == role]
            assert sum(len(file.urls) for file in files) >= 2
        for file in entry.files:
            assert (file.sha256 is None) != (file.packed_sum is None)
            assert all(url.endswith(f"/{file.name}") for url in file.urls)


def test_files_of_a_name_are_looked_for_in_the_data_folder(tmp_path, draw, idx_bytes):
    folder = tmp_path / "data" / "kmnist"
    folder.mkdir(parents=True)
    images, labels = draw()
    for part in ("train", "t10k"):
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(labels.astype(np.uint8)))
    assert get_entry("kmnist").is_ready(tmp_path / "data")
    with pytest.raises(CorruptDataError, match=r"shape \(36, 4, 6\), expected is \(60000, 28, 28"):
        load_dataset("kmnist")


def test_a_file_with_another_sum_is_refused(tmp_path, draw, idx_bytes):
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    for file in get_entry("mnist").files:
        (folder / file.name).write_bytes(idx_bytes(np.zeros((2, 2), np.uint8)))
    with pytest.raises(CorruptDataError, match=r"is not the published file: SHA-256.*remove it"):
        load_dataset("mnist")


@pytest.mark.mnist
@pytest.mark.parametrize(
    ("name", "n", "n_test", "shape", "rule"),
    [
        ("mnist", 60_000, 10_000, (28, 28), "0..255 as they are"),
        ("mnist-small", 9_000, 1_000, (28, 28), "0..255 as they are"),
        ("fashion-mnist", 60_000, 10_000, (28, 28), "0..255 as they are"),
        ("usps", 7_291, 2_007, (16, 16), "-1..1: round((v+1)*255/2)"),
    ],
)
def test_real_data_are_what_the_catalogue_says(data_dir, need_data, name, n, n_test, shape, rule):
    need_data("mnist" if name == "mnist-small" else name)
    dataset = load_dataset(name)
    assert (len(dataset), len(dataset.test)) == (n, n_test)
    assert dataset.image_shape == shape
    assert dataset.value_rule == rule
    assert dataset.class_names == get_entry(name).class_names
    assert set(dataset.labels.tolist()) == set(range(10))


@pytest.mark.mnist
def test_the_small_mnist_is_always_the_same_stratified_part(data_dir):
    small, whole = load_dataset("mnist-small"), load_dataset("mnist")
    shares = np.bincount(whole.labels) / 60_000
    assert np.abs(np.bincount(small.labels) / 9_000 - shares).max() < 2e-4
    labels = open_sealed_test(small, choices={"none": "looking at the draw itself"})
    assert np.abs(np.bincount(labels) / 1_000 - shares).max() < 2e-3
    rows = {row.tobytes() for row in whole.images}
    drawn = [row.tobytes() for row in (*small.images, *small.test.images)]
    assert len(set(drawn)) == 10_000
    assert set(drawn) <= rows
    assert small.fingerprint.startswith("cfc0bf8c0709548f")
