from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.data import (
    Dataset,
    load_dataset,
    make_split,
    open_sealed_test,
    settings_of,
    split_for_looking,
)
from tenfold.errors import ConfigError, SplitError


def made(labels, *, groups=None, seed=0, names=None):
    """Return a data set of random images with these labels."""
    labels = np.asarray(labels, dtype=np.int64)
    images = np.random.default_rng(seed).integers(0, 256, (len(labels), 6), np.uint8)
    names = names or tuple("abcdefgh"[: labels.max() + 1])
    groups = None if groups is None else np.asarray(groups, dtype=np.int64)
    return Dataset("d", images, labels, names, (2, 3), groups, None, "as they are", "here")


def rows_of(dataset, images):
    """Return the row in the data set of every image."""
    place = {row.tobytes(): index for index, row in enumerate(dataset.images)}
    return np.array([place[row.tobytes()] for row in images])


def check(dataset, split):
    """Check what holds for every split."""
    n = len(split.images)
    development, test = rows_of(dataset, split.images), rows_of(dataset, split.test.images)
    assert sorted([*development, *test]) == list(range(len(dataset)))
    assert (np.diff(development) > 0).all()
    np.testing.assert_array_equal(split.labels, dataset.labels[development])
    opened = open_sealed_test(split, choices={"a": 1})
    np.testing.assert_array_equal(opened, dataset.labels[test])
    np.testing.assert_array_equal(
        split.validation_rows, np.concatenate([part.held_rows for part in split.rounds])
    )
    k = len(dataset.class_names)
    for part in split.rounds:
        assert not set(part.fit_rows) & set(part.held_rows)
        assert sorted([*part.fit_rows, *part.held_rows]) == list(range(n))
        assert len(set(split.labels[part.fit_rows])) == k
    assert len(split.select) == len(split.calibrate) == len(split.validation_rows)
    assert set(opened) == set(range(k))
    if dataset.groups is not None:
        np.testing.assert_array_equal(split.groups, dataset.groups[development])
        assert not set(dataset.groups[test]) & set(dataset.groups[development])
        for part in split.rounds:
            assert not set(split.groups[part.fit_rows]) & set(split.groups[part.held_rows])
    if not split.cross_validated:
        (part,) = split.rounds
        np.testing.assert_array_equal(part.fit_rows, split.train)
        assert not (split.select & split.calibrate).any()
        assert (split.select | split.calibrate).all()
        for half in (split.select, split.calibrate):
            assert set(split.labels[split.validation_rows[half]]) == set(range(k))
        if dataset.groups is not None:
            one, two = (
                set(split.groups[split.validation_rows[half]])
                for half in (split.select, split.calibrate)
            )
            assert not one & two
    else:
        assert split.select.all()
        assert split.calibrate.all()
        np.testing.assert_array_equal(split.train, np.arange(n))


def test_few_images_are_cross_validated():
    dataset = load_dataset("digits")
    split = make_split(dataset)
    assert split.cross_validated
    assert len(split.rounds) == 10
    assert len(split.test) == 359
    assert len(split.validation_rows) == 2 * 1438
    assert np.bincount(split.validation_rows).tolist() == [2] * 1438
    counts = np.bincount(open_sealed_test(split, choices={"a": 1}))
    assert np.abs(counts - np.bincount(dataset.labels) / 5).max() <= 1
    assert repr(split).startswith("Split('Of 1,438 development images all train")
    assert repr(split.rounds[0]).startswith("Round(fit 1,150, held 288")


def test_many_images_hold_some_out_in_two_halves():
    dataset = made(np.arange(6000) % 3)
    split = make_split(dataset, cv_below=4000)
    check(dataset, split)
    assert (len(split.test), len(split.train), len(split.validation_rows)) == (1200, 4000, 800)
    assert split.select.sum() == split.calibrate.sum() == 400
    for half in (split.select, split.calibrate):
        counts = np.bincount(split.labels[split.validation_rows[half]])
        assert counts.max() - counts.min() <= 1
    assert "4,000 train, 400 select and 400 calibrate" in split.description


def test_official_test_rows_are_the_test(npz, draw):
    images, labels = draw(n=20)
    test_images, test_labels = draw(n=5, seed=1)
    path = npz(x_train=images, y_train=labels, x_test=test_images, y_test=test_labels)
    dataset = load_dataset(path)
    split = make_split(dataset)
    assert split.test is dataset.test
    assert split.images is dataset.images
    assert "15 official test images" in split.description


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(6, 60), min_size=2, max_size=5),
    cross=st.booleans(),
    folds=st.integers(2, 5),
    fractions=st.tuples(st.floats(0.02, 0.5), st.floats(0.02, 0.5)),
)
def test_any_split_is_complete_disjoint_and_stratified(counts, cross, folds, fractions):
    labels = np.concatenate([np.full(count, index) for index, count in enumerate(counts)])
    dataset = made(np.random.default_rng(1).permutation(labels))
    split = make_split(
        dataset,
        validation_fraction=fractions[0],
        test_fraction=fractions[1],
        cv_below=10_000 if cross else 0,
        cv_folds=folds,
    )
    check(dataset, split)
    assert split.cross_validated == cross


