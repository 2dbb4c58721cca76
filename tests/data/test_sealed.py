import copy
import logging
import pickle

import numpy as np
import pytest

from tenfold.data import SealedTest, load_dataset, make_split, open_sealed_test
from tenfold.errors import SealedTestError


@pytest.fixture
def split():
    return make_split(load_dataset("digits"))


def test_the_labels_are_no_part_of_the_object(split):
    test = split.test
    reachable = [getattr(test, name) for name in dir(test) if not name.startswith("__")]
    arrays = [value for value in reachable if isinstance(value, np.ndarray)]
    assert [array.shape for array in arrays] == [test.images.shape]
    assert "labels" not in vars(test)
    assert repr(test) == "SealedTest(359 images)"
    assert len(test) == 359


@pytest.mark.parametrize("choices", [{}, None])
def test_without_choices_it_stays_shut(split, choices):
    with pytest.raises(SealedTestError, match="only after every choice was made"):
        open_sealed_test(split, choices=choices)


def test_opening_says_in_the_log_what_was_chosen(split, caplog):
    with caplog.at_level(logging.INFO, logger="tenfold"):
        labels = open_sealed_test(split, choices={"winner": "9f31"})
    assert caplog.messages == [
        'opened the sealed test of 359 images; chosen before: {"winner":"9f31"}'
    ]
    assert labels.shape == (359,)
    assert labels.dtype == np.int64
    with pytest.raises(ValueError, match="read-only"):
        labels[0] = 3


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_copies_do_not_take_the_labels_along(split, duplicate):
    split_like = type("Like", (), {"test": duplicate(split.test)})()
    np.testing.assert_array_equal(split_like.test.images, split.test.images)
    with pytest.raises(SealedTestError, match="is a copy, and labels are never copied along"):
        open_sealed_test(split_like, choices={"winner": "a"})


def test_what_is_pickled_between_processes_has_no_labels(split):
    rows, labels = split.test.images[:4], np.array([3, 1, 4, 1])
    assert pickle.dumps(SealedTest(rows, labels)) == pickle.dumps(SealedTest(rows, labels + 1))


def test_the_digest_sees_labels_and_groups():
    images, labels = np.zeros((3, 4), np.uint8), np.array([0, 1, 0])
    digests = {
        SealedTest(images, labels).digest,
        SealedTest(images + 1, labels).digest,
        SealedTest(images, 1 - labels).digest,
        SealedTest(images, labels, labels).digest,
    }
    assert len(digests) == 4


def test_every_image_needs_a_label():
    with pytest.raises(ValueError, match="2 labels for 3 images"):
        SealedTest(np.zeros((3, 4), np.uint8), np.array([0, 1]))
