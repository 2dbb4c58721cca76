"""What tenfold knows of a model without importing it: name, class, search space, version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from tenfold.config.params import PARAMS
from tenfold.config.schema import ModelParams

TREES_PER_REPORT = 10
"""After so many trees boosting says how it does on validation rows."""

Family = Literal["linear", "neighbors", "kernel", "trees", "network"]


@dataclass(frozen=True)
class When:
    """The values of another parameter with which a parameter has an effect.

    Args:
        parameter: The other parameter.
        values: With these it has.
    """

    parameter: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Range:
    """A range of numbers to search.

    Args:
        low: Smallest value.
        high: Largest value, itself included.
        log: Whether to search the logarithm evenly.
        whole: Whether only whole numbers are meant.
        when: With what it is searched; None: always.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False
    when: When | None = None


@dataclass(frozen=True)
class Choice:
    """Values to choose from.

    Args:
        values: At least one.
        when: With what it is searched; None: always.
    """

    values: tuple[Any, ...]
    when: When | None = None


Space = Mapping[str, Range | Choice]


@dataclass(frozen=True)
class FitPath:
    """A numeric parameter of which one fit answers several values.

    The estimator's `fit_path` gives the same answers as a fit for each value, to the bit.

    Args:
        parameter: Its name.
        where: Values that other parameters must have; with others each value is a fit of its own.
    """

    parameter: str
    where: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def joins(self, params: Mapping[str, Any]) -> bool:
        """Say whether complete parameters are such that the fit can be shared."""
        return all(params[name] == value for name, value in self.where.items())


@dataclass(frozen=True)
class ModelSpec:
    """One registered model.

    Args:
        name: Name in configurations.
        title: Name on the leaderboard.
        estimator: Dotted path ``package.module:Class``.
        family: Kind of model.
        summary: One sentence for lists and docs.
        needs: Libraries that must be installed.
        version: Raised when the same recipe gives other results.
        runs_on: ``"torch"`` models use the device and the precision.
        search_space: What tuning searches by default.
        path: Parameter whose rows one fit answers together; None: each row is its own fit.
        steps: Parameter that counts the steps of a fit that reports on the way; None: it says
            nothing.
        report_every: Steps from one report to the next; the first comes after as many.
    """

    name: str
    title: str
    estimator: str
    family: Family
    summary: str
    needs: tuple[str, ...] = ("sklearn",)
    version: int = 1
    runs_on: Literal["cpu", "torch"] = "cpu"
    search_space: Space = field(default_factory=lambda: MappingProxyType({}))
    path: FitPath | None = None
    steps: str | None = None
    report_every: int = 1

    @property
    def params(self) -> type[ModelParams]:
        """Schema of the parameters."""
        return PARAMS[self.name]
