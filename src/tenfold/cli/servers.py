"""`tenfold ui` and `tenfold up`: pages on the workspace, for as long as the command runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Annotated

import typer

from tenfold.config import load_settings, without_password
from tenfold.errors import ServerError, UsageError
from tenfold.servers import (
    LOOPBACK,
    Server,
    ServerPlan,
    find_prefect,
    mlflow_elsewhere,
    mlflow_plan,
    prefect_plan,
    remembered,
)
from tenfold.workspace import Workspace

_LOOK_S = 1.0


def ui(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = LOOPBACK,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 5000,
) -> None:
    """Open MLflow's page on the workspace: every experiment, trial, curve and file.

    Where MLFLOW_TRACKING_URI names a server, nothing is started: that server has the page.
    """
    elsewhere = mlflow_elsewhere()
    if elsewhere is not None:
        shown = without_password(elsewhere)
        typer.echo(f"MLflow: {shown} (MLFLOW_TRACKING_URI; nothing is started here)")
        return
    workspace = Workspace(load_settings().home)
    if not (workspace.home / "mlflow.db").exists() and not os.environ.get("MLFLOW_TRACKING_URI"):
        raise UsageError(
            f"nothing is tracked in {workspace.home} yet; run `tenfold compare` first, "
            "or set TENFOLD_HOME to another workspace"
        )
    _keep_up([mlflow_plan(workspace, host=host, port=port)], workspace)


def up(
    mlflow_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port of MLflow's page on this machine.")
    ] = 5000,
    prefect_port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port of Prefect's page on this machine.")
    ] = 4200,
) -> None:
    """Start MLflow and Prefect on the workspace; Ctrl-C ends both.

    While it runs, `--executor auto` uses its Prefect server. Where MLFLOW_TRACKING_URI names a
    server, Prefect is started alone.
    """
    workspace = Workspace(load_settings().home)
    if os.environ.get("PREFECT_API_URL"):
        shown = without_password(os.environ["PREFECT_API_URL"])
        raise UsageError(
            f"PREFECT_API_URL is set to {shown!r}, so runs would go there and not to the server of "
            "this command; unset it, or use `tenfold ui`"
        )
    already = find_prefect(workspace)
    if already is not None:
        raise UsageError(f"Prefect is up on {workspace.home} already: {already}")
    elsewhere = mlflow_elsewhere()
    plans = [] if elsewhere else [mlflow_plan(workspace, port=mlflow_port)]
    if elsewhere:
        shown = without_password(elsewhere)
        typer.echo(f"MLflow: {shown} (MLFLOW_TRACKING_URI; Prefect starts alone)", err=True)
    _keep_up([*plans, prefect_plan(workspace, port=prefect_port)], workspace)


def _keep_up(plans: Sequence[ServerPlan], workspace: Workspace) -> None:
    """Run servers until one of them ends or Ctrl-C is pressed.

    Raises:
        ServerError: One could not be started, or ended by itself.
    """
    try:
        with ExitStack() as stack:
            servers = [stack.enter_context(Server(plan)) for plan in plans]
            for server in servers:
                server.wait_until_ready()
                typer.echo(f"{server.name}: {server.url}", err=True)
                if server.name == "Prefect":
                    stack.enter_context(remembered(server, workspace))
            typer.echo(f"workspace: {workspace.home} (Ctrl-C ends it)", err=True)
            while True:
                for server in servers:
                    if server.ended(within_s=_LOOK_S):
                        raise ServerError(server.describe_end())
    except KeyboardInterrupt:
        typer.echo("ended", err=True)
