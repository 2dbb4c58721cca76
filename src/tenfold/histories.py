"""What a study came to, as plain values: what tables, pictures and choices are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

TrialState = Literal["finished", "pruned", "failed", "running"]
HIGHER_IS_BETTER: Mapping[str, bool] = {"accuracy": True, "log_loss": False, "latency": False}


@dataclass(frozen=True)
class StudyTrial:
    """One trial of a study.

    Args:
        number: From 0, in the order in which trials began.
        state: What became of it.
        drawn: By parameter the value that was searched.
        params: Complete parameters; empty when they broke a rule.
        values: One for each objective; empty unless finished.
        steps: What it reported on the way, by epoch, as the first objective.
        reason: One line that says why it was pruned or failed.
        scores: Everything it was judged by: accuracy, log_loss, perhaps latency (microseconds
            an image).
        is_start: Whether its parameters are those without tuning.
        duration_s: Seconds from its begin to its end; None while it runs.
    """

    number: int
    state: TrialState
    drawn: Mapping[str, Any]
    params: Mapping[str, Any]
    values: tuple[float, ...]
    steps: Mapping[int, float]
    reason: str | None
    scores: Mapping[str, float]
    is_start: bool
    duration_s: float | None

    @property
    def label(self) -> str:
        """What was searched, for people, for example ``C=12.3, kernel=rbf``."""
        return label_of(self.drawn)


@dataclass(frozen=True)
class StudyHistory:
    """All trials of a study that count.

    Args:
        name: The study's name.
        model: The registered name or dotted path of the model.
        title: The model's name for people.
        objectives: What a trial is judged by.
        space: By searched parameter its values, for people.
        log_scales: The parameters of which the logarithm is searched.
        n_trials: How many trials were asked for.
        trials: In the order in which they began.
        importances: By parameter its share of what varied the first objective, 0 to 1; empty
            where too few trials finished to say it.
    """

    name: str
    model: str
    title: str
    objectives: tuple[str, ...]
    space: Mapping[str, str]
    log_scales: frozenset[str]
    n_trials: int
    trials: tuple[StudyTrial, ...]
    importances: Mapping[str, float] = field(default_factory=dict)

    def of(self, *states: TrialState) -> tuple[StudyTrial, ...]:
        """Return the trials in some states."""
        return tuple(trial for trial in self.trials if trial.state in states)

    @property
    def best(self) -> StudyTrial | None:
        """The finished trial that does best by the first objective.

        Of equals it is the one with the lower log loss, then the earlier one.
        """
        finished = self.of("finished")
        return max(finished, key=self._standing) if finished else None

    @property
    def front(self) -> tuple[StudyTrial, ...]:
        """The finished trials that no other is as good as everywhere, by the first objective."""
        finished = sorted(self.of("finished"), key=self.goodness, reverse=True)
        kept: list[StudyTrial] = []
        for trial in finished:
            good = self.goodness(trial)
            if not any(_beats(self.goodness(other), good) for other in kept):
                kept.append(trial)
        return tuple(kept)

    @property
    def start(self) -> StudyTrial | None:
        """The trial of the parameters without tuning, if it finished."""
        return next((trial for trial in self.of("finished") if trial.is_start), None)

    def goodness(self, trial: StudyTrial) -> tuple[float, ...]:
        """Return a finished trial's values with signs such that higher is better."""
        return tuple(
            value if HIGHER_IS_BETTER[name] else -value
            for name, value in zip(self.objectives, trial.values, strict=True)
        )

    def _standing(self, trial: StudyTrial) -> tuple[float, float]:
        return self.goodness(trial)[0], -trial.scores.get("log_loss", 0.0)


def label_of(drawn: Mapping[str, Any]) -> str:
    """Return parameters for people, numbers with four digits.

    >>> label_of({"C": 12.34567, "kernel": "rbf"})
    'C=12.35, kernel=rbf'
    """
    return ", ".join(f"{name}={_short(value)}" for name, value in drawn.items())


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Say whether one is at least as good everywhere, the earlier of equals included."""
    return all(mine >= theirs for mine, theirs in zip(one, other, strict=True))


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
