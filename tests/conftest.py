"""What every test shares: a clean environment, prepared databases, and what may be skipped."""

import importlib
import os
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tenfold.search import StudyStorage
from tenfold.tracking import MlflowTracker
from tenfold.workspace import Workspace

try:
    from hypothesis import settings
except ModuleNotFoundError:  # a GPU machine may have no more than the CUDA tests need
    pass
else:
    # The same examples every time: a test that fails must fail for the one who broke it.
    settings.register_profile("repeatable", derandomize=True, deadline=None)
    settings.load_profile("repeatable")

REQUIRED = os.environ.get("TENFOLD_TEST_REQUIRE", "").split(",")
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
DATA_DIR = Path(os.environ.get("TENFOLD_DATA_DIR", "no-data")).resolve()


def pytest_ignore_collect(collection_path, config):
    """Leave out, with `-m cuda`, whatever has no such tests: what it imports may be missing."""
    if config.option.markexpr != "cuda":
        return None
    files = [collection_path]
    if collection_path.is_dir():
        files = collection_path.rglob("test_*.py")
    elif not collection_path.name.startswith("test_"):
        return None
    return not any("mark.cuda" in file.read_text(encoding="utf-8") for file in files) or None


def need_data(name):
    """Skip a test without a data set's real files, or fail it where they are required."""
    if not (DATA_DIR / name).is_dir():
        reason = f"needs real files: set TENFOLD_DATA_DIR to the folder that holds {name}/"
        (pytest.fail if name in REQUIRED else pytest.skip)(reason)


def need_postgres():
    """Skip a test without PostgreSQL's programs, or fail it where they are required."""
    with benchmarks() as load:
        if load("postgres").find_binaries() is None:
            reason = "needs PostgreSQL's programs: Debian's package is postgresql"
            (pytest.fail if "postgres" in REQUIRED else pytest.skip)(reason)


@contextmanager
def benchmarks():
    """Give what loads a module of benchmarks/, whose scripts lie beside each other."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module
    finally:
        sys.path.remove(str(BENCHMARKS))


def pytest_runtest_setup(item):
    if item.get_closest_marker("postgres"):
        need_postgres()
    if item.get_closest_marker("mnist"):
        need_data("mnist")


@pytest.fixture(autouse=True)
def clean_environment(tmp_path, monkeypatch):
    """Give each test a workspace and a data folder of its own."""
    for name in list(os.environ):
        if name.startswith(("TENFOLD_", "MLFLOW_", "PREFECT_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("TENFOLD_HOME", str(tmp_path / "workspace"))
    monkeypatch.setenv("TENFOLD_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture(name="need_data")
def _need_data():
    """Return the function for tests that need more than MNIST."""
    return need_data


@pytest.fixture
def data_dir(monkeypatch):
    """Return the folder with the real data; for tests marked mnist."""
    monkeypatch.setenv("TENFOLD_DATA_DIR", str(DATA_DIR))
    return DATA_DIR


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    """Return an MLflow database as it is before the first experiment; making one takes 6 s."""
    workspace = Workspace(tmp_path_factory.mktemp("prepared")).open()
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    MlflowTracker(workspace, None)
    return workspace.home / "mlflow.db"


@pytest.fixture
def workspace(tmp_path, empty_database):
    """Return the test's workspace, its database prepared."""
    workspace = Workspace(tmp_path / "workspace").open()
    shutil.copy(empty_database, workspace.home)
    return workspace


@pytest.fixture(scope="session")
def places():
    """Return the module that starts servers and workers, each with its own folders."""
    with benchmarks() as load:
        yield load("places")


@pytest.fixture(scope="session")
def mlflow_server(places, empty_database, tmp_path_factory):
    """Return an MLflow server that hands artifacts on; its runs are those of all tests."""
    from tenfold.servers import Server

    folder = tmp_path_factory.mktemp("mlflow-server")
    shutil.copy(empty_database, folder / "server.db")
    with Server(places.mlflow_server(folder, f"sqlite:///{folder}/server.db")) as server:
        server.wait_until_ready()
        yield server


@pytest.fixture(scope="session")
def empty_studies(tmp_path_factory):
    """Return the studies' database as it is before the first study; making one takes a second."""
    workspace = Workspace(tmp_path_factory.mktemp("studies")).open()
    StudyStorage(None, workspace)
    return workspace.home / "studies.db"


@pytest.fixture
def studies(workspace, empty_studies):
    """Return the test's workspace, its databases prepared."""
    shutil.copy(empty_studies, workspace.home)
    return workspace


@pytest.fixture
def hold_out(tmp_path):
    """Return a data set in hold-out mode: 600 digits, 100 of them the official test."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels, labels = (digits.data * 255 / 16).round().astype(np.uint8), digits.target
    path = tmp_path / "digits.npz"
    np.savez(
        path,
        x_train=pixels[:600].reshape(-1, 8, 8),
        y_train=labels[:600],
        x_test=pixels[600:700].reshape(-1, 8, 8),
        y_test=labels[600:700],
    )
    return {"source": str(path), "cv_below": 0}


@pytest.fixture
def every_epoch_is_kept(monkeypatch):
    """Keep a checkpoint after each epoch, however short."""
    monkeypatch.setattr("tenfold.models.torch.checkpoint._LEAST_GAP_S", 0.0)


@pytest.fixture
def steps(monkeypatch):
    """Return a list that grows with each step of a training."""
    from tenfold.models.torch.learner import Learner

    taken, step = [], Learner.step

    def counted(*arguments):
        taken.append(1)
        return step(*arguments)

    monkeypatch.setattr(Learner, "step", counted)
    return taken
