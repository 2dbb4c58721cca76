"""Which executor `--executor` comes to, and what is said where Prefect cannot be had."""

import os
import socket
import subprocess
import sys

import pytest

from tenfold.cli.executors import running_on
from tenfold.cli.flow import serve
from tenfold.cli.servers import up
from tenfold.errors import MissingExtraError, UsageError
from tenfold.executor import NoExecutor

API = "http://127.0.0.1:1/api"


def ignore(text):
    """Take no notice of what is said."""


def executor_of(asked, say=ignore, **options):
    """Return the executor that work is given; None stands for the default."""
    with running_on(asked, "compare", say=say, **options) as call:
        return call(lambda config, executor: executor, None)


@pytest.mark.parametrize("asked", ["auto", "local"])
def test_without_a_server_the_fits_run_in_local_processes(asked):
    assert executor_of(asked) is None


def test_local_takes_no_notice_of_a_server(monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", API)
    assert executor_of("local") is None


def test_where_nothing_may_be_fitted_no_server_is_asked(monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", API)
    assert isinstance(executor_of("auto", remembered_only=True), NoExecutor)


def test_a_cluster_and_local_processes_exclude_each_other():
    with (
        pytest.raises(UsageError, match="--cluster and --executor local exclude each other"),
        running_on("local", "compare", say=ignore, cluster="tcp://127.0.0.1:8786"),
    ):
        pass


def test_deployments_without_a_server_say_how_to_start_one():
    with pytest.raises(UsageError, match="start one with `tenfold up` in another terminal"):
        serve(models="sgd")


def test_up_beside_another_server_says_which(monkeypatch):
    monkeypatch.setattr("tenfold.cli.servers.find_prefect", lambda workspace: "http://here")
    with pytest.raises(UsageError, match="is up on .* already: http://here"):
        up()
    monkeypatch.setenv("PREFECT_API_URL", API)
    with pytest.raises(UsageError, match=f"PREFECT_API_URL is set to '{API}'"):
        up()


@pytest.mark.parametrize("asked", ["cloud", "none"])
def test_an_unknown_executor_lists_those_that_there_are(asked):
    with pytest.raises(UsageError, match=f"{asked!r}; allowed: auto, local, prefect"):
        executor_of(asked)


def test_auto_without_prefect_says_so_and_goes_on_locally(monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", API)
    monkeypatch.setitem(sys.modules, "prefect", None)
    said = []
    assert executor_of("auto", said.append) is None
    assert len(said) == 1
    assert "Prefect is not installed (pip install 'tenfold[flow]')" in said[0]


@pytest.mark.parametrize("api", [None, API])
def test_asking_for_prefect_without_it_says_what_to_install(monkeypatch, api):
    monkeypatch.setenv("PREFECT_HOME", "put back after the test")
    if api:
        monkeypatch.setenv("PREFECT_API_URL", api)
    monkeypatch.setitem(sys.modules, "prefect", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tenfold\[flow\]'"):
        executor_of("prefect")


@pytest.mark.parametrize("asked", ["auto", "prefect"])
def test_a_server_that_does_not_answer_is_one_line_and_exit_code_two(asked):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # and nobody listens
        api = f"http://127.0.0.1:{probe.getsockname()[1]}/api"
        done = subprocess.run(
            [sys.executable, "-m", "tenfold", "compare", "--models", "sgd", "--executor", asked],
            capture_output=True,
            text=True,
            env={**os.environ, "PREFECT_API_URL": api},
            check=False,
        )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: no Prefect server answers at PREFECT_API_URL={api!r}")
    assert "tenfold up" in line
