"""`tenfold flow`: experiments as deployments of a Prefect server."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from tenfold.cli.executors import FlowName, find_api, keep_prefect_quiet
from tenfold.cli.running import Dataset, Sets, comparison, overrides_of
from tenfold.config import load_settings, without_password, without_passwords
from tenfold.errors import ServerError, UsageError
from tenfold.servers import Server, ServerPlan
from tenfold.workspace import Workspace

app = typer.Typer(help="Run experiments from Prefect's page and by its schedules.")
_LOOK_S = 1.0
_END_LIMIT_S = 30.0  # it pauses the deployments, one after the other
_SERVE = """
import json, sys
from tenfold.flow import deploy_and_serve
deploy_and_serve(json.loads(sys.argv[1]), json.loads(sys.argv[2]))
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
    flow: Annotated[
        str | None,
        typer.Option(
            help="What --cron starts; default: compare, or tune where a search space is given.",
            metavar="compare|train|tune",
        ),
    ] = None,
) -> None:
    """Deploy an experiment on the Prefect server, and run it when it is asked for or due.

    Each flow that can run the configuration is a deployment, and every key a parameter there.
    Ctrl-C ends it and pauses the schedule.
    """
    from tenfold.flow.flows import find_misfits

    made = comparison(config, models, overrides_of(sets), dataset)
    if without_passwords(made) != made:
        raise UsageError(
            "tune.storage has a password, which Prefect would keep and show to whoever sees its "
            "page; leave it out, and set PGPASSWORD or write it to ~/.pgpass"
        )
    misfits = find_misfits(made)
    crons = _crons(misfits, cron=cron, flow=flow)
    api = find_api()
    if api is None:
        raise UsageError(
            "no Prefect server is up; start one with `tenfold up` in another terminal, "
            "or set PREFECT_API_URL"
        )
    from tenfold.flow import connected

    with connected(api):
        keep_prefect_quiet()
        if cron is not None:
            _check_cron(cron)
    workspace = Workspace(load_settings().home).open()
    plan = ServerPlan(
        name="flow serve",
        command=[sys.executable, "-c", _SERVE, json.dumps(crons), made.model_dump_json()],
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
        end_limit_s=_END_LIMIT_S,
    )
    page = without_password(api).removesuffix("/api")
    try:
        with Server(plan) as server:
            for name, due in crons.items():
                when = f", starts by itself at {due!r}" if due else ""
                typer.echo(f"deployment {name}/{made.name} on {page}/deployments{when}", err=True)
            for name, reason in misfits.items():
                typer.echo(f"no deployment {name}/{made.name}: {reason}", err=True)
            typer.echo(f"workspace: {workspace.home} (Ctrl-C ends it)", err=True)
            while not server.ended(within_s=_LOOK_S):
                pass
            raise ServerError(server.describe_end())
    except KeyboardInterrupt:
        typer.echo("ended", err=True)


def _crons(
    misfits: Mapping[FlowName, str], *, cron: str | None, flow: str | None
) -> dict[FlowName, str | None]:
    """Return by flow to deploy when it starts by itself.

    Args:
        misfits: The flows that cannot be deployed, and why.
        cron: As the option.
        flow: As the option: the one flow that `cron` is for.
    """
    from tenfold.flow import FLOWS

    fitting = [name for name in FLOWS if name not in misfits]
    reasons = "; ".join(f"{name}: {reason}" for name, reason in misfits.items())
    if not fitting:
        raise UsageError(f"no flow can run this configuration; {reasons}")
    if flow is not None and flow not in fitting:
        raise UsageError(
            f"--flow is {flow!r}; allowed with this configuration: {', '.join(fitting)}"
            + (f" (not {reasons})" if reasons else "")
        )
    if flow is not None and cron is None:
        raise UsageError("--flow says what --cron starts; give --cron too, or leave --flow out")
    return {name: cron if name == (flow or fitting[0]) else None for name in fitting}


def _check_cron(cron: str) -> None:
    from prefect.client.schemas.schedules import CronSchedule

    try:
        CronSchedule(cron=cron)
    except ValueError as error:
        raise UsageError(
            f"--cron is {cron!r}; give cron's five fields, "
            "for example '0 3 * * *': every night at 3"
        ) from error
