"""Running one experiment from its configuration to its report: the one composer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tenfold.config import ExperimentConfig, Settings, load_settings
from tenfold.evaluation import Leaderboard, Row
from tenfold.executor import Executor
from tenfold.runner import NullObserver, Observer
from tenfold.search import expand_grid
from tenfold.workbench import open_workbench


@dataclass(frozen=True)
class ExperimentResult:
    """What an experiment found and where it wrote it.

    Args:
        config: The configuration with nothing left automatic.
        leaderboard: One row for each recipe, in the grid's order.
        folder: Holds ``results.csv``, ``results.json``, ``report.html`` and ``figures/``.
        warnings: What a reader of the numbers must know.
    """

    config: ExperimentConfig
    leaderboard: Leaderboard
    folder: Path
    warnings: tuple[str, ...]

    @property
    def report(self) -> Path:
        """The report, one self-contained HTML file."""
        return self.folder / "report.html"

    @property
    def failed(self) -> tuple[Row, ...]:
        """The rows of which a fit failed."""
        return tuple(row for row in self.leaderboard.rows if row.status != "finished")


def run_experiment(
    config: ExperimentConfig,
    executor: Executor | None = None,
    *,
    settings: Settings | None = None,
    observer: Observer | None = None,
    fresh: bool = False,
) -> ExperimentResult:
    """Train, choose, refit, open the test set, report.

    Every choice is made on training and validation rows; the test labels are opened once, after
    the last fit. Finished trials are found by their key and not run again.

    Args:
        config: What to compare, on what.
        executor: Runs the fits; default: worker processes of this machine.
        settings: Default: from the environment.
        observer: Is told what happens.
        fresh: Run finished trials again.

    Raises:
        UsageError: The configuration or the data cannot be used.
        TrialError: Not one trial finished.
        StorageError: The workspace cannot be written.
        TrackingError: MLflow cannot be reached or written.
    """
    trials = expand_grid(config)
    with open_workbench(
        config,
        executor,
        settings=settings or load_settings(),
        observer=observer or NullObserver(),
        fresh=fresh,
    ) as workbench:
        results = workbench.sweep.fit(trials)
        winner, best = workbench.choose(results)
        refits = workbench.refit(results, winner)
        workbench.runner.keep_graphs(
            [*results, *refits], kept={*best.values(), *(refit.key for refit in refits)}
        )
        outcome, folder = workbench.conclude(results, refits, winner=winner, best=best)
    return ExperimentResult(workbench.config, outcome.leaderboard, folder, outcome.warnings)
