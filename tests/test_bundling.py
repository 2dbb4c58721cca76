"""From an experiment to a bundle: the right model, its own scores, and a graph that answers."""

import shutil
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from typer.testing import CliRunner

from tenfold import load_bundle
from tenfold.bundling import export_bundle
from tenfold.cli.app import app
from tenfold.config import Settings, parse_config
from tenfold.data import load_dataset, make_split, settings_of
from tenfold.errors import CorruptDataError, ExportError, ParityError, UsageError
from tenfold.evaluation import accuracy_of
from tenfold.experiment import run_experiment
from tenfold.graphs import PROOF_FILE
from tenfold.records import Predictions
from tenfold.tracking import MlflowTracker
from tenfold.workspace import Workspace

NOW = datetime(2026, 11, 3, tzinfo=UTC)
QUICK = {
    "name": "quick",
    "units_at_once": 0,
    "threads": 1,
    "dataset": {"cv_repeats": 1, "cv_folds": 2},
    "models": ["sgd", {"model": "knn", "grid": {"n_neighbors": [40, 3]}}, "own_majority:Majority"],
}
MAJORITY = """
from sklearn.dummy import DummyClassifier

class Majority(DummyClassifier):
    pass
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory, empty_database):
    """Return a workspace with two experiments and the settings that lead there.

    The first compares a linear model, two recipes of neighbours and an own estimator of the
    embedded digits; the second fits again on all rows of an own file.
    """
    folder = tmp_path_factory.mktemp("bundling")
    workspace = Workspace(folder / "workspace").open()
    shutil.copy(empty_database, workspace.home)
    settings = Settings(home=workspace.home)
    (folder / "own_majority.py").write_text(MAJORITY)
    sys.path.insert(0, str(folder))
    try:
        quick = run_experiment(parse_config(QUICK), settings=settings)
    finally:
        sys.path.remove(str(folder))
    digits = load_dataset("digits")
    parts = {"train": slice(900), "test": slice(900, 1000)}
    arrays = {f"x_{name}": digits.images[rows].reshape(-1, 8, 8) for name, rows in parts.items()}
    arrays |= {f"y_{name}": digits.labels[rows] for name, rows in parts.items()}
    np.savez(folder / "own.npz", **arrays)
    own = {
        **QUICK,
        "name": "own",
        "models": [
            {"model": "knn", "params": {"n_neighbors": 1}},
            "sgd",
            {"model": "mlp", "params": {"epochs": 8, "batch_size": 32}},
        ],
        "refit": "all",
        "dataset": {"source": str(folder / "own.npz"), "cv_below": 0},
    }
    found = {"quick": quick, "own": run_experiment(parse_config(own), settings=settings)}
    return workspace, settings, found, folder / "own.npz"


@pytest.fixture
def export(home, tmp_path):
    """Return a function that exports a model of an experiment."""
    _, settings, _, _ = home

    def run(experiment="quick", **options):
        path = tmp_path / options.pop("to", "out")
        return export_bundle(experiment, path, created=NOW, settings=settings, **options)

    return run


def folder_of(workspace, key):
    """Return the folder with what is kept of a trial."""
    tracker = MlflowTracker(workspace, None)
    with tracker.folder(tracker.finished()[key]) as folder:
        return folder


def test_the_winner_is_exported_with_its_own_scores_and_answers_as_it_did(home, export):
    _, _, found, _ = home
    info = export().info
    winner = found["quick"].leaderboard.winner
    assert (info.name, info.title) == ("quick", "KNN n_neighbors=3")
    assert info.trial_key == winner.test_key
    assert info.scores["accuracy"].value == pytest.approx(winner.scores.accuracy.value)
    assert info.scores["accuracy"].low == pytest.approx(winner.scores.accuracy.low)
    assert info.parity.images == 1000
    assert info.chosen_by.startswith(
        "It is the best of 4 by accuracy in 2-fold cross-validation of 1,438"
    )
    assert info.fitted_on == "all development rows"
    assert info.style.fills_frame
    assert info.licence.startswith("not stated. The data: Alpaydin")


def test_an_exported_bundle_knows_all_images_but_the_sealed_test(export):
    bundle = export()
    split = make_split(load_dataset("digits"), **settings_of(bundle.info.split))
    assert bundle.learned.among(split.images).all()
    assert not bundle.learned.among(split.test.images).any()


def test_a_bundle_predicts_the_sealed_rows_as_the_trial_did(home, export):
    workspace, _, _, _ = home
    bundle = export(model="sgd")
    split = make_split(load_dataset("digits"), **settings_of(bundle.info.split))
    given = Predictions.read(folder_of(workspace, bundle.info.trial_key) / "predictions.npz").test
    answers = load_bundle(bundle.path).predict(split.test.images)
    np.testing.assert_array_equal(answers.labels, given.argmax(axis=1))
    np.testing.assert_allclose(answers.probabilities, given, atol=1e-3)  # kept in half precision
    assert 0 <= answers.outliers.mean() < 0.1
    assert bundle.info.calibration["kind"] == "temperature"


def test_the_command_writes_a_bundle_and_says_where(home, tmp_path, monkeypatch):
    workspace, _, _, _ = home
    monkeypatch.setenv("TENFOLD_HOME", str(workspace.home))
    path = tmp_path / "knn.zip"
    arguments = ["models", "export", "quick/knn", "--out", str(path), "--licence", "CC BY 4.0"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"KNN n_neighbors=3 written to {path}\n"
    info = load_bundle(path).info
    assert info.licence == "CC BY 4.0"
    assert abs(info.created - datetime.now(UTC)) < timedelta(hours=1)


def test_a_model_is_exported_by_its_best_recipe(export):
    bundle = export(model="knn", to="knn.zip", licence="MIT")
    assert bundle.info.params["n_neighbors"] == 3
    assert bundle.info.licence == "MIT"
    assert load_bundle(bundle.path).info.name == "quick-knn"
    sgd = export(model="sgd", to="sgd")
    assert "the best SGD, not the best of all, of 1 by accuracy" in sgd.info.chosen_by


def test_only_the_best_of_each_model_keeps_its_graph_and_all_tell_its_size(home):
    workspace, _, found, _ = home
    kept = {}
    for row in found["quick"].leaderboard.rows:
        path = folder_of(workspace, row.key) / "model.onnx"
        kept[row.name] = path.exists()
        if path.exists():
            assert row.model_bytes == path.stat().st_size
    assert kept == {
        "SGD": True,
        "KNN n_neighbors=40": False,
        "KNN n_neighbors=3": True,
        "Majority": False,
    }
    assert not any(workspace.graphs.iterdir())


@pytest.mark.parametrize("model", ["knn", "sgd"])
def test_a_refit_is_exported_and_keeps_the_limits_of_its_train_fit(home, export, model):
    _, _, found, _ = home
    row = next(row for row in found["own"].leaderboard.rows if row.model == model)
    bundle = export("own", model=model)
    assert bundle.info.fitted_on == "train + validation"
    assert bundle.info.dataset == "own"  # where it lay is nobody's business
    assert bundle.info.trial_key == row.test_key != row.key
    digits = load_dataset("digits")
    answers = bundle.predict(digits.images[900:1000])
    accuracy = accuracy_of(digits.labels[900:1000], answers.probabilities)
    assert accuracy == pytest.approx(row.scores.accuracy.value)
    # What is learned by heart is never doubted: limits by those rows would alarm at anything.
    assert answers.outliers.mean() < 0.2


def test_a_network_is_exported_in_int8_with_scores_of_its_own(home, export, tmp_path, monkeypatch):
    workspace, _, _, _ = home
    monkeypatch.setenv("TENFOLD_HOME", str(workspace.home))
    arguments = ["models", "export", "own/mlp", "--int8", "--out", str(tmp_path / "small")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    bundle, whole = load_bundle(tmp_path / "small"), export("own", model="mlp")
    assert bundle.info.title == f"{whole.info.title}, int8"
    assert bundle.info.quantization.images > 50
    assert bundle.info.quantization.compared_on == "held out from the train fit"
    assert whole.info.quantization is None
    digits = load_dataset("digits")
    accuracy = accuracy_of(
        digits.labels[900:1000], bundle.predict(digits.images[900:1000]).probabilities
    )
    assert bundle.info.scores["accuracy"].value == pytest.approx(accuracy)
    sizes = [(found.path / "model.onnx").stat().st_size for found in (bundle, whole)]
    assert sizes[0] < sizes[1]
    card = (bundle.path / "MODEL_CARD.md").read_text()
    assert "turned into 8-bit numbers" in card
    assert "8-bit" not in (whole.path / "MODEL_CARD.md").read_text()


def test_int8_of_a_model_that_has_none_is_refused_and_nothing_is_written(home, tmp_path):
    _, settings, _, _ = home
    with pytest.raises(ExportError, match="Only networks have an int8 variant"):
        export_bundle("own", tmp_path / "x", created=NOW, settings=settings, model="knn", int8=True)
    assert not (tmp_path / "x").exists()


def test_a_trial_that_kept_no_graph_says_what_to_do(home, export):
    _, settings, _, _ = home
    models = [{"model": "knn", "params": {"n_neighbors": 40}}]
    config = parse_config({**QUICK, "name": "again", "models": models})
    assert run_experiment(config, settings=settings).leaderboard.winner.reused
    with pytest.raises(UsageError, match="KNN n_neighbors=40 .*run the experiment again .*--fresh"):
        export("again")
    run_experiment(config, settings=settings, fresh=True)
    assert export("again").info.params["n_neighbors"] == 40


def test_an_own_estimator_is_compared_but_has_no_graph(home, export):
    _, _, found, _ = home
    told = [text for text in found["quick"].warnings if "has no graph" in text]
    assert len(told) == 1
    assert told[0].startswith("Majority has no graph: Registered models can be exported")
    with pytest.raises(UsageError, match="cannot be exported: Registered models can be exported"):
        export(model="own_majority:Majority")


@pytest.mark.parametrize(
    ("experiment", "model", "message"),
    [
        ("quikc", None, "no finished experiment 'quikc'. Did you mean 'quick'"),
        ("../quick", None, "no finished experiment"),
        ("quick", "svm", "no trial of 'svm' finished in 'quick'. Valid: knn, own_majority"),
    ],
)
def test_what_is_not_there_is_named(export, experiment, model, message):
    with pytest.raises(UsageError, match=message):
        export(experiment, model=model)


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (lambda text: text[:200], CorruptDataError, "results.json is damaged; run"),
        (lambda text: "[]", CorruptDataError, "results.json is damaged; run"),
        (lambda text: '{"best": {}}', UsageError, "run by an older tenfold; run it again"),
    ],
)
def test_results_that_are_damaged_or_older_are_told(home, export, damage, error, message):
    path = home[0].home / "results" / "quick" / "results.json"
    before = path.read_text(encoding="utf-8")
    path.write_text(damage(before), encoding="utf-8")
    try:
        with pytest.raises(error, match=message):
            export()
    finally:
        path.write_text(before, encoding="utf-8")


@pytest.mark.parametrize("licence", ["MIT\n\nPermission is", "a\tb", "x" * 1001])
def test_a_licence_that_is_more_than_a_line_is_refused_and_nothing_is_written(
    home, tmp_path, monkeypatch, licence
):
    monkeypatch.setenv("TENFOLD_HOME", str(home[0].home))
    arguments = ["models", "export", "quick/knn", "--out", str(tmp_path / "x"), "--licence"]
    result = CliRunner().invoke(app, [*arguments, licence])
    assert isinstance(result.exception, UsageError)
    assert "a bundle cannot have licence: " in str(result.exception)
    assert "CC BY 4.0" in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def own_data(folder, *, names, side=4):
    """Return a file of a few images whose classes have names."""
    images = np.random.default_rng(0).integers(0, 256, (len(names) * 30, side, side), np.uint8)
    labels = np.repeat(np.array(names), 30)
    np.savez(folder / "own.npz", x=images, y=labels)
    return folder / "own.npz"


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"names": ["a", "b\tc"]}, "cannot have class_names: 'b\\tc'"),
        ({"names": ["a", "b"], "side": 1025}, "cannot have image_shape: '1025'"),
    ],
)
def test_data_that_a_bundle_cannot_tell_of_are_refused_before_the_training(
    tmp_path, monkeypatch, made, message
):
    monkeypatch.setenv("TENFOLD_HOME", str(tmp_path / "home"))
    source = own_data(tmp_path, **made)
    arguments = ["train", "--model", "sgd", "--dataset", str(source), "--model-dir", str(tmp_path)]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, UsageError), result.output
    assert message in str(result.exception)
    assert not (tmp_path / "home").exists()


def test_without_any_experiment_the_next_step_is_told(tmp_path):
    with pytest.raises(UsageError, match="run `tenfold compare` first"):
        export_bundle("x", tmp_path / "out", created=NOW, settings=Settings(home=tmp_path))


def test_data_that_changed_since_are_refused(home, export):
    path = home[3]
    before = path.read_bytes()
    with np.load(path) as arrays:
        changed = {**arrays, "x_test": 255 - arrays["x_test"]}
    try:
        np.savez(path, **changed)
        with pytest.raises(CorruptDataError, match="changed since the experiment 'own'"):
            export("own")
    finally:
        path.write_bytes(before)


def test_a_graph_that_answers_otherwise_becomes_no_bundle(home, export, tmp_path):
    workspace, _, found, _ = home
    keys = {row.model: row.test_key for row in found["own"].leaderboard.rows}
    proof = folder_of(workspace, keys["sgd"]) / PROOF_FILE
    before = proof.read_bytes()
    try:
        shutil.copy(folder_of(workspace, keys["knn"]) / PROOF_FILE, proof)
        with pytest.raises(ParityError, match="another label than its estimator"):
            export("own", model="sgd")
    finally:
        proof.write_bytes(before)
    assert not (tmp_path / "out").exists()
