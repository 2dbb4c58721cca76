import json
import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tenfold.bundle import load_bundle
from tenfold.cli.app import app
from tenfold.data import load_dataset, make_split, open_sealed_test
from tenfold.errors import BundleError, ModelInputError


@pytest.fixture
def run():
    """Return a function that runs a command and gives its result, or raises its error."""

    def _run(*arguments):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return _run


@pytest.fixture
def digits():
    split = make_split(load_dataset("digits"), cv_folds=3, cv_repeats=1)
    return split.test.images, open_sealed_test(split, choices={"test": "of the test"})


@pytest.fixture
def pictures(tmp_path, digits):
    """Return the paths of three digits as pictures: as they are, dark on light, and enlarged."""
    images, _ = digits
    paths = [tmp_path / f"{name}.png" for name in ("plain", "paper", "large")]
    plain = images[0].reshape(8, 8)
    Image.fromarray(plain).save(paths[0])
    Image.fromarray(255 - plain).save(paths[1])
    Image.fromarray(plain.repeat(20, axis=0).repeat(20, axis=1)).save(paths[2])
    return paths


def test_evaluate_scores_the_sealed_rows_of_the_training_split(run, digits_bundle, digits):
    images, labels = digits
    answers = load_bundle(digits_bundle).predict(images)
    accuracy = (answers.labels == labels).mean()
    output = run("evaluate", "--model", digits_bundle, "--dataset", "digits").stdout
    assert output.startswith(f"Linear on {len(labels)} test images of digits\n")
    assert f"accuracy             {accuracy:.4f}   0." in output
    assert f"none of its classes: {answers.outliers.mean():.1%}" in output
    assert "not retraining" in output


def test_evaluate_as_json_is_one_document_with_intervals(run, digits_bundle, digits):
    found = json.loads(
        run("evaluate", "--model", digits_bundle, "--dataset", "digits", "--json").stdout
    )
    assert found["model"] == "digits-linear"
    assert found["test_images"] == np.sum(found["confusion"]) == len(digits[0])
    assert found["fingerprint"] == load_dataset("digits").fingerprint
    accuracy = found["scores"]["accuracy"]
    assert 0.8 < accuracy["low"] < accuracy["value"] < accuracy["high"] < 1
    assert {"f1_macro", "roc_auc", "log_loss", "ece"} <= set(found["scores"])


@pytest.fixture
def own(tmp_path, digits):
    """Return a function that writes a data set whose test has so many learned and unseen digits."""

    def _own(*, learned, unseen, **more):
        split = make_split(load_dataset("digits"), cv_folds=3, cv_repeats=1)
        np.savez(
            tmp_path / "own.npz",
            x_train=split.images.reshape(-1, 8, 8),
            y_train=split.labels,
            x_test=np.concatenate([split.images[:learned], digits[0][:unseen]]).reshape(-1, 8, 8),
            y_test=np.concatenate([split.labels[:learned], digits[1][:unseen]]),
            **more,
        )
        return tmp_path / "own.npz"

    return _own


def test_evaluate_leaves_out_what_the_model_has_learned_from(run, digits_bundle, own, digits):
    path = own(learned=30, unseen=50)
    found = json.loads(
        run("evaluate", "--model", digits_bundle, "--dataset", path, "--json").stdout
    )
    assert (found["test_images"], found["left_out"]) == (50, 30)
    answers = load_bundle(digits_bundle).predict(digits[0][:50])
    right = (answers.labels == digits[1][:50]).mean()
    assert found["scores"]["accuracy"]["value"] == pytest.approx(right)
    assert found["warnings"] == []
    text = run("evaluate", "--model", digits_bundle, "--dataset", path).stdout
    assert text.startswith("Linear on 50 test images of own\n")
    assert "left out, for the model has learned from them: 30 images" in text


def test_evaluate_on_learned_images_alone_is_refused(run, digits_bundle, own):
    path = own(learned=30, unseen=0)
    with pytest.raises(ModelInputError, match="has learned from every one of the 30 test images"):
        run("evaluate", "--model", digits_bundle, "--dataset", path)


def test_evaluate_by_a_bundle_that_does_not_say_what_it_learned_from_warns(
    run, digits_bundle, own, tmp_path
):
    old = shutil.copytree(digits_bundle, tmp_path / "old")
    (old / "learned.bin").unlink()
    sums = (old / "SHA256SUMS").read_text().splitlines()
    (old / "SHA256SUMS").write_text("\n".join(s for s in sums if "learned" not in s) + "\n")
    path = own(learned=30, unseen=50)
    text = run("evaluate", "--model", old, "--dataset", path).stdout
    assert text.startswith("Linear on 80 test images of own\n")
    assert "warning: the model may have learned from these images" in text
    assert "warning" not in run("evaluate", "--model", old, "--dataset", "digits").stdout


