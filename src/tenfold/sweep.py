"""All trials of one experiment: which are finished already, which run, and what came of each."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace

from tenfold.costs import DataSize, estimate_cost
from tenfold.errors import StorageError
from tenfold.executor import Executor
from tenfold.fitting import FITTING_VERSION
from tenfold.models import get_spec
from tenfold.records import FitUnit, Numerics, Trial, TrialResult, canonical_json
from tenfold.runner import UnitRunner
from tenfold.search import trial_key

logger = logging.getLogger(__name__)

#: Finished trials that are read at once: where they lie on a server, each takes several requests.
_READERS = 8


@dataclass(frozen=True)
class Sweep:
    """Runs trials on one data set, each once, and remembers them.

    Trials that differ only in their model's path parameter are fitted together. The fits that are
    expected to take longest start first, so that none is left alone at the end.

    Args:
        runner: Runs one unit.
        executor: Runs the units.
        fingerprint: Of the data set.
        split: ``Split.key``.
        size: How much each fit learns from.
        numerics: What networks compute on; other models compute on the CPU.
    """

    runner: UnitRunner
    executor: Executor
    fingerprint: str
    split: str
    size: DataSize
    numerics: Numerics
    _results: dict[str, TrialResult] = field(default_factory=dict, repr=False)

    def fit(self, trials: Sequence[Trial]) -> tuple[TrialResult, ...]:
        """Fit the trials on the training rows; return one result each, in their order."""
        return self._run([self.unit(trial) for trial in trials])

    def refit(self, results: Sequence[TrialResult]) -> tuple[TrialResult, ...]:
        """Repeat finished recipes on train and validation rows together."""
        finished = [result for result in results if result.status == "finished"]
        return self._run(
            [self.unit(replace(result.trial, refit=True), base=result.key) for result in finished]
        )

    def unit(self, trial: Trial, *, base: str | None = None) -> FitUnit:
        """Return the unit of one trial; of a refit, `base` is the key of its train fit."""
        numerics = self.numerics
        own = ":" in trial.model
        if own or get_spec(trial.model).runs_on == "cpu":
            numerics = replace(numerics, device="cpu", precision="float32", processes=1)
        key = trial_key(
            trial,
            fingerprint=self.fingerprint,
            split=self.split,
            fitting_version=FITTING_VERSION,
            numerics=numerics,
            source_sha256=self.runner.payload["sources"][trial.model] if own else "",
        )
        return FitUnit((trial,), (key.digest,), numerics, (base,) if base else ())

    def _run(self, units: Sequence[FitUnit]) -> tuple[TrialResult, ...]:
        """Run units of one trial each; return their results in this order."""
        if not units:
            return ()
        known = {} if self.runner.fresh else self.runner.tracker.finished()
        with ThreadPoolExecutor(_READERS) as pool:
            read = pool.map(lambda unit: self.read(unit, known), units)
            todo = [unit for unit, result in zip(units, read, strict=True) if result is None]
        self.runner.observer.planned(len(todo), reused=len(units) - len(todo))
        for results in self.executor.run(self._planned(todo), self.runner):
            self._results.update({result.key: result for result in results})
        return tuple(self._results[unit.keys[0]] for unit in units)

    def read(self, unit: FitUnit, known: Mapping[str, str]) -> TrialResult | None:
        """Return a trial's result from the tracker; None where it is missing or damaged.

        Args:
            unit: Of one trial.
            known: The runs of finished trials, by key.
        """
        (trial,), (key,) = unit.trials, unit.keys
        if key not in known:
            return None
        try:
            self._results[key] = self.runner.read(trial, key, known[key])
        except (OSError, StorageError, KeyError, ValueError) as error:
            logger.warning("%s is run again: its files are damaged: %s", unit.name, error)
            self.runner.forget(key)
            return None
        return self._results[key]

    def _planned(self, units: Sequence[FitUnit]) -> list[FitUnit]:
        """Join the units that one fit answers; return them with their costs, the longest first."""
        found: dict[str, list[FitUnit]] = {}
        for unit in units:
            found.setdefault(self._shared(unit), []).append(unit)
        joined = (_join(parts) for parts in found.values())
        planned = [replace(unit, cost=estimate_cost(unit, self.size)) for unit in joined]
        return sorted(planned, key=lambda unit: unit.cost.seconds, reverse=True)

    def _shared(self, unit: FitUnit) -> str:
        """Return what the trials of one fit have in common; where it cannot be shared, the key."""
        (trial,), (key,) = unit.trials, unit.keys
        path = None if ":" in trial.model else get_spec(trial.model).path
        if path is None or not path.joins(trial.params) or unit.numerics.processes > 1:
            return key
        if any(self.runner.records[base]["chosen"] for base in unit.bases):
            return key  # what a train fit decided, a refit repeats, each its own
        params = {name: value for name, value in trial.params.items() if name != path.parameter}
        fields = asdict(replace(trial, params=params, label=""))
        return canonical_json([fields, asdict(unit.numerics)])


def _join(parts: Sequence[FitUnit]) -> FitUnit:
    """Return one unit of units of one trial each, by the rising value of their path."""
    if len(parts) == 1:
        return parts[0]
    path = get_spec(parts[0].trials[0].model).path
    assert path is not None, "trials without a path share no fit"
    parameter = path.parameter
    rising = sorted(parts, key=lambda part: part.trials[0].params[parameter])
    return FitUnit(
        trials=tuple(part.trials[0] for part in rising),
        keys=tuple(part.keys[0] for part in rising),
        numerics=rising[0].numerics,
        bases=tuple(base for part in rising for base in part.bases),
    )
