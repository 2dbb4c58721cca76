"""Grid search: each model's combinations cross-validated, the best of each fitted and tested."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tenfold.config import ExperimentConfig, Settings, TuneConfig, load_settings
from tenfold.errors import ConfigError, TrialError
from tenfold.evaluation import CvTable, build_cv_table
from tenfold.executor import Executor
from tenfold.experiment import ExperimentResult
from tenfold.records import Trial, TrialResult
from tenfold.runner import NullObserver, Observer
from tenfold.search import expand_grid
from tenfold.workbench import Workbench, open_workbench, with_jobs


@dataclass(frozen=True)
class GridSearchResult(ExperimentResult):
    """What a grid search found and where it wrote it.

    The leaderboard has the best combination of each model.

    Args:
        tables: Each model's combinations with their scores in every fold.
    """

    tables: tuple[CvTable, ...]


def run_grid_search(
    config: ExperimentConfig,
    executor: Executor | None = None,
    *,
    settings: Settings | None = None,
    observer: Observer | None = None,
) -> GridSearchResult:
    """Cross-validate every combination of the grids, then fit and test the best of each model.

    All development rows are dealt into ``tune.cv`` stratified folds; choices are made by the mean
    accuracy over them. Combinations that one fit can answer share it inside each fold.

    Args:
        config: The models with their grids.
        executor: Runs the fits; default: worker processes of this machine.
        settings: Default: from the environment.
        observer: Is told what happens.

    Raises:
        UsageError: The configuration or the data cannot be used.
        TrialError: Not one combination of a model finished.
        StorageError: The workspace cannot be written.
        TrackingError: MLflow cannot be reached or written.
    """
    config = _with_folds(config)
    entries = [config.model_copy(update={"models": (entry,)}) for entry in config.models]
    grids = [expand_grid(entry) for entry in entries]
    with open_workbench(
        config, executor, settings=settings or load_settings(), observer=observer or NullObserver()
    ) as workbench:
        tables, chosen = _search(workbench, grids)
        whole = workbench.fit_whole(chosen)
        fits = zip(chosen, whole, strict=True)
        winner, best = workbench.choose(
            [fold if fit.status == "finished" else fit for fold, fit in fits]
        )
        workbench.runner.keep_graphs(whole, kept={fit.key for fit in whole})
        outcome, folder = workbench.conclude(chosen, whole, winner=winner, best=best, tables=tables)
    return GridSearchResult(workbench.config, outcome.leaderboard, folder, outcome.warnings, tables)


def _with_folds(config: ExperimentConfig) -> ExperimentConfig:
    """Return the configuration in which all development rows are cross-validated once."""
    tune = config.tune or TuneConfig()
    _check_models(config, tune)
    folds = {"cv_below": sys.maxsize, "cv_folds": tune.cv, "cv_repeats": 1}
    return with_jobs(config.model_copy(update={"dataset": config.dataset.model_copy(update=folds)}))


def _check_models(config: ExperimentConfig, tune: TuneConfig) -> None:
    models = config.models
    problems = [
        f"models.{index}.space: a grid search takes 'grid'; use `tenfold tune` without --grid"
        for index, entry in enumerate(models)
        if entry.space
    ]
    names = [entry.model for entry in models]
    problems += [
        f"models: {name} stands there {names.count(name)} times; a grid search takes each once"
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    if config.repeats > 1:
        problems.append(
            f"repeats: {config.repeats} is for `tenfold compare`; a grid search fits each "
            "combination once in each fold, leave it out"
        )
    problems += [
        f"tune.{name}: only a study has a use for it, a grid search tries every combination once; "
        "leave it out, or use `tenfold tune` without --grid"
        for name in tune.unused_by("grid")
    ]
    if problems:
        raise ConfigError(problems)


def _search(
    workbench: Workbench, grids: Sequence[Sequence[Trial]]
) -> tuple[tuple[CvTable, ...], list[TrialResult]]:
    """Cross-validate all grids together; return for each the table and the best combination."""
    found = iter(workbench.cross_validate([trial for grid in grids for trial in grid]))
    tables, best = [], []
    for entry, grid in zip(workbench.config.models, grids, strict=True):
        results = [next(found) for _ in grid]
        table = build_cv_table(
            results,
            list(entry.combinations()),
            labels=workbench.validation_labels,
            folds=[len(part.held_rows) for part in workbench.split.rounds],
        )
        if table.best is None:
            raise TrialError(
                f"not one of {len(table.rows)} combinations of {table.title} finished; the first: "
                f"{table.rows[0].error}; `tenfold ui` shows every traceback"
            )
        tables.append(table)
        best.append(results[table.rows.index(table.best)])
    return tuple(tables), best
