"""The `tenfold` command: its groups, and what every command shares."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from tenfold.cli import answers, compare, data, flow, models, servers, system, train, tune

app = typer.Typer(
    help="Small images to a compared, tuned, tracked, exported and served classifier.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={
        "help_option_names": ["-h", "--help"],
        # `--batch_size` is accepted for `--batch-size`.
        "token_normalize_func": lambda name: name.replace("_", "-"),
    },
)
app.command("compare")(compare.compare)
app.command("train", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(
    train.train
)
app.command("tune", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(
    tune.tune
)
app.command("evaluate")(answers.evaluate)
app.command("predict")(answers.predict)
app.add_typer(models.app, name="models")
app.add_typer(data.app, name="data")
app.add_typer(flow.app, name="flow")
app.command("ui")(servers.ui)
app.command("up")(servers.up)
app.command("doctor")(system.doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        from tenfold import __version__

        typer.echo(f"tenfold {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Say the version."),
    ] = False,
) -> None:
    """Set up what every command shares."""
    del version
    from tenfold.config import load_settings

    level = load_settings().log_level.upper()
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
