"""`tenfold ui` and `tenfold up` beside an MLflow server that is elsewhere."""

import os
import signal
import socket
import subprocess
import sys

import psutil

ELSEWHERE = {"MLFLOW_TRACKING_URI": "http://mlflow.example:5000"}


def start(*arguments, home):
    return subprocess.Popen(
        [sys.executable, "-m", "tenfold", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **ELSEWHERE, "TENFOLD_HOME": str(home)},
        # A suite that runs in the background has Ctrl-C switched off, and its children inherit it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  # no threads
    )


def test_the_page_of_a_server_elsewhere_is_named_and_nothing_is_started(tmp_path):
    with start("ui", home=tmp_path / "home") as ui:
        printed, errors = ui.communicate(timeout=120)
    assert (ui.returncode, errors) == (0, "")
    assert printed.startswith("MLflow: http://mlflow.example:5000 ")
    assert not (tmp_path / "home").exists()


def test_prefect_starts_alone_beside_an_mlflow_server_elsewhere(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    with start("up", "--prefect-port", port, home=tmp_path / "home") as up:
        lines = [up.stderr.readline() for _ in range(3)]
        processes = psutil.Process(up.pid).children(recursive=True)
        commands = [process.cmdline() for process in processes]
        up.send_signal(signal.SIGINT)
        _, errors = up.communicate(timeout=120)
    assert lines[0].startswith("MLflow: http://mlflow.example:5000 ")
    assert lines[1] == f"Prefect: http://127.0.0.1:{port}\n"
    assert "Ctrl-C" in lines[2]
    assert any("prefect" in command for command in commands)
    assert not any("mlflow" in command for command in commands)
    assert (up.returncode, errors) == (0, "ended\n")
