"""Answers by numpy and onnxruntime alone."""

import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from sklearn.datasets import load_digits

from linear_graph import answer, make_graph
from tenfold.errors import BundleError, ModelInputError
from tenfold.export import export_onnx
from tenfold.inference import OnnxClassifier
from tenfold.models import build_model


@pytest.fixture(scope="module")
def digits():
    bunch = load_digits()
    images = np.rint(bunch.data * 255 / 16).astype(np.uint8)
    images.setflags(write=False)
    return images, bunch.target


@pytest.fixture(scope="module")
def model(digits):
    images, labels = digits
    return export_onnx(build_model("knn", {"n_neighbors": 3}).fit(images[:500], labels[:500]))


def test_the_answers_agree_with_each_other(digits, model):
    images, labels = digits
    classifier = OnnxClassifier(model)
    answers = classifier.answer(images)
    assert (classifier.n_features, classifier.n_classes) == (64, 10)
    assert answers.labels.dtype == np.int64
    assert answers.probabilities.dtype == answers.outlier_scores.dtype == np.float32
    assert answers.probabilities.shape == (len(images), 10)
    assert answers.probabilities.sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert (answers.labels == labels).mean() > 0.9
    assert np.array_equal(classifier.predict(images), answers.labels)
    assert np.array_equal(classifier.predict_proba(images), answers.probabilities)
    assert np.array_equal(classifier.outlier_score(images), answers.outlier_scores)


def test_threads_and_blocks_do_not_change_the_answers(digits, model):
    images, _ = digits
    expected = OnnxClassifier(model, threads=1, batch_size=len(images)).answer(images)
    for threads, batch_size in [(1, 1), (3, 7), (2, None), (4, 500), (None, None)]:
        found = OnnxClassifier(model, threads=threads, batch_size=batch_size).answer(images)
        assert np.array_equal(found.labels, expected.labels)
        assert np.array_equal(found.probabilities, expected.probabilities)


def test_blocks_are_small_where_an_image_needs_much_memory(digits, model):
    images, labels = digits
    rows = np.tile(images[:500], (100, 1))
    large = export_onnx(build_model("knn").fit(rows, np.tile(labels[:500], 100)))
    assert OnnxClassifier(large).batch_size == 32
    assert OnnxClassifier(model).batch_size > 32


def test_any_numeric_type_is_taken(digits, model):
    images, _ = digits
    classifier = OnnxClassifier(model)
    expected = classifier.predict(images[:50])
    for dtype in (np.float64, np.int32, np.uint16):
        assert np.array_equal(classifier.predict(images[:50].astype(dtype)), expected)
    assert np.array_equal(classifier.predict(images[:50].tolist()), expected)
    assert np.array_equal(classifier.predict(np.asfortranarray(images[:50])), expected)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 63)), "must have the 64 pixels .*; got 63. Resize"),
        (np.zeros(64), "two-dimensional"),
        (np.zeros((1, 8, 8)), "two-dimensional"),
        (np.zeros((0, 64)), "at least one image"),
        (np.full((1, 64), np.nan), "not NaN"),
        (np.full((1, 64), 0.5), "whole numbers"),
        (np.full((1, 64), 256), "0 to 255"),
        (np.full((1, 64), "a"), "numeric"),
    ],
)
def test_images_that_break_a_rule_are_refused(model, images, message):
    with pytest.raises(ModelInputError, match=message):
        OnnxClassifier(model).predict(images)


@pytest.mark.parametrize("name", ["threads", "batch_size"])
def test_settings_below_one_are_refused(model, name):
    with pytest.raises(ModelInputError, match=f"{name} must be at least 1; got 0"):
        OnnxClassifier(model, **{name: 0})


def test_a_file_is_read(digits, model, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(model)
    images, _ = digits
    assert np.array_equal(
        OnnxClassifier(path).predict(images), OnnxClassifier(model).predict(images)
    )


def test_a_file_that_is_not_there_or_no_graph_is_refused_in_one_line(model, tmp_path):
    path = tmp_path / "model.onnx"
    with pytest.raises(BundleError, match=r"model\.onnx cannot be loaded.*No such file"):
        OnnxClassifier(path)
    for content in (b"", b"no graph", model[:-1000]):
        path.write_bytes(content)
        with pytest.raises(
            BundleError, match=r"^model\.onnx cannot be loaded as an ONNX"
        ) as caught:
            OnnxClassifier(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "kind", "shape"),
    [
        ("pictures", onnx.TensorProto.UINT8, ["n", 4]),
        ("images", onnx.TensorProto.FLOAT, ["n", 4]),
        ("images", onnx.TensorProto.UINT8, ["n", "pixels"]),
        ("images", onnx.TensorProto.UINT8, ["n", 2, 2]),
    ],
)
def test_another_graph_is_refused(name, kind, shape):
    source = helper.make_tensor_value_info(name, kind, shape)
    target = helper.make_tensor_value_info("probabilities", kind, shape)
    node = helper.make_node("Identity", [name], ["probabilities"])
    graph = helper.make_graph([node], "other", [source], [target])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    with pytest.raises(BundleError, match="must take images.*Export it by tenfold"):
        OnnxClassifier(proto.SerializeToString())


@pytest.mark.parametrize("rows", [1, 500])
def test_a_graph_that_fails_on_some_images_is_told_in_one_line(rows):
    """It looks an image's class up in a table that has one row alone."""
    table = numpy_helper.from_array(np.zeros(1, np.int64), "table")
    graph = make_graph(
        nodes=[helper.make_node("Gather", ["table", "class"], ["label"])], initializers=[table]
    )
    (best,) = [node for node in graph.graph.node if node.op_type == "ArgMax"]
    best.output[0] = "class"
    classifier = OnnxClassifier(graph.SerializeToString(), batch_size=100)
    images = np.random.default_rng(0).integers(0, 256, (500, 12), np.uint8)
    _, probabilities = answer(make_graph(), images)
    worst = images[np.argsort(probabilities[:, 0])]
    with pytest.raises(BundleError, match=r"graph cannot answer .* images: .*Gather") as caught:
        classifier.answer(worst[:rows])
    assert "\n" not in str(caught.value)


def test_the_core_install_is_enough():
    heavy = ["sklearn", "torch", "mlflow", "onnx", "scipy", "pandas", "pydantic", "PIL", "cv2"]
    script = "import sys, tenfold.inference; print([n for n in sys.argv[1:] if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script, *heavy], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
