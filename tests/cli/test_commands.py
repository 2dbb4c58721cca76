"""The command line as a person meets it: real processes, exit codes, one clear line."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tenfold import load_bundle

ROOT = Path(__file__).parents[2]
SMALL = ["--set", "dataset.cv_repeats=1", "--set", "dataset.cv_folds=2"]


@pytest.fixture
def called(tmp_path):
    """Return a function that runs a command in an empty folder."""

    def run(command, environ):
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, **environ},
            check=False,
        )

    return run


@pytest.fixture
def tenfold(called):
    """Return a function that runs the command line."""

    def run(*arguments, **environ):
        return called([sys.executable, "-m", "tenfold", *arguments], environ)

    return run


@pytest.fixture
def redirected(called):
    """Return a function that runs the command line with a shell's redirection of its streams."""

    def run(redirection, *arguments, **environ):
        command = [sys.executable, "-m", "tenfold", *arguments]
        return called(["sh", "-c", f'exec "$@" {redirection}', "sh", *command], environ)

    return run


def test_compare_prints_the_leaderboard_and_the_report(tenfold, workspace):
    done = tenfold("compare", "--models", "sgd,knn", *SMALL)
    assert done.returncode == 0, done.stderr
    assert "SGD" in done.stdout
    assert "winner: KNN" in done.stdout
    report = Path(done.stdout.splitlines()[-1].removeprefix("report: "))
    assert report.is_file()
    assert report.parent.name == "compare-digits"  # another data set's results stay
    assert "[2/2] KNN: done" in done.stderr
    again = tenfold("compare", "--models", "sgd,knn", *SMALL)
    assert "2 found finished and not run again" in again.stderr


def test_json_is_one_document_and_nothing_else(tenfold, workspace):
    done = tenfold("compare", "--models", "sgd", "--json", *SMALL)
    assert json.loads(done.stdout)["rows"][0]["model"] == "sgd"


def test_train_takes_the_parameters_of_the_model_as_options(tenfold, workspace):
    done = tenfold(
        "train", "--model", "knn", "--n_neighbors", "3", "--weights=distance", "--json", *SMALL
    )
    (row,) = json.loads(done.stdout)["rows"]
    assert row["params"]["n_neighbors"] == 3
    assert row["params"]["weights"] == "distance"


def test_skip_training_reports_on_what_is_trained_and_trains_nothing(tenfold, workspace, tmp_path):
    command = ("train", "--model", "sgd", *SMALL)
    missing = tenfold(*command, "--skip-training")
    assert missing.returncode == 2
    assert "not trained yet with these settings: SGD" in missing.stderr
    assert tenfold(*command).returncode == 0
    done = tenfold(*command, "--skip_training", "--visualize", "--model_dir", "models")
    assert done.returncode == 0, done.stderr
    assert f"model: {Path('models', 'sgd-digits.zip')}" in done.stdout
    assert load_bundle(tmp_path / "models" / "sgd-digits.zip").info.model == "sgd"
    assert "1 found finished and not run again" in done.stderr
    pictures = [line for line in done.stdout.splitlines() if line.startswith("picture: ")]
    assert pictures
    assert all(Path(line.removeprefix("picture: ")).is_file() for line in pictures)


def test_a_reader_that_goes_away_costs_no_bundle(workspace, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "tenfold", "train", "--model", "sgd", "--model-dir", "m", *SMALL],
        stdout=writer,
        cwd=tmp_path,
        check=False,
    )
    os.close(writer)
    assert done.returncode == 1
    assert load_bundle(tmp_path / "m" / "sgd-digits.zip").info.model == "sgd"


def test_a_file_that_is_no_bundle_is_refused_before_the_training(tenfold, tmp_path):
    (tmp_path / "sgd-digits.zip").write_text("precious")
    done = tenfold("train", "--model", "sgd", "--model-dir", ".")
    assert done.returncode == 2
    assert done.stderr == (
        "error: sgd-digits.zip exists and is no bundle; remove it, or give another name\n"
    )
    assert not (tmp_path / "workspace").exists()


