import hashlib
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from bundle_facts import make_facts
from tenfold.bundle import load_bundle, write_bundle
from tenfold.bundle.content import LIMITS
from tenfold.errors import BundleError, ModelInputError, ParityError, StorageError

CLASSES = ("zero", "one", "two")


def test_a_bundle_has_its_files_and_answers_as_the_estimator(written, parts):
    assert {path.name for path in written.iterdir()} == set(LIMITS)
    bundle = load_bundle(written)
    answers = bundle.predict(parts.images)
    np.testing.assert_array_equal(answers.labels, parts.labels)
    np.testing.assert_allclose(answers.probabilities, parts.probabilities, atol=1e-4)
    assert answers.class_names[:3] == tuple(CLASSES[label] for label in parts.labels[:3])
    np.testing.assert_array_equal(answers.outliers, parts.probabilities.max(axis=1) < 0.4)


def test_a_zip_holds_the_same_files_and_is_the_same_bytes_every_time(written, parts, tmp_path):
    path = write_bundle(tmp_path / "tiny.zip", **vars(parts)).path
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert files == {name: (written / name).read_bytes() for name in LIMITS}
    again = write_bundle(tmp_path / "again.zip", **vars(parts)).path
    assert again.read_bytes() == path.read_bytes()
    np.testing.assert_array_equal(load_bundle(path).predict(parts.images).labels, parts.labels)


def test_a_deflated_zip_of_the_folder_is_a_bundle_too(written, tmp_path, parts):
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in LIMITS:
            archive.write(written / name, name)
    assert load_bundle(tmp_path / "x.zip").info == load_bundle(written).info


def test_sha256sum_agrees(written):
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=written, check=False)
    assert done.returncode == 0


def test_the_information_says_what_was_given_and_proven(written, parts):
    document = json.loads((written / "bundle.json").read_text(encoding="utf-8"))
    assert document["class_names"] == list(CLASSES)
    assert document["style"] == {"ink": "light", "fills_frame": True}
    assert document["scores"]["accuracy"] == {"value": 0.9, "low": 0.85, "high": 0.94}
    assert document["parity"]["images"] == 1000
    assert document["parity"]["largest_difference"] < 1e-6
    assert document["versions"]["opset"] == 17
    assert document["versions"]["tenfold"]
    assert document["created"] == "2026-11-03T12:00:00Z"
    assert load_bundle(written).info.thresholds.outlier == -0.4


def test_the_card_tells_a_person_what_the_model_is(written):
    card = (written / "MODEL_CARD.md").read_text(encoding="utf-8")
    for text in (
        "Tiny C=1: a classifier of grey images of 3x4 pixels into\n3 classes.",
        "`zero`, `one`, `two`",
        "made up",
        "| accuracy | 0.9000 | 0.8500 to 0.9400 | share of the images",
        "not retraining",
        "above -0.4",
        "compared with its estimator on 1,000 images",
        "tenfold predict picture.png --model PATH",
        "Licence: MIT",
    ):
        assert text in card


