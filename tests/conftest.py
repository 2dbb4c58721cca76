"""What every test shares: a clean environment, prepared databases, and what may be skipped."""

import os
import shutil
from pathlib import Path

import pytest

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


def pytest_runtest_setup(item):
    if item.get_closest_marker("mnist"):
        need_data("mnist")


@pytest.fixture(autouse=True)
def clean_environment(tmp_path, monkeypatch):
    """Give each test a workspace and a data folder of its own."""
    for name in list(os.environ):
        if name.startswith(("TENFOLD_", "MLFLOW_")):
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
