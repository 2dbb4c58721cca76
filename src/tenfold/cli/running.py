"""What the commands that run one experiment share: options, configurations, the run itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tenfold.config import ExperimentConfig, load_config, name_for, parse_config
from tenfold.errors import UsageError

Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set one key, for example refit=all."),
]
Dataset = Annotated[
    str | None, typer.Option(help="A data set's name or path; see `tenfold data list`.")
]
Executor = Annotated[
    str, typer.Option(help="What runs the fits.", metavar="auto|local", show_default=True)
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


def overrides_of(sets: list[str] | None, **options: float | None) -> list[str]:
    """Return ``--set`` and the options that stand for one key each, the options last."""
    given = (f"{name}={value}" for name, value in options.items() if value is not None)
    return [*(sets or []), *given]


def from_arguments(
    name: str, models: list[Any], overrides: list[str], dataset: str | None
) -> ExperimentConfig:
    """Return an experiment without a file; its name says what is trained and on what."""
    source = dataset or "digits"
    raw = {
        "name": name_for(f"{name}-{Path(source).resolve().stem}"),
        "dataset": source,
        "models": models,
    }
    return parse_config(raw, overrides=overrides, origin="command line")


def comparison(
    path: Path | None, models: str | None, overrides: list[str], dataset: str | None
) -> ExperimentConfig:
    """Return the file's experiment, or one of each family; `models` narrows either."""
    names = [name.strip() for name in models.split(",") if name.strip()] if models else []
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
    fresh: bool,
    json: bool,
    remembered_only: bool = False,
) -> Path:
    """Run an experiment and print its leaderboard.

    Args:
        config: What to run.
        executor: What the user asked to run the fits.
        fresh: Run finished trials again.
        json: Print the results document and nothing else.
        remembered_only: Train nothing; report on what is finished.

    Returns:
        The folder of the results, of which every trial finished.

    Raises:
        UsageError: The executor is unknown, or nothing may be trained and something would be.
        typer.Exit: A trial failed; everything is printed.
    """
    if executor not in ("auto", "local"):
        raise UsageError(f"--executor is {executor!r}; allowed: auto, local")
    from tenfold.cli.progress import observing, print_json, print_result
    from tenfold.executor import NoExecutor
    from tenfold.experiment import run_experiment

    sys.path.insert(0, "")  # own estimators beside the user, as with `python -m`
    runs_on = NoExecutor() if remembered_only else None
    try:
        with observing() as observer:
            result = run_experiment(config, runs_on, observer=observer, fresh=fresh)
    except KeyboardInterrupt:
        typer.echo("interrupted; what is finished is kept, the same command goes on", err=True)
        raise
    if json:
        print_json(result)
    else:
        print_result(result)
    if result.failed:
        raise typer.Exit(1)
    return result.folder
