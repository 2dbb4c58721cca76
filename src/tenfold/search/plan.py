"""What a study is of, and what it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tenfold.config import TuneConfig
from tenfold.models import Space, get_spec
from tenfold.search.space import describe_dimension


@dataclass(frozen=True)
class StudyPlan:
    """What a study is of.

    Args:
        name: Its name in the storage.
        model: A registered name or a dotted path.
        title: The model's name for people.
        base: Complete parameters of a registered model, those that the search begins at included;
            of an own estimator those that are fixed.
        space: What is searched.
        tune: How, and for how long.
        seed: Seed of the fits and of the search.
        fingerprint: SHA-256 of the data set.
        split: ``Split.key``.
        steps: How many steps a whole trial has at most; 0: it reports nothing.
        report_every: Steps from one report to the next; the first comes after as many.
        cross_validated: Whether trials are judged by cross-validation. Then they report nothing on
            the way: there is no one set of rows to judge by.
        source_sha256: Of the source of an own estimator; empty for a registered model.
    """

    name: str
    model: str
    title: str
    base: Mapping[str, Any]
    space: Space
    tune: TuneConfig
    seed: int
    fingerprint: str
    split: str
    steps: int = 0
    report_every: int = 1
    cross_validated: bool = False
    source_sha256: str = ""

    @property
    def identity(self) -> dict[str, Any]:
        """What must be the same for two calls to share a study."""
        own = ":" in self.model
        identity = {
            "model": self.model,
            "model version": self.source_sha256 if own else get_spec(self.model).version,
            "data": self.fingerprint,
            "split": self.split,
            "fixed parameters": {n: v for n, v in self.base.items() if n not in self.space},
            "space": self.shown_space,
            "objectives": list(self.tune.objectives),
            "seed": self.seed,
        }
        if "latency" in self.tune.objectives:
            identity["latency"] = "the median of several predictions"  # it was one
        if "log_loss" in self.tune.objectives:
            identity["log loss"] = "of calibrated probabilities"  # those of margins alone were
        return identity

    @property
    def wants_pruning(self) -> bool:
        """Whether trials should end early: it is asked for, and they outlast their first report."""
        tune = self.tune
        return (
            tune.pruner != "none" and len(tune.objectives) == 1 and self.steps > self.report_every
        )

    @property
    def shown_space(self) -> dict[str, str]:
        """By parameter what is searched, for people."""
        return {name: describe_dimension(part) for name, part in self.space.items()}


@dataclass(frozen=True, eq=False)
class Asked:
    """A trial to run.

    Args:
        number: The trial's number in the study.
        params: Complete parameters.
        drawn: Those that were searched.
        trial: Optuna's.
    """

    number: int
    params: Mapping[str, Any]
    drawn: Mapping[str, Any]
    trial: Any = field(repr=False)