def test_the_card_shows_names_as_they_are(parts, tmp_path):
    names = ("<b>x, y</b>", "``a`", "![z](http://z)")
    parts.facts = make_facts(class_names=names, title="A_b *c* <img src=x>", licence="[MIT](x)")
    written = write_bundle(tmp_path / "odd", **vars(parts))
    card = (written.path / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "- Classes: `<b>x, y</b>`, ``` ``a` ```, `![z](http://z)`\n" in card
    assert "A\\_b \\*c\\* \\<img src=x\\>: a classifier" in card
    assert "- Licence: \\[MIT\\](x)\n" in card


QUANTIZED = {
    "images": 120,
    "accuracy": 0.9,
    "accuracy_before": {"value": 0.91, "low": 0.85, "high": 0.95},
    "labels_changed": 3,
}


@pytest.mark.parametrize(
    ("compared_on", "told"),
    [
        (
            "held out",
            "On validation images, which it had not learned from, they changed\n  3 of 120",
        ),
        ("held out from the train fit", "In the fit before it, on validation images that only"),
        ("learned from", "On validation images, which it has learned from, they changed"),
    ],
)
def test_the_card_of_an_int8_bundle_is_whole_and_says_what_was_compared(
    parts, tmp_path, compared_on, told
):
    parts.facts = make_facts(quantization=QUANTIZED | {"compared_on": compared_on})
    write_bundle(tmp_path / "small", **vars(parts))
    card = (tmp_path / "small" / "MODEL_CARD.md").read_text(encoding="utf-8")
    for text in ("\n## Limits\n", "\n- Afterwards it was turned", told, "\n## How to use it\n"):
        assert text in card
    assert "\n$ tenfold evaluate --model PATH --dataset DATA\n" in card
    assert not [line for line in card.splitlines() if line.startswith("   ")]


@pytest.mark.parametrize("name", ["tiny", "tiny.zip"])
def test_a_file_that_loading_would_refuse_as_too_large_is_not_written(parts, tmp_path, name):
    parts.facts = make_facts(params={"note": "x" * 2**20})
    with pytest.raises(BundleError, match=r"not written: bundle.json has .* allowed are 1,048,576"):
        write_bundle(tmp_path / name, **vars(parts))
    assert list(tmp_path.iterdir()) == []


def test_without_parity_there_is_no_bundle(parts, tmp_path):
    parts.probabilities = parts.probabilities + 2e-4
    with pytest.raises(ParityError, match="0 of 1,000 images another label .* by up to 0.0002"):
        write_bundle(tmp_path / "tiny", **vars(parts))
    parts.probabilities = parts.probabilities - 2e-4
    parts.labels = np.where(np.arange(1000) == 7, (parts.labels + 1) % 3, parts.labels)
    with pytest.raises(ParityError, match="1 of 1,000 images another label"):
        write_bundle(tmp_path / "tiny", **vars(parts))
    parts.labels = parts.labels[:10]
    with pytest.raises(ParityError, match=r"the estimator \(10,\)"):
        write_bundle(tmp_path / "tiny", **vars(parts))
    assert list(tmp_path.iterdir()) == []


def test_probabilities_that_are_no_numbers_prove_nothing(parts, tmp_path):
    parts.probabilities = np.full_like(parts.probabilities, np.nan)
    with pytest.raises(ParityError, match="differs by up to nan"):
        write_bundle(tmp_path / "tiny", **vars(parts))


def test_a_graph_of_another_size_is_refused(parts, tmp_path):
    parts.facts = make_facts(image_shape=(4, 4))
    with pytest.raises(BundleError, match=r"'images' .* \[n, 12\], it must be .* \[n, 16\]"):
        write_bundle(tmp_path / "tiny", **vars(parts))
    parts.facts = make_facts(class_names=("a", "b"))
    with pytest.raises(BundleError, match=r"'probabilities' .* \[n, 3\], it must .* \[n, 2\]"):
        write_bundle(tmp_path / "tiny", **vars(parts))


def test_a_folder_that_exists_is_left_alone(written, parts):
    before = (written / "SHA256SUMS").read_bytes()
    with pytest.raises(BundleError, match="exists; remove it"):
        write_bundle(written, **vars(parts))
    assert (written / "SHA256SUMS").read_bytes() == before


def test_a_zip_is_replaced_only_where_it_is_a_bundle(parts, tmp_path):
    path = tmp_path / "photos.zip"
    path.write_text("precious")
    with pytest.raises(BundleError, match=r"photos.zip exists and is no bundle; remove it"):
        write_bundle(path, **vars(parts))
    assert path.read_text() == "precious"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("photo.jpg", "precious")
    with pytest.raises(BundleError, match="is no bundle"):
        write_bundle(path, **vars(parts))
    path.unlink()
    for _ in range(2):
        assert write_bundle(path, **vars(parts)).path == path


def test_a_write_that_fails_leaves_nothing(parts, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        write_bundle(tmp_path / "file" / "tiny", **vars(parts))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_sum_is_that_of_the_file(written):
    lines = (written / "SHA256SUMS").read_text().splitlines()
    sums = dict(reversed(line.split("  ")) for line in lines)
    model = (written / "model.onnx").read_bytes()
    assert sums["model.onnx"] == hashlib.sha256(model).hexdigest()
    assert sorted(sums) == ["MODEL_CARD.md", "bundle.json", "learned.bin", "model.onnx"]


def test_a_bundle_knows_the_images_that_it_learned_from(written, parts):
    learned = load_bundle(written).learned
    np.testing.assert_array_equal(learned.among(parts.images), np.arange(1000) < 600)
    assert (written / "learned.bin").stat().st_size == 8 * 600
    changed = parts.images[:600].copy()
    changed[:, 0] ^= 1
    assert not learned.among(changed).any()


def test_a_bundle_of_an_older_tenfold_knows_none_and_is_loaded(parts, tmp_path):
    parts.learned = None
    for name in ("old", "old.zip"):
        bundle = write_bundle(tmp_path / name, **vars(parts))
        assert bundle.learned is None
    assert {path.name for path in (tmp_path / "old").iterdir()} == set(LIMITS) - {"learned.bin"}


def test_a_bundle_is_loaded_and_answers_with_the_core_install_alone(written):
    script = """
import sys
for name in ("onnx", "sklearn", "torch", "mlflow", "matplotlib", "xgboost", "optuna", "google"):
    sys.modules[name] = None
import numpy as np
import tenfold
answers = tenfold.load_bundle(sys.argv[1]).predict(np.zeros((2, 3, 4), np.uint8))
print(*answers.class_names)
"""
    command = [sys.executable, "-c", script, str(written)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] in CLASSES


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 13), np.uint8),
        np.zeros((3, 4), np.uint8),
        np.zeros((2, 4, 3), np.uint8),
        np.zeros((2, 12)),
    ],
)
def test_images_of_another_shape_or_type_are_refused(written, images):
    with pytest.raises(ModelInputError, match=r"Tiny C=1 takes uint8 images of 3x4 pixels, got"):
        load_bundle(written).predict(images)


def test_no_images_are_refused(written):
    with pytest.raises(ModelInputError, match="at least one image"):
        load_bundle(written).predict(np.zeros((0, 12), np.uint8))
