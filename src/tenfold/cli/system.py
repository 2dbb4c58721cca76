"""`tenfold doctor`: what this machine has."""

from __future__ import annotations

import importlib.util
import json as json_module
import os
import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from tenfold.machine import describe_machine
from tenfold.workspace import Workspace

_EXTRAS = {
    "train": ("sklearn", "torch", "xgboost", "optuna", "mlflow", "matplotlib", "jinja2"),
    "serve": ("fastapi", "uvicorn"),
    "flow": ("prefect",),
    "cluster": ("prefect_dask",),
    "postgres": ("psycopg",),
}


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print as JSON and nothing else.")] = False,
) -> None:
    """Say what was found: hardware, extras, tracking, data sets, and what to do about gaps."""
    found = {
        "machine": describe_machine(),
        "hardware": _hardware(),
        "extras": {extra: _extra(modules) for extra, modules in _EXTRAS.items()},
        "places": _places(),
        "datasets": _datasets(),
    }
    if json:
        typer.echo(json_module.dumps(found, indent=2))
        return
    for title, facts in found.items():
        typer.secho(title, bold=True)
        for name, value in facts.items():
            typer.echo(f"  {name:<16} {value}")


def _hardware() -> dict[str, str]:
    facts = {}
    if importlib.util.find_spec("psutil"):
        import psutil

        facts["memory"] = f"{psutil.virtual_memory().total / 2**30:.0f} GiB"
    if importlib.util.find_spec("torch"):
        from tenfold.models.torch.device import resolve_device, resolve_precision

        device = resolve_device("auto")
        facts["networks on"] = f"{device}, {resolve_precision(device)}".replace("torch.", "")
    return facts


def _extra(modules: tuple[str, ...]) -> str:
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    return f"missing {', '.join(missing)}" if missing else "installed"


def _places() -> dict[str, str]:
    from tenfold.config import load_settings, without_password

    settings = load_settings()
    workspace = Workspace(settings.home)
    tracking = os.environ.get("MLFLOW_TRACKING_URI") or workspace.tracking_uri
    return {
        "workspace": f"{workspace.home} ({_room(workspace.home)})",
        "tracking": without_password(tracking),
        "prefect": without_password(_prefect(workspace)),
    }


def _room(home: Path) -> str:
    """Say how much is free where the workspace is or would be made, or why it cannot be."""
    try:
        at = next(path for path in (home, *home.parents) if path.exists())
        if at.is_dir():
            return f"{shutil.disk_usage(at).free / 2**30:.0f} GiB free"
        problem = f"{at} is a file"
    except OSError as error:
        problem = f"it cannot be reached: {error.strerror or error}"
    return f"{problem}; set TENFOLD_HOME to a folder"


def _prefect(workspace: Workspace) -> str:
    from tenfold.servers import find_prefect

    given = os.environ.get("PREFECT_API_URL")
    return given or find_prefect(workspace) or "no server is up; `tenfold up` starts one"


def _datasets() -> dict[str, Any]:
    from tenfold.data import find_data_dir, list_datasets

    folder = find_data_dir(None)
    return {
        entry.name: "ready"
        if entry.is_ready(folder)
        else f"not in {folder}; `tenfold data fetch {entry.name}`"
        for entry in list_datasets()
    }