def test_train_writes_to_the_mlflow_store_and_experiment_that_the_options_name(
    tenfold, workspace, tmp_path
):
    uri = f"sqlite:///{workspace.home / 'mlflow.db'}"
    done = tenfold(
        *("train", "--model", "sgd", "--mlflow-tracking-uri", uri),
        *("--mlflow_experiment_name", "MNIST_Training", *SMALL),
        TENFOLD_HOME=str(tmp_path / "elsewhere"),
    )
    assert done.returncode == 0, done.stderr
    with sqlite3.connect(workspace.home / "mlflow.db") as store:
        names = {name for (name,) in store.execute("SELECT name FROM experiments")}
    assert "MNIST_Training" in names
    assert not (tmp_path / "elsewhere" / "mlflow.db").exists()


def test_a_failed_trial_is_exit_code_one(tenfold, workspace, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from sklearn.base import BaseEstimator\n"
        "class Broken(BaseEstimator):\n"
        "    def fit(self, X, y):\n"
        "        raise ValueError('out of luck')\n"
    )
    done = tenfold("compare", "--models", "mine:Broken,sgd", *SMALL, PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "failed: Broken: ValueError: out of luck" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["compare", "none.yaml"], "none.yaml: no such file"),
        (["compare", "--models", "kn"], "Did you mean 'knn'?"),
        (["compare", "--models", "knn", "--dataset", "nowhere"], "nowhere"),
        (["compare", "--set", "sed=1"], "Did you mean 'seed'?"),
        (["compare", "--executor", "cloud"], "allowed: auto, local"),
        (["train"], "--model NAME"),
        (["train", "--model", "knn", "--n-neighbours", "3"], "Did you mean 'n_neighbors'?"),
        (["train", "--model", "knn", "--n-neighbors"], "needs a value"),
        (["train", "a.yaml", "b.yaml"], "give one file"),
        (["train", "--model", "sgd", "--skip-training", "--fresh"], "exclude each other"),
        (["train", "--model", "sgd", "--mlflow-experiment-name", "../up"], "'../up': allowed are"),
        (["train", "a.yaml", "--C", "3"], "go with --model"),
        (["train", "--model", "sgd", "--cluster", "tcp://far:8786"], "allow it with --insec"),
        (["compare", "--models", "sgd", "--cluster", "far"], "scheduler's address is needed"),
        (["train", str(ROOT / "experiments" / "quickstart.yaml")], "use: tenfold compare"),
        (["ui"], "run `tenfold compare` first"),
        (["predict", "x.png", "--model", "none"], "there is no bundle none; give its folder"),
        (["predict", "x.png"], "Missing option '--model'"),
        (["evaluate", "--dataset", "digits", "--model", "none"], "there is no bundle"),
        (["models", "export", "none", "--out", "out"], "run `tenfold compare` first"),
        (["nonsense"], "No such command"),
        (["compare", "--models", "knn", "--dataset", ""], "dataset.source: got ''"),
        (["compare", "--models", "knn", "--dataset", "~nobody.here"], "is the home of no known"),
        (["compare", "--models", " ,,"], "--models is ' ,,' and names none"),
        (["train", "--model", "knn", "--model-dir", ""], "'' is no path"),
        (["train", "--model", "knn", "--mlflow-tracking-uri", ""], "option of MLflow is empty"),
        (["train", "--model", "knn", "--n-neighbors=0x_"], "--n-neighbors 0x_: is not valid YAML"),
    ],
)
def test_a_mistake_is_exit_code_two_and_one_clear_line(tenfold, arguments, expected):
    done = tenfold(*arguments)
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_wrong_setting_is_told_by_every_command(tenfold):
    done = tenfold("doctor", TENFOLD_DEVICE="toaster")
    assert done.returncode == 2
    assert done.stderr.startswith("error: environment variable TENFOLD_DEVICE is 'toaster'")


