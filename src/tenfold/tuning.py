"""Tuning: for each model a study, then the best of it refitted, tested and reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tenfold.config import ExperimentConfig, Settings, TuneConfig, load_settings
from tenfold.errors import TrialError
from tenfold.executor import Executor
from tenfold.experiment import ExperimentResult
from tenfold.histories import StudyHistory
from tenfold.records import TrialResult
from tenfold.search import StudyStorage, resolve_spaces
from tenfold.searching import NullStudyObserver, Search, StudyObserver, plan_study
from tenfold.workbench import open_workbench, with_jobs


@dataclass(frozen=True)
class TuningResult(ExperimentResult):
    """What a tuning found and where it wrote it.

    The leaderboard has of each model the parameters without tuning and the best ones.

    Args:
        histories: Each model's study.
    """

    histories: tuple[StudyHistory, ...]


def run_tuning(
    config: ExperimentConfig,
    executor: Executor | None = None,
    *,
    settings: Settings | None = None,
    observer: StudyObserver | None = None,
    more: int | None = None,
) -> TuningResult:
    """Search each model's parameters, refit the best, open the test set, report.

    Every choice is made on the *select* rows; the test labels are opened once, after the last fit.
    The same call goes on where it was stopped, and other processes may take part in it.

    Args:
        config: What to search, on what; its ``tune`` says how.
        executor: Runs the fits; default: worker processes of this machine.
        settings: Default: from the environment.
        observer: Is told what happens.
        more: So many trials more than there are, in place of ``tune.n_trials``.

    Raises:
        UsageError: The configuration, the data or the studies' storage cannot be used.
        TrialError: Not one trial of a study finished.
        StorageError: The workspace or the studies' storage cannot be written.
        TrackingError: MLflow cannot be reached or written.
    """
    tune = config.tune or TuneConfig()
    spaces = resolve_spaces(config)
    observer = observer or NullStudyObserver()
    with open_workbench(
        with_jobs(config), executor, settings=settings or load_settings(), observer=observer
    ) as workbench:
        storage = StudyStorage(tune.storage, workbench.workspace)
        searches = [
            Search(workbench, plan_study(workbench, entry, space), storage, observer, more=more)
            for entry, space in zip(config.models, spaces, strict=True)
        ]
        searches, histories = _run(searches)
        results = _reported(searches, histories)
        rank_by = tune.objectives[0]
        winner, best = workbench.choose(results, rank_by=rank_by)
        refits = workbench.refit(results, winner)
        ended = [result for search in searches for result in search.ended]
        workbench.runner.keep_graphs(
            [*ended, *results, *refits], kept={*best.values(), *(refit.key for refit in refits)}
        )
        outcome, folder = workbench.conclude(
            results, refits, winner=winner, best=best, rank_by=rank_by, histories=histories
        )
    return TuningResult(workbench.config, outcome.leaderboard, folder, outcome.warnings, histories)


def _run(searches: Sequence[Search]) -> tuple[list[Search], tuple[StudyHistory, ...]]:
    """Run one study after the other; return those that had the time for a trial."""
    found = [(search, search.run()) for search in searches]
    tried = [(search, history) for search, history in found if history.trials]
    if not tried:
        raise TrialError(
            "the time was up before the first trial; give more by --timeout-s or time_limit_s"
        )
    return [search for search, _ in tried], tuple(history for _, history in tried)


def _reported(
    searches: Sequence[Search], histories: Sequence[StudyHistory]
) -> tuple[TrialResult, ...]:
    """Return of each study the trial without tuning, the best one, and those of the front."""
    found: dict[str, TrialResult] = {}
    for search, history in zip(searches, histories, strict=True):
        shown = [trial for trial in (history.start, history.best) if trial is not None]
        if len(history.objectives) > 1:
            shown += history.front
        for trial in shown:
            result = search.result_of(trial)
            found.setdefault(result.key, result)
    return tuple(found.values())
