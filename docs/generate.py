"""Write docs/reference.md from the schemas, the registry, the catalogue and the command line.

Run by `make docs`; a test fails when the file is not what this script writes.
"""

import sys
import types
import typing
from pathlib import Path

import typer

from tenfold.cli.app import app
from tenfold.config import (
    DatasetConfig,
    ExperimentConfig,
    ModelEntry,
    SearchedParameter,
    Settings,
    TuneConfig,
)
from tenfold.data import list_datasets
from tenfold.models import SPECS
from tenfold.search import describe_dimension

TARGET = Path(__file__).with_name("reference.md")


def allowed(annotation: object) -> str:
    """Return a type as a reader of YAML would say it."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is None or annotation is type(None):
        return "null"
    if origin is typing.Annotated:
        return allowed(parts[0])
    if origin is typing.Literal:
        return " \\| ".join(f"`{part}`" for part in parts)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(allowed(part) for part in parts)
    if origin in (tuple, list):
        return f"list of {allowed(parts[0])}"
    if origin is dict:
        return "mapping"
    names = {int: "whole number", float: "number", str: "text", bool: "true or false", Path: "path"}
    names[ModelEntry] = "model entry"
    names[DatasetConfig] = "dataset entry"
    names[TuneConfig] = "tune entry"
    names[SearchedParameter] = "list or range"
    return names.get(annotation, "anything")


def bounds(field: object) -> str:
    """Return a field's limits, for example ``≥ 1, ≤ 100``."""
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    found = []
    for rule in field.metadata:
        for name, sign in signs.items():
            value = getattr(rule, name, None)
            if value is not None:
                found.append(f"{sign} {value:g}" if isinstance(value, float) else f"{sign} {value}")
    return ", ".join(found)


def default(field: object) -> str:
    """Return a field's default as YAML would write it."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "null"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return str(list(value))
    if isinstance(value, DatasetConfig):
        return value.source
    return str(value) if value != "" else '""'


def table(schema: type, prefix: str = "") -> list[str]:
    """Return one row for each field of a schema."""
    rows = ["| key | type | allowed | default | meaning |", "|---|---|---|---|---|"]
    for name, field in schema.model_fields.items():
        description = (field.description or "").replace("|", "\\|")
        extra = field.json_schema_extra or {}
        local = " *Local only.*" if isinstance(extra, dict) and "local_only" in extra else ""
        rows.append(
            f"| `{prefix}{name}` | {allowed(field.annotation)} | {bounds(field)} "
            f"| {default(field)} | {description}{local} |"
        )
    return [*rows, ""]


def commands(command: object, path: str) -> list[str]:
    """Return a section for a command, or for those below it."""
    if hasattr(command, "commands"):
        below = sorted(command.commands.items())
        return [line for name, inner in below for line in commands(inner, f"{path} {name}")]
    text = (command.help or "").strip()
    lines = [f"### `{path}`", "", text, "", "| argument | default | meaning |", "|---|---|---|"]
    for parameter in command.params:
        if parameter.name == "help":
            continue
        names = ", ".join(f"`{name}`" for name in parameter.opts)
        shown = "" if parameter.default in (None, False) else parameter.default
        lines.append(f"| {names} | {shown} | {getattr(parameter, 'help', '') or ''} |")
    return [*lines, ""]


def reference() -> str:
    """Return the whole page."""
    lines = [
        "# Reference",
        "",
        "Made by `make docs` from the schemas that the program itself checks against.",
        "",
        "[Experiments](#experiments) · [Models](#models) · [Data sets](#data-sets) ·",
        "[Settings](#settings) · [Commands](#commands)",
        "",
        "## Experiments",
        "",
        "The keys of an experiment's YAML file; `--set a.b=c` sets any of them.",
        "",
        *table(ExperimentConfig),
        "### `dataset`",
        "",
        *table(DatasetConfig, "dataset."),
        "### `models`",
        "",
        *table(ModelEntry, "models.N."),
        "### `models.N.space.PARAMETER`",
        "",
        "A plain list stands for `values` alone, null for a parameter that is not searched.",
        "",
        *table(SearchedParameter, "models.N.space.PARAMETER."),
        "### `tune`",
        "",
        *table(TuneConfig, "tune."),
        "## Models",
        "",
    ]
    for spec in SPECS:
        lines += [f"### `{spec.name}`", "", f"{spec.summary} On leaderboards: {spec.title}.", ""]
        lines += table(spec.params)
        ranges = [
            f"`{name}` {describe_dimension(space)}" for name, space in spec.search_space.items()
        ]
        lines += [f"Default search space: {'; '.join(ranges)}.", ""]
    lines += ["## Data sets", "", "| name | what | images | source |", "|---|---|---|---|"]
    for entry in list_datasets():
        lines.append(
            f"| `{entry.name}` | {entry.description} "
            f"| {entry.n_train:,} + {entry.n_test:,} | {entry.citation} |"
        )
    lines += ["", "## Settings", "", "Environment variables.", ""]
    lines += ["| variable | type | default | meaning |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        lines.append(
            f"| `TENFOLD_{name.upper()}` | {allowed(field.annotation)} "
            f"| {default(field)} | {field.description} |"
        )
    lines.append(
        "| `MLFLOW_TRACKING_URI` | text | the workspace's SQLite file "
        "| Where finished trials are remembered. |"
    )
    lines += ["", "## Commands", "", *commands(typer.main.get_command(app), "tenfold")]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
    sys.stdout.write(f"wrote {TARGET}\n")
