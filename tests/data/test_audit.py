import numpy as np
import pytest

from tenfold.data import Dataset, SealedTest, audit_split, load_dataset, make_split
from tenfold.data.neighbours import find_near_pairs, find_outliers

SHAPE = (12, 10)


def blobs(n, seed=0):
    """Return smooth random images, three classes, and their labels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    labels = np.arange(n) % 3
    centre = np.array([[3, 3], [6, 5], [9, 7]])[labels] + rng.normal(0, 0.7, (n, 2))
    width = rng.uniform(1.2, 2.2, (n, 1, 1))
    distance = (y - centre[:, 0, None, None]) ** 2 + (x - centre[:, 1, None, None]) ** 2
    images = 255 * np.exp(-distance / width**2) + rng.uniform(0, 70, (n, *SHAPE))
    return np.clip(images, 0, 255).astype(np.uint8).reshape(n, -1), labels


@pytest.fixture
def rows():
    """Return development and test rows that a test may spoil."""
    return {"train": blobs(300), "test": blobs(60, seed=1), "groups": (None, None)}


def audited(rows):
    (images, labels), (test_images, test_labels) = rows["train"], rows["test"]
    groups, test_groups = rows["groups"]
    test = SealedTest(test_images, test_labels, test_groups)
    dataset = Dataset("d", images, labels, ("a", "b", "c"), SHAPE, groups, test, "0..255", "here")
    return audit_split(make_split(dataset))


def test_clean_data_give_no_warning(rows):
    audit = audited(rows)
    assert audit.warnings == ()
    assert repr(audit) == "Audit(300 + 60 images, 0 warnings)"
    assert audit.class_counts == (("a", 100), ("b", 100), ("c", 100))
    assert audit.shared_groups is None
    assert audit.near_checked == 60
    found = [count for _, count, _ in audit.rows()]
    assert found == [0, 0, 0, 0, 0, 0, len(audit.outliers), 100, 100]


def test_copies_in_the_test_are_found(rows):
    rows["test"][0][[5, 9]] = rows["train"][0][[17, 200]]
    audit = audited(rows)
    assert audit.leaked == ((17, 5), (200, 9))
    assert audit.near == ()
    assert audit.warnings == (
        "2 of 60 test images are exact copies of development images: the test score is too good.",
    )


def test_nearly_the_same_images_are_found(rows):
    noise = np.random.default_rng(2).integers(-3, 4, rows["train"][0].shape[1])
    rows["test"][0][5] = np.clip(rows["train"][0][17] * 0.8 + noise, 0, 255)
    audit = audited(rows)
    assert [(pair.development_row, pair.test_row) for pair in audit.near] == [(17, 5)]
    assert 0.99 <= audit.near[0].correlation < 1
    assert "1 of 60 test images looked at are nearly the same" in audit.warnings[0]


def test_copies_within_development_are_counted_and_conflicts_named(rows):
    images = rows["train"][0]
    images[[3, 30]] = images[0]  # rows 0, 3 and 30 are all of class a
    images[1] = images[5]  # of classes b and c
    audit = audited(rows)
    assert audit.duplicates == ((0, 3, 30), (1, 5))
    assert audit.conflicts == ((1, 5),)
    table = {name: count for name, count, _ in audit.rows()}
    assert table["copies within development"] == 3
    assert "1 images occur more than once with different labels." in audit.warnings


def copy_rows(rows, count):
    """Make the last so many development images copies of others of their class."""
    images = rows["train"][0]
    images[300 - count :] = images[:count]  # 300 rows of three classes in turn


def test_copies_on_both_sides_of_validation_are_warned_of(rows):
    copy_rows(rows, 30)
    audit = audited(rows)
    assert audit.held_copies == 60
    (warning,) = audit.warnings
    assert warning.startswith("60 of 300 validation images are exact copies of images that are")
    assert dict(row[:2] for row in audit.rows())["copies between training and validation"] == 60


def test_a_few_copies_on_both_sides_of_validation_are_a_note(rows):
    rows["train"][0][3] = rows["train"][0][0]
    audit = audited(rows)
    assert audit.held_copies == 2
    assert audit.warnings == ()


def test_copies_within_one_group_never_meet_in_validation(rows):
    copy_rows(rows, 30)
    groups = np.arange(300)
    groups[270:] = groups[:30]
    rows["groups"] = groups, np.arange(60) + 1000
    audit = audited(rows)
    assert len(audit.duplicates) == 30
    assert audit.held_copies == 0
    assert audit.warnings == ()


def test_test_images_in_groups_are_warned_of(rows):
    rows["groups"] = np.arange(300) // 5, np.arange(60) // 5 + 100
    audit = audited(rows)
    assert audit.test_groups == 12
    (warning,) = audit.warnings
    assert warning == (
        "the 60 test images come in 12 groups: intervals and p values take images as independent, "
        "so intervals are too narrow and p values too small."
    )


def test_blank_images_are_found(rows):
    rows["train"][0][7] = 200
    rows["train"][0][8] = np.arange(120) % 5
    audit = audited(rows)
    assert audit.blank == (7, 8)
    assert "2 development images are blank." in audit.warnings


def test_images_of_another_kind_are_found(rows):
    rows["train"][0][11] = 255 - rows["train"][0][11]
    audit = audited(rows)
    assert audit.outliers[0][0] == 11
    assert audit.outliers[0][1] > 6
    assert len(audit.outliers) < 5


def test_a_rare_class_is_warned_of(rows):
    images, labels = rows["train"]
    kept = np.flatnonzero((labels != 2) | (np.arange(300) > 272))
    rows["train"] = images[kept], labels[kept]
    audit = audited(rows)
    assert audit.warnings[0].startswith("class 'c' has 9 images and class 'b' 100: accuracy")


def test_groups_on_both_sides_of_an_official_test_are_warned_of(rows):
    rows["groups"] = np.arange(300) // 5, np.arange(60) // 5 + 55
    audit = audited(rows)
    assert audit.shared_groups == 5
    assert "5 groups have images in the official test as well" in audit.warnings[0]
    assert audit.rows()[-1][:2] == ("groups on both sides", 5)


def test_a_large_search_is_cut_and_says_so(rows):
    (images, _), (test, _) = rows["train"], rows["test"]
    near = find_near_pairs(
        images, test, SHAPE, skip=np.array([], np.int64), max_products=300 * 60 * 49 / 4
    )
    assert near.checked == 15


def test_the_table_says_when_not_all_were_looked_at(rows):
    audit = audited(rows)
    sampled = type(audit)(**{**vars(audit), "near_checked": 15})
    assert "15 of the test images looked at" in sampled.rows()[1][2]
    assert "all test images looked at" in audit.rows()[1][2]


def test_when_every_test_image_is_a_copy_nothing_is_left_to_compare(rows):
    rows["test"] = tuple(array[:60].copy() for array in rows["train"])
    audit = audited(rows)
    assert len(audit.leaked) == 60
    assert audit.near == ()


def test_classes_of_a_few_images_have_no_outliers():
    images, labels = blobs(12)
    images[0] = 255 - images[0]
    assert find_outliers(images, labels, SHAPE) == ()


def test_a_single_line_of_pixels_is_audited():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 20), np.uint8)
    labels = np.arange(40) % 2
    dataset = Dataset("d", images, labels, ("a", "b"), (1, 20), None, None, "0..255", "here")
    assert audit_split(make_split(dataset)).leaked == ()


def test_digits_have_nothing_that_spoils_scores():
    assert audit_split(make_split(load_dataset("digits"))).warnings == ()


@pytest.mark.mnist
def test_the_known_near_copies_of_fashion_mnist_are_found(data_dir, need_data):
    need_data("fashion-mnist")
    audit = audit_split(make_split(load_dataset("fashion-mnist")))
    assert audit.near_checked == 10_000
    assert (13360, 4998) in [(pair.development_row, pair.test_row) for pair in audit.near]
    assert 20 <= len(audit.near) <= 100