@pytest.mark.parametrize("cv_below", [0, 10_000])
@pytest.mark.parametrize("n_groups", [12, 40, 400])
def test_groups_are_never_cut(cv_below, n_groups):
    rng = np.random.default_rng(n_groups)
    groups = rng.integers(0, n_groups, 3000)
    dataset = made(rng.integers(0, 4, 3000), groups=groups)
    split = make_split(dataset, cv_below=cv_below)
    check(dataset, split)
    for part in split.rounds:
        learned, stops = (set(split.groups[rows]) for rows in split.stopping(part))
        assert not learned & stops
    assert 0.1 < len(split.test) / 3000 < 0.3
    assert ", whole groups" in split.description


@pytest.mark.parametrize("cv_below", [0, 10**6])
@pytest.mark.parametrize("size", [None, 1, 3, 5])
def test_what_ends_a_fit_early_is_neither_learned_from_nor_what_scores_it(cv_below, size):
    labels = [0] * 180 + [1] * 135 + [2] * 90
    groups = None if size is None else np.arange(405) // size
    if size == 3:
        groups = np.arange(405) % 135  # of two or three classes
    split = make_split(made(labels, groups=groups), cv_below=cv_below, cv_folds=3)
    for part in split.rounds:
        learned, stops = split.stopping(part)
        assert set(learned.tolist()).isdisjoint(stops.tolist())
        assert set(learned.tolist()) <= set(part.fit_rows.tolist())
        assert set(split.labels[stops]) == set(split.labels[learned]) == {0, 1, 2}
        if cv_below:
            assert set(stops.tolist()).isdisjoint(part.held_rows.tolist())
            assert len(stops) == pytest.approx(len(part.fit_rows) / 10, abs=2 * (size or 1))
        else:
            assert np.array_equal(learned, part.fit_rows)
            assert set(stops) == set(split.validation_rows[split.select])


