"""The servers of a workspace: how Prefect's and MLflow's are started."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack

from tenfold._optional import check_installed
from tenfold.servers.process import LOOPBACK, ServerPlan, find_port
from tenfold.workspace import Workspace

#: Prefect records a task's states one by one, each in a transaction of its own, unless it is told
#: to wait for more of them; and it looks for automations, of which a workspace has none.
_PREFECT_ENVIRON = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
}


def prefect_plan(workspace: Workspace, *, port: int | None = None) -> ServerPlan:
    """Return the plan of the workspace's Prefect server, with its page.

    Args:
        workspace: Holds its database.
        port: On loopback; None: a free one.

    Raises:
        MissingExtraError: Prefect is not installed.
        PortTakenError: The port is taken.
    """
    check_installed("prefect")
    port = find_port(port)
    url = f"http://{LOOPBACK}:{port}"
    environ = {
        **{name: os.environ.get(name, value) for name, value in _PREFECT_ENVIRON.items()},
        **prefect_environ(workspace),
        "PREFECT_SERVER_API_HOST": LOOPBACK,
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_UI_API_URL": f"{url}/api",
        "PREFECT_API_URL": None,
    }
    return ServerPlan(
        name="Prefect",
        command=[sys.executable, "-m", "prefect", "server", "start", "--log-level", "WARNING"],
        url=url,
        health=f"{url}/api/health",
        log=workspace.prefect / "server.log",
        folder=workspace.open().home,
        environ=environ,
        starting=lambda: _locked(workspace, "prefect"),
    )


def prefect_environ(workspace: Workspace) -> dict[str, str]:
    """Return what must be set before Prefect is first imported, here and in its server."""
    return {
        "PREFECT_HOME": str(workspace.prefect),
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }


def mlflow_elsewhere() -> str | None:
    """Return the address of the MLflow server that `MLFLOW_TRACKING_URI` names, if it does."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    return uri if uri.startswith(("http://", "https://")) else None


def mlflow_plan(workspace: Workspace, *, host: str = LOOPBACK, port: int) -> ServerPlan:
    """Return the plan of an MLflow server on what the workspace remembers.

    Args:
        workspace: Holds its database, unless `MLFLOW_TRACKING_URI` names another; where it names a
            server, there is none to plan: see `mlflow_elsewhere`.
        host: Address to listen on.
        port: Port to listen on.

    Raises:
        MissingExtraError: MLflow is not installed.
        PortTakenError: The port is taken.
    """
    check_installed("mlflow")
    find_port(port, host=host)
    uri = os.environ.get("MLFLOW_TRACKING_URI") or workspace.tracking_uri
    url = f"http://{host}:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port)]
    command += ["--workers", "1"]
    return ServerPlan(
        name="MLflow",
        command=command,
        url=url,
        health=f"{url}/health",
        log=workspace.home / "mlflow-server.log",
        folder=workspace.open().home,
        environ={
            "MLFLOW_BACKEND_STORE_URI": uri,  # among the arguments all could read its password
            "MLFLOW_DISABLE_TELEMETRY": "true",
            # Five more processes, for jobs that tenfold has none of.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        },
        starting=lambda: _locked(workspace, "init"),
    )


def _locked(workspace: Workspace, name: str) -> ExitStack:
    stack = ExitStack()
    stack.enter_context(workspace.locked(name))
    return stack