def test_a_workspace_that_cannot_be_made_is_told(tenfold, tmp_path):
    (tmp_path / "file").write_text("")
    done = tenfold("compare", "--models", "sgd", TENFOLD_HOME=str(tmp_path / "file" / "w"))
    assert done.returncode == 1
    assert "set TENFOLD_HOME" in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_says_what_was_found(tenfold):
    found = json.loads(tenfold("doctor", "--json").stdout)
    assert found["extras"]["train"] == "installed"
    assert found["datasets"]["digits"] == "ready"
    assert "workspace" in found["places"]
    assert "hardware" in tenfold("doctor").stdout


def test_doctor_says_whether_there_is_room_for_a_workspace(tenfold, tmp_path):
    (tmp_path / "file").write_text("")
    places = [
        json.loads(tenfold("doctor", "--json", TENFOLD_HOME=str(tmp_path / home)).stdout)["places"]
        for home in ("a/b/c", "file", "file/b")
    ]
    assert places[0]["workspace"].endswith("GiB free)")
    for place in places[1:]:
        assert f"({tmp_path / 'file'} is a file; set TENFOLD_HOME" in place["workspace"]


def test_a_stdout_that_cannot_encode_a_sign_shows_another(tenfold, workspace):
    done = tenfold("compare", "--models", "sgd", *SMALL, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert " ?s" in done.stdout
    assert "report: " in done.stdout
    assert tenfold("tune", "--help", PYTHONIOENCODING="ascii").returncode == 0


def test_a_stream_that_is_closed_is_done_without(redirected, workspace):
    command = ("compare", "--models", "sgd", *SMALL)
    done = redirected(">&-", *command)
    assert done.returncode == 0, done.stderr
    assert "[1/1] SGD: done" in done.stderr
    done = redirected("2>&-", *command)
    assert done.returncode == 0
    assert "winner: SGD" in done.stdout
    assert redirected("2>&-", "compare", "none.yaml").returncode == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [("data", "list"), ("tune", "--help")])
def test_an_output_that_cannot_be_written_is_told_in_a_line(redirected, arguments, unbuffered):
    done = redirected(">/dev/full", *arguments, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: the output cannot be written: No space left on device; free")


def test_ctrl_c_while_libraries_are_imported_ends_it_quietly():
    script = """
import sys
class Interrupted:
    def find_spec(self, name, *rest):
        if name == "typer":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
from tenfold.cli import main
main()
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "")


def test_doctor_shows_no_password(tenfold):
    found = tenfold(
        *("doctor", "--json"),
        MLFLOW_TRACKING_URI="http://ann:secret@host:5000",
        PREFECT_API_URL="http://ann:secret@host:4200/api",
    )
    assert "secret" not in found.stdout
    assert json.loads(found.stdout)["places"]["tracking"] == "http://ann:***@host:5000"


def test_servers_elsewhere_are_named_without_their_passwords(tenfold):
    shown = tenfold("ui", MLFLOW_TRACKING_URI="http://ann:secret@host:5000")
    assert shown.stdout.startswith("MLflow: http://ann:***@host:5000 (MLFLOW_TRACKING_URI;")
    refused = tenfold("up", PREFECT_API_URL="http://ann:secret@host:4200/api")
    assert refused.returncode == 2
    assert "PREFECT_API_URL is set to 'http://ann:***@host:4200/api'" in refused.stderr


def test_version_and_help(tenfold):
    assert tenfold("--version").stdout == "tenfold 0.1.0\n"
    shown = tenfold("--help").stdout
    for command in ("compare", "train", "evaluate", "predict", "models", "data", "ui", "doctor"):
        assert command in shown
    assert "--set" in tenfold("compare", "--help").stdout
