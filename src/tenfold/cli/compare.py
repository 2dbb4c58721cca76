"""`tenfold compare` and `tenfold train`: from arguments to one experiment, and its leaderboard."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from tenfold.config import ExperimentConfig, load_config, name_for, parse_config
from tenfold.errors import ConfigError, UsageError

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
_FAMILIES = (
    "logistic_regression",
    "knn",
    "svm",
    "random_forest",
    "xgboost",
    "sgd",
    "mlp",
    "cnn",
)


def compare(
    config: Annotated[
        Path | None, typer.Argument(help="A YAML file; see experiments/.", show_default=False)
    ] = None,
    dataset: Dataset = None,
    models: Annotated[
        str | None, typer.Option(help="Models, separated by commas.", metavar="A,B")
    ] = None,
    sets: Sets = None,
    executor: Executor = "auto",
    time_limit_s: TimeLimit = None,
    fresh: Fresh = False,
    json: Json = False,
) -> None:
    """Train models on the same data, choose the best on validation rows, report on the test rows.

    Finished trials are remembered: the same command run again goes on where it stopped.
    """
    overrides = _overrides(sets, time_limit_s=time_limit_s)
    _run(_comparison(config, models, overrides, dataset), executor, fresh=fresh, json=json)


def train(
    context: typer.Context,
    model: Annotated[str | None, typer.Option(help="A model's name.")] = None,
    dataset: Dataset = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the fit.")] = None,
    sets: Sets = None,
    executor: Executor = "auto",
    time_limit_s: TimeLimit = None,
    fresh: Fresh = False,
    json: Json = False,
) -> None:
    """Train one model and report on it: `tenfold train CONFIG`, or with `--model`.

    A parameter of the model is an option too: `tenfold train --model knn --n-neighbors 3`.
    """
    config, params = _model_options(context.args)
    overrides = _overrides(sets, time_limit_s=time_limit_s, seed=seed)
    if (config is None) == (model is None):
        raise UsageError("tenfold train takes either a configuration file or --model NAME")
    if config is None:
        name = str(model).rpartition(":")[2]
        entry = {"model": model, "params": params}
        made = _from_arguments(name, [entry], overrides, dataset)
    else:
        if params:
            raise UsageError(
                f"model options ({', '.join(params)}) go with --model; "
                "with a file use --set models.0.params.NAME=VALUE"
            )
        made = _comparison(config, None, overrides, dataset)
        if len(made.models) > 1:
            raise UsageError(
                f"{config} has {len(made.models)} models; use: tenfold compare {config}"
            )
    _run(made, executor, fresh=fresh, json=json)


def _overrides(sets: list[str] | None, **options: float | None) -> list[str]:
    """Return ``--set`` and the options that stand for one key each, the options last."""
    given = (f"{name}={value}" for name, value in options.items() if value is not None)
    return [*(sets or []), *given]


def _from_arguments(
    name: str, models: list[Any], overrides: list[str], dataset: str | None
) -> ExperimentConfig:
    source = dataset or "digits"
    raw = {
        "name": name_for(f"{name}-{Path(source).resolve().stem}"),
        "dataset": source,
        "models": models,
    }
    return parse_config(raw, overrides=overrides, origin="command line")


def _comparison(
    path: Path | None, models: str | None, overrides: list[str], dataset: str | None
) -> ExperimentConfig:
    """Return the file's experiment, or one of each family; `models` narrows either."""
    names = [name.strip() for name in models.split(",") if name.strip()] if models else []
    if path is None:
        return _from_arguments("compare", names or list(_FAMILIES), overrides, dataset)
    config = load_config(path, overrides=overrides, dataset=dataset)
    if not names:
        return config
    entries = config.model_dump()["models"]
    kept = [entry for name in names for entry in entries if entry["model"] == name]
    added = [name for name in names if name not in {entry["model"] for entry in entries}]
    return parse_config({**config.model_dump(), "models": [*kept, *added]}, origin=str(path))


def _model_options(arguments: list[str]) -> tuple[Path | None, dict[str, Any]]:
    """Read ``--n-neighbors 3`` or ``--n-neighbors=3`` as a parameter, the rest as a file."""
    config: Path | None = None
    params: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        option, equals, value = rest.pop(0).partition("=")
        if not option.startswith("--"):
            if config is not None:
                raise UsageError(f"got {option!r} after {str(config)!r}; give one file")
            config = Path(option + equals + value)
            continue
        if not equals:
            if not rest:
                raise UsageError(f"option {option} needs a value")
            value = rest.pop(0)
        name = option[2:].replace("-", "_")
        try:
            params["C" if name == "c" else name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError([f"{option} {value}: the value is not YAML"]) from error
    return config, params


def _run(config: ExperimentConfig, executor: str, *, fresh: bool, json: bool) -> None:
    if executor not in ("auto", "local"):
        raise UsageError(f"--executor is {executor!r}; allowed: auto, local")
    from tenfold.cli.progress import observing, print_json, print_result
    from tenfold.experiment import run_experiment

    sys.path.insert(0, "")  # own estimators beside the user, as with `python -m`
    try:
        with observing() as observer:
            result = run_experiment(config, observer=observer, fresh=fresh)
    except KeyboardInterrupt:
        typer.echo("interrupted; what is finished is kept, the same command goes on", err=True)
        raise
    if json:
        print_json(result)
    else:
        print_result(result)
    if result.failed:
        raise typer.Exit(1)