def test_groups_too_few_for_whole_ones_to_end_a_fit_early_are_cut():
    labels = np.repeat([0, 1], 60)
    split = make_split(made(labels, groups=np.arange(120) // 20), cv_folds=2, cv_repeats=1)
    for part in split.rounds:
        learned, stops = split.stopping(part)
        assert set(split.groups[part.fit_rows]) == set(split.groups[stops])
        assert set(split.labels[stops]) == set(split.labels[learned]) == {0, 1}
        assert len(stops) == pytest.approx(len(part.fit_rows) / 10, abs=2)


def test_the_same_content_is_split_the_same_way():
    one, two = (make_split(made(np.arange(600) % 3)) for _ in range(2))
    np.testing.assert_array_equal(one.images, two.images)
    np.testing.assert_array_equal(one.validation_rows, two.validation_rows)
    assert one.key == two.key
    other = make_split(made(np.arange(600) % 3, seed=1))
    assert (one.validation_rows != other.validation_rows).any()


def test_names_of_the_data_set_do_not_move_rows():
    dataset = made(np.arange(600) % 3)
    moved = make_split(replace(dataset, name="e", source="there"))
    np.testing.assert_array_equal(make_split(dataset).validation_rows, moved.validation_rows)


def test_repeats_differ_and_settings_leave_the_test_alone():
    dataset = made(np.arange(600) % 3)
    split = make_split(dataset, cv_repeats=2)
    assert (split.rounds[0].held_rows != split.rounds[5].held_rows).any()
    held_out = make_split(dataset, cv_below=0, validation_fraction=0.3)
    np.testing.assert_array_equal(split.test.images, held_out.test.images)


def test_the_key_holds_the_settings_that_matter():
    dataset = made(np.arange(600) % 3)
    keys = {
        make_split(dataset).key,
        make_split(dataset, cv_repeats=3).key,
        make_split(dataset, cv_folds=4).key,
        make_split(dataset, test_fraction=0.3).key,
        make_split(dataset, cv_below=0).key,
        make_split(dataset, cv_below=0, validation_fraction=0.3).key,
    }
    assert len(keys) == 6
    assert make_split(dataset, validation_fraction=0.3).key == make_split(dataset).key
    assert make_split(dataset, cv_below=0, cv_folds=3).key == make_split(dataset, cv_below=0).key


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"validation_fraction": 0}, "validation_fraction is 0, allowed is more than 0"),
        ({"test_fraction": 0.6}, "test_fraction is 0.6"),
        ({"cv_folds": 1}, "cv_folds is 1, allowed are whole numbers from 2"),
        ({"cv_repeats": 0}, "cv_repeats is 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        make_split(made([0, 1] * 20), **settings)


@pytest.mark.parametrize(("cv_below", "need"), [(5000, 6), (0, 4)])
def test_a_class_that_is_too_small_is_named_with_its_count_and_need(cv_below, need):
    labels = [0] * 50 + [1] * (need - 1)
    message = f"class 'b' has {need - 1} images, and the split needs {need}"
    with pytest.raises(SplitError, match=message):
        make_split(made(labels), cv_below=cv_below)
    dataset = made([*labels, 1])
    check(dataset, make_split(dataset, cv_below=cv_below))


def test_a_class_in_too_few_groups_is_named():
    labels = [0] * 50 + [1] * 50
    groups = [*range(50), *([60] * 50)]
    with pytest.raises(SplitError, match="class 'b' has 1 groups, and the split needs 6"):
        make_split(made(labels, groups=groups))


def test_more_folds_are_not_blamed_where_fewer_would_not_help():
    with pytest.raises(SplitError, match="add some, remove the class, or lower cv_folds"):
        make_split(made([0] * 50 + [1] * 3))
    with pytest.raises(SplitError, match="one for each part; add some or remove the class"):
        make_split(made([0] * 50 + [1] * 2))
    with pytest.raises(SplitError, match="one for each part; add some or remove the class"):
        make_split(made([0] * 50 + [1] * 3), cv_below=0)


@pytest.mark.parametrize("labels", [[0] * 50 + [1] * 3, [0] * 50 + [1], [0, 1]])
@pytest.mark.parametrize("grouped", [False, True])
def test_what_is_only_looked_at_may_be_few(labels, grouped):
    groups = np.arange(len(labels)) // 2 if grouped else None
    dataset = made(labels, groups=groups)
    with pytest.raises(SplitError):
        make_split(dataset)
    split = split_for_looking(dataset)
    assert split.rounds == ()
    assert len(split.images) + len(split.test) == len(labels)
    assert set(split.labels.tolist()) == {0, 1} or grouped
    assert "An experiment with default settings refuses these data: d: class" in str(split)


def test_what_can_be_split_is_looked_at_as_it_is_split():
    dataset = made(np.arange(600) % 3)
    assert split_for_looking(dataset).key == make_split(dataset).key
    np.testing.assert_array_equal(
        split_for_looking(dataset).test.images, make_split(dataset).test.images
    )


@pytest.mark.parametrize(
    ("settings", "part"),
    [({"test_fraction": 0.05}, "the test rows"), ({"validation_fraction": 0.02}, "to select by")],
)
def test_groups_that_cannot_be_dealt_are_named(settings, part):
    rng = np.random.default_rng(0)
    dataset = made(rng.integers(0, 2, 400), groups=np.arange(400) // 50)
    with pytest.raises(SplitError, match=f"whole groups cannot be dealt so that .*{part}.*class"):
        make_split(dataset, cv_below=0, **settings)


@pytest.mark.parametrize(
    "settings",
    [{}, {"cv_folds": 3, "cv_repeats": 1}, {"cv_below": 0}, {"cv_below": 0, "test_fraction": 0.3}],
)
def test_a_split_is_made_again_from_its_key(settings):
    dataset = load_dataset("digits")
    split = make_split(dataset, **settings)
    again = make_split(dataset, **settings_of(split.key))
    assert again.key == split.key
    np.testing.assert_array_equal(again.test.images, split.test.images)
    np.testing.assert_array_equal(again.validation_rows, split.validation_rows)


@pytest.mark.parametrize(
    "key", ["", "[]", "{}", '{"version":1,"test":"official","files":3}', '{"version":1,"test":{}}']
)
def test_what_is_no_key_is_refused(key):
    with pytest.raises(SplitError, match="is no key of a split"):
        settings_of(key)


def test_a_key_of_another_version_is_refused():
    with pytest.raises(SplitError, match="cannot be found again"):
        settings_of('{"version":0,"test":"official","validation_fraction":0.2}')


@pytest.mark.mnist
def test_mnist_is_split_as_before(data_dir):
    split = make_split(load_dataset("mnist"))
    assert (len(split.train), len(split.validation_rows), len(split.test)) == (
        50_000,
        10_000,
        10_000,
    )
    assert split.select.sum() == 5_000
    assert split.validation_rows[:5].tolist() == [2, 44, 45, 48, 59]