def test_evaluate_says_that_intervals_do_not_know_of_groups(run, digits_bundle, own):
    writers = {"groups": np.arange(1438) // 10, "groups_test": np.arange(80) // 10 + 200}
    path = own(learned=30, unseen=50, **writers)
    found = json.loads(
        run("evaluate", "--model", digits_bundle, "--dataset", path, "--json").stdout
    )
    (warning,) = found["warnings"]
    assert warning.startswith("the 50 test images come in 5 groups: intervals and p values take")


def test_evaluate_takes_data_that_are_too_few_to_learn_from(run, digits_bundle, tmp_path, digits):
    images, labels = digits
    few = np.sort(np.concatenate([np.flatnonzero(labels == label)[:4] for label in range(10)]))
    np.savez(tmp_path / "few.npz", x=images[few].reshape(-1, 8, 8), y=labels[few])
    found = run("evaluate", "--model", digits_bundle, "--dataset", tmp_path / "few.npz", "--json")
    assert json.loads(found.stdout)["test_images"] == 10
    one = np.array([few[labels[few] == label][0] for label in range(10)])
    np.savez(tmp_path / "one.npz", x=images[one].reshape(-1, 8, 8), y=labels[one])
    with pytest.raises(ModelInputError, match="one has no image to spare for a test: 10 dev"):
        run("evaluate", "--model", digits_bundle, "--dataset", tmp_path / "one.npz")


def test_data_of_other_classes_are_refused(run, digits_bundle):
    with pytest.raises(ModelInputError, match="knows the classes 0, 1, .* and digits has not 5, 5"):
        run("evaluate", "--model", digits_bundle, "--dataset", "digits", "--target", "5")


def test_images_of_another_size_are_refused(run, digits_bundle, tmp_path):
    labels = np.arange(100) % 10
    np.savez(
        tmp_path / "own.npz", x=np.zeros((100, 5, 6), np.uint8) + labels[:, None, None], y=labels
    )
    with pytest.raises(ModelInputError, match="takes images of 8x8 pixels and own has 5x6"):
        run("evaluate", "--model", digits_bundle, "--dataset", tmp_path / "own.npz")


def test_predict_reads_pictures_of_either_polarity_and_any_size(
    run, digits_bundle, pictures, digits
):
    lines = run("predict", *pictures, "--model", digits_bundle).stdout.splitlines()
    answers = load_bundle(digits_bundle).predict(digits[0][:1])
    expected = f"{answers.class_names[0]}\t{answers.probabilities.max():.4f}"
    assert [line.split("\t", 1)[0] for line in lines] == [str(path) for path in pictures]
    assert {line.split("\t", 1)[1] for line in lines} == {expected}


def test_predict_answers_each_image_of_an_array(run, digits_bundle, tmp_path, digits):
    np.save(tmp_path / "some.npy", digits[0][:3])
    answers = load_bundle(digits_bundle).predict(digits[0][:3])
    found = json.loads(
        run("predict", tmp_path / "some.npy", "--model", digits_bundle, "--json").stdout
    )
    assert found["model"] == "digits-linear"
    assert found["errors"] == []
    assert [row["label"] for row in found["predictions"]] == answers.labels.tolist()
    assert found["predictions"][2]["name"] == f"{tmp_path / 'some.npy'}[2]"
    assert found["predictions"][1]["probability"] == pytest.approx(answers.probabilities[1].max())


def test_predict_marks_what_is_none_of_the_classes(run, digits_bundle, tmp_path):
    np.save(tmp_path / "grey.npy", np.full((8, 8), 20, np.uint8))
    result = run("predict", tmp_path / "grey.npy", "--model", digits_bundle)
    assert result.stdout.rstrip().endswith("\toutlier")


def test_a_bad_file_among_good_ones_is_told_and_the_others_are_answered(
    run, digits_bundle, pictures, tmp_path
):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    files = [pictures[0], tmp_path / "bad.png", tmp_path / "none.png", pictures[1]]
    result = run("predict", *files, "--model", digits_bundle)
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 2
    first, second = result.stderr.splitlines()
    assert first.startswith(f"error: {tmp_path / 'bad.png'}: bad.png cannot be decoded")
    assert "none.png cannot be read" in second
    found = run("predict", *files, "--model", digits_bundle, "--json")
    assert found.exit_code == 1
    document = json.loads(found.stdout)
    assert [error["file"] for error in document["errors"]] == [str(path) for path in files[1:3]]
    assert len(document["predictions"]) == 2


@pytest.mark.parametrize("command", [["predict", "x.png"], ["evaluate", "--dataset", "digits"]])
def test_what_is_no_bundle_is_refused(run, tmp_path, command):
    with pytest.raises(BundleError, match="there is no bundle") as caught:
        run(*command, "--model", tmp_path / "none")
    assert caught.value.exit_code == 2
