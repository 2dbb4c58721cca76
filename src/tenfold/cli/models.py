"""`tenfold models`: finished models as files."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Take finished models out.", no_args_is_help=True)


@app.callback()
def _models() -> None:
    """Keep `export` a command of its own while it is the only one."""


@app.command()
def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="EXPERIMENT[/MODEL]",
            help="An experiment, for its winner; or one of its models, for that one's best.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="The bundle: a folder that does not exist yet, or a .zip.")
    ],
    licence: Annotated[
        str | None, typer.Option(help="On what terms the model may be used, for its card.")
    ] = None,
    int8: Annotated[
        bool,
        typer.Option("--int8", help="A network in 8-bit numbers, if its accuracy holds."),
    ] = False,
) -> None:
    """Write a finished experiment's model as a bundle: graph, card, scores and sums.

    The graph is run on 1,000 validation images first; it must answer as the trained model did.
    """
    from tenfold.bundling import export_bundle
    from tenfold.config import load_settings

    experiment, _, name = model.partition("/")
    bundle = export_bundle(
        experiment,
        out,
        created=datetime.now().astimezone(),
        settings=load_settings(),
        model=name or None,
        licence=licence,
        int8=int8,
    )
    typer.echo(f"{bundle.info.title} written to {bundle.path}")
