"""All trials of one experiment: which are finished already, which run, and what came of each."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tenfold.errors import StorageError
from tenfold.executor import Executor
from tenfold.fitting import FITTING_VERSION
from tenfold.models import get_spec
from tenfold.records import FitUnit, Numerics, Trial, TrialResult
from tenfold.runner import UnitRunner
from tenfold.search import trial_key

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sweep:
    """Runs trials on one data set, each once, and remembers them.

    Args:
        runner: Runs one unit.
        executor: Runs the units.
        fingerprint: Of the data set.
        split: ``Split.key``.
        numerics: What networks compute on; other models compute on the CPU.
    """

    runner: UnitRunner
    executor: Executor
    fingerprint: str
    split: str
    numerics: Numerics
    _results: dict[str, TrialResult] = field(default_factory=dict, repr=False)

    def fit(self, trials: Sequence[Trial]) -> tuple[TrialResult, ...]:
        """Fit the trials on the training rows; return one result each, in their order."""
        return self._run([self._unit(trial) for trial in trials])

    def refit(self, results: Sequence[TrialResult]) -> tuple[TrialResult, ...]:
        """Repeat finished recipes on train and validation rows together."""
        finished = [result for result in results if result.status == "finished"]
        return self._run(
            [self._unit(replace(result.trial, refit=True), base=result.key) for result in finished]
        )

    def _unit(self, trial: Trial, *, base: str | None = None) -> FitUnit:
        numerics = self.numerics
        if ":" in trial.model or get_spec(trial.model).runs_on == "cpu":
            numerics = replace(numerics, device="cpu", precision="float32", processes=1)
        key = trial_key(
            trial,
            fingerprint=self.fingerprint,
            split=self.split,
            fitting_version=FITTING_VERSION,
            numerics=numerics,
        )
        return FitUnit((trial,), (key.digest,), numerics, (base,) if base else ())

    def _run(self, units: Sequence[FitUnit]) -> tuple[TrialResult, ...]:
        if not units:
            return ()
        known = {} if self.runner.fresh else self.runner.tracker.finished()
        todo = [unit for unit in units if not self._read(unit, known)]
        self.runner.observer.planned(len(todo), reused=len(units) - len(todo))
        for results in self.executor.run(todo, self.runner):
            self._results.update({result.key: result for result in results})
        return tuple(self._results[key] for unit in units for key in unit.keys)

    def _read(self, unit: FitUnit, known: Mapping[str, str]) -> bool:
        """Take a unit's results from the tracker; False where one is missing or damaged."""
        if not all(key in known for key in unit.keys):
            return False
        for trial, key in zip(unit.trials, unit.keys, strict=True):
            try:
                self._results[key] = self.runner.read(trial, key, known[key])
            except (OSError, StorageError, KeyError, ValueError) as error:
                logger.warning("%s is run again: its files are damaged: %s", unit.name, error)
                self.runner.forget(key)
                return False
        return True
