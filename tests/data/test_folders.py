import logging

import numpy as np
import pytest
from PIL import Image

from tenfold.data import load_dataset
from tenfold.errors import ConfigError, CorruptDataError


def test_folders_name_the_classes(class_folders, draw):
    dataset = load_dataset(class_folders(("cat", "dog"), n=5))
    assert dataset.class_names == ("cat", "dog")
    assert dataset.labels.tolist() == [0] * 5 + [1] * 5
    assert dataset.image_shape == (4, 6)
    assert dataset.value_rule == "0..255 as they are"
    images, labels = draw(n=5, classes=2)
    expected = sorted(image.tobytes() for image in images[labels == 1])
    assert sorted(row.tobytes() for row in dataset.images[5:]) == expected


def test_numbers_are_sorted_by_value(class_folders):
    assert load_dataset(class_folders(("10", "9", "x"))).class_names == ("9", "10", "x")


def test_train_and_test_folders_are_an_official_split(class_folders):
    dataset = load_dataset(class_folders(parts=("train", "test")))
    assert len(dataset) == len(dataset.test) == 24


def test_a_train_folder_alone_has_no_test(class_folders):
    assert load_dataset(class_folders(parts=("train",))).test is None


def test_classes_may_be_called_train_and_test_beside_others(class_folders):
    assert load_dataset(class_folders(("train", "test", "other"))).class_names == (
        "other",
        "test",
        "train",
    )


def test_training_and_testing_are_the_parts_too(class_folders):
    dataset = load_dataset(class_folders(parts=("Training", "testing")))
    assert dataset.class_names == ("cat", "dog")
    assert len(dataset) == len(dataset.test) == 24


@pytest.mark.parametrize("name", ["val", "valid", "Validation"])
def test_a_validation_folder_is_no_class_and_is_refused_with_the_way_out(class_folders, name):
    message = rf"move the pictures of {name}/ into .* train/: tenfold makes its own validation"
    with pytest.raises(CorruptDataError, match=message):
        load_dataset(class_folders(parts=("train", name, "test")))
    with pytest.raises(CorruptDataError, match=message):
        load_dataset(class_folders(parts=("train", name), folder="two"))


def test_a_folder_beside_the_parts_is_not_taken_for_a_class(class_folders):
    with pytest.raises(CorruptDataError, match=r"train/ holds folders .* and extra/ lies beside"):
        load_dataset(class_folders(parts=("train", "test", "extra")))


def test_two_folders_of_one_part_are_refused(class_folders):
    with pytest.raises(CorruptDataError, match=r"train/ and training/ mean the same part"):
        load_dataset(class_folders(parts=("train", "training", "test")))


def test_a_class_may_be_called_train_beside_others(class_folders):
    assert load_dataset(class_folders(("bus", "train"))).class_names == ("bus", "train")


def test_unknown_classes_in_the_test_are_refused(class_folders):
    root = class_folders(parts=("train", "test"))
    (root / "test" / "cat").rename(root / "test" / "cow")
    with pytest.raises(CorruptDataError, match="class 'cow' has no images to learn from"):
        load_dataset(root)


def test_a_prefix_groups_the_files(class_folders):
    dataset = load_dataset(class_folders(n=6), group_column="prefix")
    assert sorted(set(dataset.groups.tolist())) == [0, 1, 2, 3, 4, 5]


def test_another_group_column_is_refused(class_folders):
    with pytest.raises(ConfigError, match="group_column is 'writer'.*allowed is 'prefix'"):
        load_dataset(class_folders(), group_column="writer")


def test_hidden_files_are_skipped_and_others_are_named(class_folders, caplog):
    root = class_folders(n=5)
    (root / ".hidden").mkdir()
    (root / "cat" / ".DS_Store").touch()
    (root / "dog" / "notes.txt").touch()
    with caplog.at_level(logging.WARNING):
        assert len(load_dataset(root)) == 10
    assert [record.getMessage().split(": ")[-1] for record in caplog.records] == [
        "skipped 1 files that are no pictures"
    ]


def test_sizes_that_differ_are_named_or_resized(class_folders):
    root = class_folders(n=5)
    Image.new("L", (9, 7), 40).save(root / "cat" / "big.png")
    with pytest.raises(CorruptDataError, match=r"2 sizes.*4x6 \(10\), 7x9 \(1\); set image_shape"):
        load_dataset(root)
    dataset = load_dataset(root, image_shape=(3, 5))
    assert dataset.image_shape == (3, 5)
    assert (dataset.images == 40).all(axis=1).sum() == 1


def test_a_shape_that_takes_more_than_memory_should_hold_is_refused(class_folders):
    root = class_folders(n=130)
    with pytest.raises(
        ConfigError, match=r"4096x4096, which takes 4,362,076,160 bytes for the 260"
    ):
        load_dataset(root, image_shape=(4096, 4096))


def test_many_sizes_are_cut_short(class_folders):
    root = class_folders(n=5)
    for side in range(7, 11):
        Image.new("L", (side, side)).save(root / "cat" / f"{side}.png")
    with pytest.raises(CorruptDataError, match=r"5 sizes.*, …; set"):
        load_dataset(root)


def test_test_pictures_of_another_size_are_refused(class_folders):
    root = class_folders(parts=("train",))
    class_folders(shape=(5, 5), folder="pictures/test")
    with pytest.raises(CorruptDataError, match="both must be the same"):
        load_dataset(root)


def test_a_damaged_picture_is_named(class_folders):
    root = class_folders()
    path = sorted((root / "dog").iterdir())[3]
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(CorruptDataError, match="cannot be decoded") as caught:
        load_dataset(root)
    assert str(path) in str(caught.value)


def test_empty_class_folders_are_named(class_folders):
    root = class_folders()
    (root / "empty").mkdir()
    with pytest.raises(CorruptDataError, match=r"empty holds no pictures \(.bmp, .gif"):
        load_dataset(root)


def test_a_folder_without_classes_says_what_is_expected(tmp_path):
    Image.new("L", (3, 3)).save(tmp_path / "a.png")
    with pytest.raises(CorruptDataError, match="holds no class folders; make one folder per class"):
        load_dataset(tmp_path)


def test_one_class_is_not_enough(class_folders):
    with pytest.raises(CorruptDataError, match="all labels are 'cat'"):
        load_dataset(class_folders(("cat",)))


def test_pictures_are_found_at_any_depth_and_colours_turn_grey(tmp_path):
    for name, colour in (("red", "#ff0000"), ("white", "#ffffff")):
        (tmp_path / name / "deep").mkdir(parents=True)
        Image.new("RGB", (4, 4), colour).save(tmp_path / name / "deep" / "x.PNG")
    assert np.unique(load_dataset(tmp_path).images, axis=1).tolist() == [[76], [255]]
