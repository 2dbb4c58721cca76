"""Trial results by recipe: a model with its parameters, its repeats and its refits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tenfold.records import TrialResult, canonical_json


@dataclass(frozen=True)
class Recipe:
    """The results of one model with one set of parameters: what one row is made from.

    Args:
        bases: Train fits by repeat, finished or failed.
        refits: Fits on train and validation rows, by the repeat that they belong to.
    """

    bases: tuple[TrialResult, ...]
    refits: Mapping[int, TrialResult]

    @property
    def everyone(self) -> tuple[TrialResult, ...]:
        """Train fits, then refits."""
        return (*self.bases, *self.refits.values())

    @property
    def base(self) -> TrialResult:
        """The first finished train fit; the first fit of all where none finished."""
        finished = (result for result in self.bases if result.predictions is not None)
        return next(finished, self.everyone[0])

    @property
    def shown(self) -> TrialResult | None:
        """The fit that test scores are from: the base's refit, else the base; None: neither."""
        base = self.base
        refit = self.refits.get(base.trial.repeat)
        if refit is not None and refit.predictions is not None:
            return refit
        # Cross-validation alone leaves no model, and no test row is predicted.
        tested = base.predictions is not None and len(base.predictions.test)
        return base if tested else None

    @property
    def repeats(self) -> tuple[TrialResult, ...]:
        """The finished fits of the same kind as the one shown."""
        shown = self.shown
        if shown is None:
            return ()
        fits = self.refits.values() if shown.trial.refit else self.bases
        return tuple(result for result in fits if result.predictions is not None)


def group_recipes(results: Sequence[TrialResult]) -> tuple[Recipe, ...]:
    """Return the recipes of an experiment in grid order.

    Args:
        results: In grid order, refits anywhere.
    """
    groups: dict[tuple[str, str], list[TrialResult]] = {}
    for result in results:
        name = result.trial.model, canonical_json(dict(result.trial.params))
        groups.setdefault(name, []).append(result)
    return tuple(_to_recipe(group) for group in groups.values())


def _to_recipe(group: Sequence[TrialResult]) -> Recipe:
    by_repeat = sorted(group, key=lambda result: result.trial.repeat)
    return Recipe(
        tuple(result for result in by_repeat if not result.trial.refit),
        {result.trial.repeat: result for result in by_repeat if result.trial.refit},
    )
