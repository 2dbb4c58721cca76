"""What the commands that run one experiment share: options, configurations, the run itself."""

from __future__ import annotations

import os
import sys
from json import dumps
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tenfold.config import ExperimentConfig, load_config, name_on, parse_config
from tenfold.errors import UsageError

Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set one key, for example refit=all."),
]
Dataset = Annotated[
    str | None, typer.Option(help="A data set's name or path; see `tenfold data list`.")
]
Executor = Annotated[
    str,
    typer.Option(
        help="What runs the fits; auto: Prefect where a server is up, else local processes.",
        metavar="auto|local|prefect",
        show_default=True,
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        help="Run the fits on this Dask cluster: its scheduler's address, tcp://127.0.0.1:8786 "
        "or tls://HOST:8786 for example.",
        metavar="URL",
    ),
]
InsecureCluster = Annotated[
    bool,
    typer.Option(
        "--insecure-cluster", help="Allow a cluster without TLS on another machine than this."
    ),
]
TimeLimit = Annotated[
    float | None, typer.Option("--time-limit-s", min=1, help="Seconds for the whole experiment.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Run finished trials again.")]
Json = Annotated[bool, typer.Option("--json", help="Print the results as JSON and nothing else.")]

#: What is compared when nothing is named: one quick model of each kind.
FAMILIES = (
    "logistic_regression",
    "knn",
    "svm",
    "random_forest",
    "xgboost",
    "sgd",
    "mlp",
    "cnn",
)


def overrides_of(sets: list[str] | None, **options: Any) -> list[str]:
    """Return ``--set`` and the options that stand for one key each, the options last.

    Values are written as JSON, which is YAML too: a text stays the text that was given.

    >>> overrides_of(["seed=7"], **{"tune.study_name": "exp #2", "tune.n_trials": None})
    ['seed=7', 'tune.study_name="exp #2"']
    """
    given = (
        f"{name}={dumps(value, ensure_ascii=False)}"
        for name, value in options.items()
        if value is not None
    )
    return [*(sets or []), *given]


def from_arguments(
    name: str, models: list[Any], overrides: list[str], dataset: str | None
) -> ExperimentConfig:
    """Return an experiment without a file; its name says what is trained and on what."""
    source = "digits" if dataset is None else dataset
    raw = {
        "name": name_on(name, source),
        "dataset": source,
        "models": models,
    }
    return parse_config(raw, overrides=overrides, origin="command line")


def comparison(
    path: Path | None, models: str | None, overrides: list[str], dataset: str | None
) -> ExperimentConfig:
    """Return the file's experiment, or one of each family; `models` narrows either.

    Raises:
        UsageError: `models` is given and names none.
        ConfigError: The configuration breaks a rule.
    """
    names = [name.strip() for name in (models or "").split(",") if name.strip()]
    if models is not None and not names:
        raise UsageError(
            f"--models is {models!r} and names none; give some, for example knn,svm, "
            "or leave it out"
        )
    if path is None:
        return from_arguments("compare", names or list(FAMILIES), overrides, dataset)
    config = load_config(path, overrides=overrides, dataset=dataset)
    if not names:
        return config
    entries = config.model_dump()["models"]
    kept = [entry for name in names for entry in entries if entry["model"] == name]
    added = [name for name in names if name not in {entry["model"] for entry in entries}]
    return parse_config({**config.model_dump(), "models": [*kept, *added]}, origin=str(path))


def run(
    config: ExperimentConfig,
    executor: str,
    *,
    flow: Literal["compare", "train"],
    fresh: bool,
    remembered_only: bool = False,
    cluster: str | None = None,
    insecure_cluster: bool = False,
) -> Any:  # an ExperimentResult, whose module is too heavy for the top of this file
    """Run an experiment; `tell` prints what came out.

    Args:
        config: What to run.
        executor: What the user asked to run the fits.
        flow: The Prefect flow that it is a run of, where Prefect runs them.
        fresh: Run finished trials again.
        remembered_only: Train nothing; report on what is finished.
        cluster: The Dask cluster to run the fits on.
        insecure_cluster: Whether that may be one without TLS off this machine.

    Returns:
        The `ExperimentResult`.

    Raises:
        UsageError: The executor or the cluster cannot be used, or nothing may be trained and
            something would be.
    """
    from tenfold.cli.executors import running_on
    from tenfold.cli.progress import observing
    from tenfold.cluster import check_cluster
    from tenfold.experiment import run_experiment

    sys.path.insert(0, "")  # own estimators beside the user, as with `python -m`
    if cluster is not None:
        check_cluster(
            cluster, insecure=insecure_cluster, tracking=config.tracking, environ=os.environ
        )
    try:
        with (
            observing() as observer,
            running_on(
                executor,
                flow,
                say=observer.said,
                cluster=cluster,
                remembered_only=remembered_only,
            ) as call,
        ):
            return call(run_experiment, config, observer=observer, fresh=fresh)
    except KeyboardInterrupt:
        goes_on = (
            "without --fresh the same command goes on" if fresh else "the same command goes on"
        )
        typer.echo(f"interrupted; what is finished is kept, {goes_on}", err=True)
        raise


def tell(result: Any, *, json: bool) -> None:
    """Print the leaderboard of an `ExperimentResult` and where its files are.

    Args:
        result: What `run` or a search returned.
        json: Print the results document and nothing else.

    Raises:
        typer.Exit: A trial failed; everything is printed.
    """
    from tenfold.cli.progress import print_json, print_result

    if json:
        print_json(result)
    else:
        print_result(result)
    if result.failed:
        raise typer.Exit(1)
