"""`tenfold train`: one model, its parameters as options."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from tenfold.cli.model_options import read_model_options
from tenfold.cli.parsing import parse_path
from tenfold.cli.running import (
    Cluster,
    Dataset,
    Executor,
    Fresh,
    InsecureCluster,
    Json,
    Sets,
    TimeLimit,
    comparison,
    from_arguments,
    overrides_of,
    run,
    tell,
)
from tenfold.config import ExperimentConfig, load_settings
from tenfold.errors import UsageError


def train(
    context: typer.Context,
    model: Annotated[str | None, typer.Option(help="A model's name.")] = None,
    dataset: Dataset = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the fit.")] = None,
    sets: Sets = None,
    executor: Executor = "auto",
    cluster: Cluster = None,
    insecure_cluster: InsecureCluster = False,
    time_limit_s: TimeLimit = None,
    fresh: Fresh = False,
    json: Json = False,
    skip_training: Annotated[
        bool,
        typer.Option("--skip-training", help="Train nothing; report on what is trained already."),
    ] = False,
    visualize: Annotated[
        bool, typer.Option("--visualize", help="Say where each picture of the report lies.")
    ] = False,
    model_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            parser=parse_path,
            help="Also write the model there, as the bundle NAME.zip.",
        ),
    ] = None,
    mlflow_tracking_uri: Annotated[
        str | None,
        typer.Option(help="MLflow's store; default: MLFLOW_TRACKING_URI, else the workspace's."),
    ] = None,
    mlflow_experiment_name: Annotated[
        str | None,
        typer.Option(help="MLflow's experiment; default: MLFLOW_EXPERIMENT_NAME, else the name."),
    ] = None,
) -> None:
    """Train one model and report on it: `tenfold train CONFIG`, or with `--model`.

    A parameter of the model is an option too: `tenfold train --model knn --n-neighbors 3`.
    """
    if skip_training and fresh:
        raise UsageError("--skip-training and --fresh exclude each other; give one of them")
    if "" in (mlflow_tracking_uri, mlflow_experiment_name):
        raise UsageError("an option of MLflow is empty; give it a value, or leave it out")
    config, params = read_model_options(context.args)
    overrides = overrides_of(sets, time_limit_s=time_limit_s, seed=seed)
    if (config is None) == (model is None):
        raise UsageError("tenfold train takes either a configuration file or --model NAME")
    if config is None:
        name = str(model).rpartition(":")[2]
        entry = {"model": model, "params": params}
        made = from_arguments(name, [entry], overrides, dataset)
    else:
        if params:
            raise UsageError(
                f"model options ({', '.join(params)}) go with --model; "
                "with a file use --set models.0.params.NAME=VALUE"
            )
        made = comparison(config, None, overrides, dataset)
        if len(made.models) > 1:
            raise UsageError(
                f"{config} has {len(made.models)} models; use: tenfold compare {config}"
            )
    _check_bundle(model_dir, made)
    with _environment(
        MLFLOW_TRACKING_URI=mlflow_tracking_uri, MLFLOW_EXPERIMENT_NAME=mlflow_experiment_name
    ):
        result = run(
            made,
            executor,
            flow="train",
            fresh=fresh,
            remembered_only=skip_training,
            cluster=cluster,
            insecure_cluster=insecure_cluster,
        )
        try:
            # Before anything is printed: whoever reads that may go away.
            written = None if result.failed else _write_bundle(made.name, model_dir)
        finally:
            tell(result, json=json)
    if written is not None:
        typer.echo(f"model: {written}", err=json)
    if visualize:
        for picture in sorted((result.folder / "figures").iterdir()):
            typer.echo(f"picture: {picture}", err=json)


def _check_bundle(folder: Path | None, config: ExperimentConfig) -> None:
    """See, before the training, that its bundle can be written."""
    if folder is None:
        return
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--model-dir is {str(folder)!r}, a file; give a folder")
    from tenfold.bundle.writing import check_place
    from tenfold.bundling import check_data

    check_place(_bundle_path(config.name, folder))
    check_data(config.dataset, load_settings().data_dir)


def _bundle_path(experiment: str, folder: Path) -> Path:
    return folder / f"{experiment}.zip"


def _write_bundle(experiment: str, folder: Path | None) -> Path | None:
    """Write the model where it was asked for, and return where that is."""
    if folder is None:
        return None
    from tenfold.bundling import export_bundle

    made = export_bundle(
        experiment,
        _bundle_path(experiment, folder),
        created=datetime.now().astimezone(),
        settings=load_settings(),
    )
    return made.path


@contextmanager
def _environment(**values: str | None) -> Iterator[None]:
    """Set environment variables for a block; None leaves one as it is."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update({name: value for name, value in values.items() if value is not None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
