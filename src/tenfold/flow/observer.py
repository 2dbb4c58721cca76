"""What happens in an experiment, as the logs of its Prefect flow run and task runs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tenfold.records import FitUnit, TrialResult
from tenfold.runner import Observer


@dataclass(frozen=True)
class PrefectObserver:
    """Tells Prefect, then another observer.

    Args:
        other: Is told everything too.
    """

    other: Observer

    def planned(self, trials: int, *, reused: int) -> None:
        """Log how much there is to do."""
        _logger().info("%d to fit, %d found finished and not run again", trials, reused)
        self.other.planned(trials, reused=reused)

    def started(self, unit: FitUnit) -> None:
        """Log that a unit starts."""
        _logger().info("fitting %s", unit.name)
        self.other.started(unit)

    def stepped(self, unit: FitUnit, step: int, steps: int, metrics: Mapping[str, float]) -> None:
        """Log how far a unit's fit is."""
        told = " ".join(f"{name}={value:.4g}" for name, value in metrics.items())
        _logger().info("%s: %d/%d %s", unit.name, step, steps, told)
        self.other.stepped(unit, step, steps, metrics)

    def ended(self, unit: FitUnit, results: tuple[TrialResult, ...]) -> None:
        """Log how each trial of a unit ended."""
        for result in results:
            if result.status == "failed":
                _logger().error("%s: %s", result.trial.name, result.error)
            else:
                _logger().info("%s: fitted in %.2f s", result.trial.name, result.fit_s)
        self.other.ended(unit, results)

    def said(self, text: str) -> None:
        """Log what the experiment does next."""
        _logger().info(text)
        self.other.said(text)

    def __getattr__(self, name: str) -> Any:
        """Pass on whatever else the other observer is told: how a study stands, for example."""
        return getattr(self.other, name)


def _logger() -> logging.Logger | logging.LoggerAdapter[logging.Logger]:
    """Return the logger of the task run or flow run that this thread works for."""
    from prefect.logging import get_run_logger

    found: logging.Logger | logging.LoggerAdapter[logging.Logger] = get_run_logger()
    return found
