"""Records keep what they are given, also through a file."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tenfold.errors import StorageError
from tenfold.records import (
    FitUnit,
    Numerics,
    Predictions,
    Trial,
    TrialKey,
    Views,
    canonical_json,
)

NUMERICS = Numerics("cpu", "float32", 1)


@settings(deadline=None)
@given(hnp.arrays(np.float64, (20, 4), elements=st.floats(0.001, 1)))
def test_predictions_keep_every_label_through_a_file(tmp_path_factory, weights):
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    path = tmp_path_factory.mktemp("predictions") / "p.npz"
    Predictions(probabilities, probabilities[:3]).write(path)
    read = Predictions.read(path)
    np.testing.assert_array_equal(read.validation.argmax(axis=1), probabilities.argmax(axis=1))
    np.testing.assert_allclose(read.validation, probabilities, atol=1e-3)
    np.testing.assert_allclose(read.test.sum(axis=1), 1)


def test_two_that_round_to_the_same_keep_their_order(tmp_path):
    near = np.array([[0.49999, 0.50001], [0.50001, 0.49999]])
    Predictions(None, near).write(tmp_path / "p.npz")
    read = Predictions.read(tmp_path / "p.npz")
    assert read.validation is None
    assert read.test.argmax(axis=1).tolist() == [1, 0]


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        Predictions(None, np.ones((1, 1))).write(tmp_path / "file" / "p.npz")


def test_views_keep_what_there_is_through_a_file(tmp_path):
    path = tmp_path / "views.npz"
    filters = np.ones((2, 3, 3), dtype=np.float16)
    Views(np.arange(2), filters, n_filters=9).write(path)
    read = Views.read(path)
    assert np.array_equal(read.filters, filters)
    assert (read.n_filters, read.patch_size, read.attention, read.rollout) == (9, 0, None, None)
    assert repr(read) == "Views(rows=(2,), filters=(2, 3, 3))"


@pytest.mark.parametrize("kept", [0, 10, 200])
@pytest.mark.parametrize("record", [Views(np.arange(99)), Predictions(None, np.ones((99, 1)))])
def test_a_torn_file_is_told(tmp_path, record, kept):
    path = tmp_path / "torn.npz"
    record.write(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match="torn|pickle"):
        type(record).read(path)


@pytest.mark.parametrize("mark", [b"PK\x03\x04", b"PK\x01\x02"], ids=["local", "central"])
def test_a_file_with_any_flipped_bit_in_its_directory_is_told_or_the_same(tmp_path, mark):
    path = tmp_path / "p.npz"
    Predictions(np.ones((3, 1)), np.ones((2, 1))).write(path)
    whole = path.read_bytes()
    start, answers = whole.index(mark), set()
    for place in range(start, start + 40):
        for bit in range(8):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            try:
                read = Predictions.read(path)
                answers.add((read.validation is None, len(read.test)))
            except (OSError, ValueError):
                answers.add("told")
    # An entry may be lost without a trace; who wants validation predictions has to look for them.
    assert answers <= {"told", (False, 2), (True, 2)}
    assert "told" in answers


def test_a_key_does_not_depend_on_the_order_of_parameters():
    def key(params):
        return TrialKey("f", "m", params, 0, False, "s", 1, 1, "", NUMERICS).digest

    assert key({"a": 1, "b": (1, 2)}) == key({"b": [1, 2], "a": 1})
    assert key({"a": 1}) != key({"a": 1.5})


def test_a_key_of_one_process_is_that_from_before_there_could_be_several():
    fields = {
        "fingerprint": "f",
        "model": "m",
        "params": {"a": 1},
        "seed": 0,
        "refit": False,
        "split": "s",
        "fitting_version": 1,
        "model_version": 1,
        "source_sha256": "",
        "numerics": {"device": "cpu", "precision": "float32", "threads": 1},
    }
    expected = hashlib.sha256(canonical_json(fields).encode()).hexdigest()
    assert TrialKey(**{**fields, "numerics": NUMERICS}).digest == expected
    shared = TrialKey(**{**fields, "numerics": replace(NUMERICS, processes=2)})
    assert shared.digest != expected


def test_what_json_cannot_hold_is_no_key():
    with pytest.raises(ValueError):
        canonical_json(float("nan"))
    with pytest.raises(TypeError):
        canonical_json(object())


def test_a_unit_is_named_as_a_person_would():
    trial = Trial("knn", {}, "KNN", "n_neighbors=3", 0)
    assert FitUnit((trial,), ("k",), NUMERICS).name == "KNN n_neighbors=3"
    again = Trial("knn", {}, "KNN", "", 0, refit=True)
    assert FitUnit((again,), ("k",), NUMERICS).name == "KNN (refit)"


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("n_neighbors={k}", "KNN n_neighbors=3, 15 (refit)"),
        ("n_neighbors={k}, weights=distance", "KNN weights=distance, n_neighbors=3, 15 (refit)"),
        ("sizes=(64, 32), n_neighbors={k}", "KNN sizes=(64, 32), n_neighbors=3, 15 (refit)"),
        ("", "KNN n_neighbors=3, 15 (refit)"),
    ],
)
def test_a_unit_of_several_trials_names_their_values(label, shown):
    trials = tuple(
        Trial("knn", {"n_neighbors": k, "pca": None}, "KNN", label.format(k=k), 0, refit=True)
        for k in (3, 15)
    )
    unit = FitUnit(trials, ("a", "b"), NUMERICS, ("base-a", "base-b"))
    assert unit.name == shown
    one = unit.only({"b"})
    assert (one.trials, one.keys, one.bases) == (trials[1:], ("b",), ("base-b",))
    assert one.name == trials[1].name
