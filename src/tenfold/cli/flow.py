"""`tenfold flow`: experiments as deployments of a Prefect server."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from tenfold.cli.executors import find_api, keep_prefect_quiet
from tenfold.cli.running import Dataset, Sets, comparison, overrides_of
from tenfold.config import load_settings
from tenfold.errors import ServerError, UsageError
from tenfold.servers import Server, ServerPlan
from tenfold.workspace import Workspace

app = typer.Typer(help="Run experiments from Prefect's page and by its schedules.")
_LOOK_S = 1.0
_SERVE = """
import json, sys
from tenfold.flow import deploy_and_serve
deploy_and_serve(json.loads(sys.argv[1]), json.loads(sys.argv[2]), cron=sys.argv[3] or None)
"""


@app.callback()
def _flow() -> None:
    """Keep `serve` a command of its own while it is the only one."""


@app.command()
def serve(
    config: Annotated[
        Path | None, typer.Argument(help="A YAML file with the defaults.", show_default=False)
    ] = None,
    dataset: Dataset = None,
    models: Annotated[
        str | None, typer.Option(help="Models, separated by commas.", metavar="A,B")
    ] = None,
    sets: Sets = None,
    cron: Annotated[
        str | None,
        typer.Option(help="When to start by itself, for example '0 3 * * *': every night at 3."),
    ] = None,
) -> None:
    """Deploy an experiment on the Prefect server, and run it when it is asked for or due.

    Every key of the configuration is a parameter there. Ctrl-C ends it and pauses the schedule.
    """
    made = comparison(config, models, overrides_of(sets), dataset)
    api = find_api()
    if api is None:
        raise UsageError(
            "no Prefect server is up; start one with `tenfold up` in another terminal, "
            "or set PREFECT_API_URL"
        )
    from tenfold.flow import FLOWS, connected

    with connected(api):
        keep_prefect_quiet()
    names = [name for name in FLOWS if name != "train" or len(made.models) == 1]
    workspace = Workspace(load_settings().home).open()
    plan = ServerPlan(
        name="flow serve",
        command=[
            sys.executable,
            "-c",
            _SERVE,
            json.dumps(names),
            made.model_dump_json(),
            cron or "",
        ],
        url=api,
        health="",
        log=workspace.prefect / "serve.log",
        folder=Path.cwd(),
        environ={
            "PREFECT_API_URL": api,
            "TENFOLD_HOME": str(workspace.home),
            # own estimators beside the user
            "PYTHONPATH": os.pathsep.join(
                filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH")])
            ),
        },
    )
    page = api.removesuffix("/api")
    try:
        with Server(plan) as server:
            for name in names:
                typer.echo(f"deployment {name}/{made.name} on {page}/deployments", err=True)
            typer.echo(f"workspace: {workspace.home} (Ctrl-C ends it)", err=True)
            while not server.ended(within_s=_LOOK_S):
                pass
            raise ServerError(server.describe_end())
    except KeyboardInterrupt:
        typer.echo("ended", err=True)
