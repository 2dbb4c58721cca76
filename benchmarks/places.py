"""Servers and workers of a small cluster on this machine, each a process with its own folders."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import psutil
from postgres import free_port

from tenfold.servers import Server, ServerPlan

_START_S = 120.0


def mlflow_server(folder: Path, backend: str, *, port: int | None = None) -> ServerPlan:
    """Return the plan of an MLflow server that hands artifacts on.

    Args:
        folder: Holds its artifacts and its log; made when missing.
        backend: URL of its database.
        port: On loopback; None: a free one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", backend]
    command += ["--serve-artifacts", "--artifacts-destination", str(folder / "artifacts")]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    return ServerPlan(
        name="MLflow",
        command=command,
        url=url,
        health=f"{url}/health",
        log=folder / "mlflow.log",
        folder=folder,
        environ={
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_TRACKING_URI": None,
        },
    )


def scheduler(folder: Path) -> ServerPlan:
    """Return the plan of a Dask scheduler on a port that it chooses itself."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", "0"]
    command += ["--no-dashboard", "--scheduler-file", str(folder / "scheduler.json")]
    return ServerPlan(
        name="Dask's scheduler",
        command=command,
        url="",
        health="",
        log=folder / "scheduler.log",
        folder=folder,
    )


def address_of(server: Server, folder: Path) -> str:
    """Return where a scheduler listens, once it does.

    Raises:
        TimeoutError: It does not within two minutes.
    """
    deadline = time.monotonic() + _START_S
    while True:
        try:
            found = json.loads((folder / "scheduler.json").read_text(encoding="utf-8"))
            return str(found["address"])
        except (OSError, ValueError):
            if time.monotonic() > deadline or server.ended(within_s=0.1):
                raise TimeoutError(server.describe_end()) from None


def worker(address: str, home: Path, *, cores: int | None = None, **environ: str) -> ServerPlan:
    """Return the plan of a Dask worker that fits one unit at a time.

    Args:
        address: Of the scheduler.
        home: Its workspace, its data cache and its working folder lie below; made when missing.
        cores: The first so many cores of this process are its; None: all.
        environ: Further variables.
    """
    home.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "dask", "worker", address, "--nthreads", "1", "--no-nanny"]
    command += ["--no-dashboard", "--name", home.name, "--local-directory", str(home / "dask")]
    if cores is not None:
        allowed = sorted(os.sched_getaffinity(0))[:cores]
        command = ["taskset", "-c", ",".join(map(str, allowed)), *command]
    own = {"TENFOLD_HOME": str(home / "workspace"), "TENFOLD_DATA_DIR": str(home / "data")}
    return ServerPlan(
        name=f"worker {home.name}",
        command=command,
        url="",
        health="",
        log=home / "worker.log",
        folder=home,
        environ={"MLFLOW_TRACKING_URI": None, **own, **environ},
    )


def kill(server: Server) -> None:
    """Kill what a server runs, as a machine that loses its power does (SIGKILL)."""
    for process in psutil.Process(server.pid).children():
        process.kill()
