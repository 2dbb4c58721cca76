"""`tenfold tune`: the best parameters of a model, by a study or by a grid with cross-validation."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from tenfold.cli.model_options import read_model_options
from tenfold.cli.running import Dataset, Executor, Json, Sets, from_arguments, overrides_of, tell
from tenfold.config import ExperimentConfig, load_config
from tenfold.errors import UsageError


def tune(
    context: typer.Context,
    dataset: Dataset = None,
    grid: Annotated[
        Path | None,
        typer.Option(help="Try every combination of this file's grids, with cross-validation."),
    ] = None,
    n_trials: Annotated[
        int | None,
        typer.Option(min=1, help="Trials of the study in all, earlier calls included."),
    ] = None,
    more: Annotated[
        int | None, typer.Option(min=1, help="So many trials more than there are.")
    ] = None,
    study_name: Annotated[
        str | None, typer.Option(help="The study's name; default: tune-MODEL-DATASET.")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            help="Where studies are kept: sqlite:///FILE, or postgresql://USER@HOST/NAME, which "
            "several machines can share; default: studies.db in the workspace."
        ),
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(
            help="What is searched for; with latency, the prediction time is weighed as well.",
            metavar="accuracy|log_loss[,latency]",
        ),
    ] = None,
    timeout_s: Annotated[
        float | None,
        typer.Option(min=1, help="Seconds after which no further trial of a study starts."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of fits and search.")] = None,
    sets: Sets = None,
    executor: Executor = "auto",
    json: Json = False,
) -> None:
    """Search a model's parameters: `tenfold tune MODEL`, or a file that has a search space.

    Hopeless trials are ended early, except where there are so few images that trials are
    cross-validated; the best one is fitted again and tested. The same command goes on where it was
    stopped. A parameter that is fixed is an option: `tenfold tune cnn --epochs 3`.
    """
    if n_trials is not None and more is not None:
        raise UsageError("--n-trials and --more exclude each other; give one of them")
    given = {
        "tune.n_trials": n_trials,
        "tune.study_name": study_name,
        "tune.storage": storage,
        "tune.objectives": objective and [name.strip() for name in objective.split(",")],
        "tune.timeout_s": timeout_s,
        "seed": seed,
    }
    overrides = overrides_of(sets, **given)
    what, params = read_model_options(context.args)
    if grid is not None:
        _refuse_beside_grid(what, params, {**given, "more": more})
        _run_grid(load_config(grid, overrides=overrides, dataset=dataset), executor, json=json)
        return
    if what is None:
        raise UsageError("tenfold tune takes a model's name, a file with a space, or --grid FILE")
    config = _config(what, params, overrides, dataset)
    _run_study(config, executor, more, json=json)


def _config(
    what: Path, params: dict[str, Any], overrides: list[str], dataset: str | None
) -> ExperimentConfig:
    if what.suffix in (".yaml", ".yml"):
        if params:
            raise UsageError(
                f"model options ({', '.join(params)}) go with a model's name; "
                "with a file use --set models.0.params.NAME=VALUE"
            )
        return load_config(what, overrides=overrides, dataset=dataset)
    model = str(what)
    entry = {"model": model, "params": params}
    name = f"tune-{model.rpartition(':')[2]}"
    return from_arguments(name, [entry], overrides, dataset)


def _refuse_beside_grid(what: Path | None, params: dict[str, Any], given: dict[str, Any]) -> None:
    extra = [] if what is None else [str(what)]
    extra += [f"--{name.replace('_', '-')}" for name in params]
    names = (name.rpartition(".")[2] for name, value in given.items() if value is not None)
    extra += [f"--{name.replace('_', '-')}" for name in names if name != "seed"]
    if extra:
        raise UsageError(f"--grid tries what its file says; leave out {', '.join(extra)}")


def _run_study(config: ExperimentConfig, executor: str, more: int | None, *, json: bool) -> None:
    from tenfold.cli.executors import running_on
    from tenfold.cli.progress import observing
    from tenfold.cli.study_view import StudyView, print_studies
    from tenfold.tuning import run_tuning

    with (
        _told_when_interrupted(),
        observing() as observer,
        running_on(executor, "tune", say=observer.said) as call,
    ):
        result = call(run_tuning, config, observer=StudyView(observer), more=more)
    if not json:
        print_studies(result.histories)
    tell(result, json=json)


def _run_grid(config: ExperimentConfig, executor: str, *, json: bool) -> None:
    from tenfold.cli.executors import running_on
    from tenfold.cli.progress import observing
    from tenfold.cli.study_view import print_grids
    from tenfold.grid_search import run_grid_search

    with (
        _told_when_interrupted(),
        observing() as observer,
        running_on(executor, "tune", say=observer.said) as call,
    ):
        result = call(run_grid_search, config, observer=observer)
    if not json:
        print_grids(result.tables)
    tell(result, json=json)


@contextmanager
def _told_when_interrupted() -> Iterator[None]:
    sys.path.insert(0, "")  # own estimators beside the user, as with `python -m`
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("interrupted; what is finished is kept, the same command goes on", err=True)
        raise
