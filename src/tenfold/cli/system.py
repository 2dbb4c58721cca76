"""`tenfold ui` and `tenfold doctor`: the workspace's MLflow page, and what this machine has."""

from __future__ import annotations

import importlib.util
import json as json_module
import os
import shutil
import subprocess
import sys
from typing import Annotated, Any

import typer

from tenfold.errors import UsageError
from tenfold.machine import describe_machine

_EXTRAS = {
    "train": ("sklearn", "torch", "xgboost", "optuna", "mlflow", "matplotlib", "jinja2"),
    "serve": ("fastapi", "uvicorn"),
    "flow": ("prefect",),
    "cluster": ("prefect_dask",),
    "postgres": ("psycopg",),
}


def ui(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 5000,
) -> None:
    """Open MLflow's page on the workspace: every experiment, trial, curve and file."""
    from tenfold._optional import require
    from tenfold.config import load_settings
    from tenfold.workspace import Workspace

    require("mlflow")
    workspace = Workspace(load_settings().home)
    uri = os.environ.get("MLFLOW_TRACKING_URI") or workspace.tracking_uri
    if not uri.startswith("http") and not (workspace.home / "mlflow.db").exists():
        raise UsageError(
            f"nothing is tracked in {workspace.home} yet; run `tenfold compare` first, "
            "or set TENFOLD_HOME to another workspace"
        )
    typer.echo(f"MLflow on http://{host}:{port} shows {uri} (Ctrl-C ends it)", err=True)
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri]
    command += ["--host", host, "--port", str(port), "--workers", "1"]
    environ = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    raise typer.Exit(_exit_code(command, environ))


def _exit_code(command: list[str], environ: dict[str, str]) -> int:
    return subprocess.run(command, env=environ, check=False).returncode  # noqa: S603 our own words


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
    from tenfold.config import load_settings
    from tenfold.workspace import Workspace

    settings = load_settings()
    workspace = Workspace(settings.home)
    at = workspace.home if workspace.home.exists() else workspace.home.parent
    free = shutil.disk_usage(at).free / 2**30
    return {
        "workspace": f"{workspace.home} ({free:.0f} GiB free)",
        "tracking": os.environ.get("MLFLOW_TRACKING_URI") or workspace.tracking_uri,
    }


def _datasets() -> dict[str, Any]:
    from tenfold.data import find_data_dir, list_datasets

    folder = find_data_dir(None)
    return {
        entry.name: "ready"
        if entry.is_ready(folder)
        else f"not in {folder}; `tenfold data fetch {entry.name}`"
        for entry in list_datasets()
    }
