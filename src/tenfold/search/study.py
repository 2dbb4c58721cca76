"""A study: one model's trials on one data set, asked for and told, each parameter set once."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from tenfold._optional import require
from tenfold.config import canonical_params
from tenfold.errors import ConfigError, StudyError
from tenfold.histories import HIGHER_IS_BETTER, StudyHistory
from tenfold.models import Range
from tenfold.records import canonical_json
from tenfold.search import keeping
from tenfold.search.plan import Asked, StudyPlan
from tenfold.search.sampling import make_pruner, make_sampler
from tenfold.search.space import combinations, draw, encoded, size_of, start_of
from tenfold.search.storage import StudyStorage

Answer = TypeVar("Answer")
_IDENTITY = "tenfold"
_LONGEST_TOLD = 60
_MOST_COMBINATIONS = 10_000
_TWINS_BEFORE_LISTING = 1
_MOST_TWINS = 50
_LEAST_VALUES = 4


class Study:
    """A study that is asked for trials and told what became of them, by any number of processes.

    Args:
        plan: What it is of.
        storage: Where it is kept.
        owner: Names this process in the trials that it runs.
        more: So many trials more than there are; None: as many in all as the plan says.

    Attributes:
        n_trials: Trials of the whole study.
        exhausted: Why the space gives nothing more to try; empty while it may.

    Raises:
        StudyError: The storage has a study of something else under this name.
        StorageError: The storage went away and did not come back; also from every method.
    """

    def __init__(
        self, plan: StudyPlan, storage: StudyStorage, *, owner: str, more: int | None = None
    ) -> None:
        self.plan, self.owner = plan, owner
        self.exhausted = ""
        self._broken: str | None = None  # the rule that the last draw broke
        self._storage = storage
        self._running: set[int] = set()
        self._study: Any = self._alone(self._opened)
        there = sum(keeping.counts(found) for found in storage.insist(self._trials))
        self.n_trials = plan.tune.n_trials if more is None else there + more

    def ask(self) -> Asked | None:
        """Return the next trial; None when enough are done or under way, or none is left to try."""
        return self._alone(self._ask)

    def is_hopeless(self, asked: Asked, step: int, value: float, *, is_last: bool) -> bool:
        """Note what a trial reports at a step; say whether it should end there.

        The trial that the search begins with never should: the others are compared with it. Any
        should where another process has taken it for lost and queued it again.

        Args:
            asked: The trial.
            step: From 1.
            value: As the first objective.
            is_last: Whether the trial ends there anyway.
        """
        if len(self.plan.tune.objectives) > 1:
            return False
        try:
            self._storage.insist(lambda: asked.trial.report(value, step))
            # Asked of each: the answer also notes how far the trial came.
            is_bad = not is_last and bool(self._storage.insist(asked.trial.should_prune))
        except require("optuna").exceptions.UpdateFinishedTrialError:
            return True
        return is_bad and keeping.START not in asked.trial.user_attrs

    def finish(self, asked: Asked, scores: Mapping[str, float]) -> None:
        """Note what a finished trial is judged by: accuracy, log_loss, perhaps latency."""
        self._storage.insist(lambda: self._finish(asked.number, scores))

    def prune(self, asked: Asked, reason: str) -> None:
        """Note that a trial was given up."""
        self._storage.insist(lambda: self._tell(asked.number, "PRUNED", {keeping.REASON: reason}))

    def fail(self, asked: Asked, reason: str) -> None:
        """Note that a trial failed."""
        self._storage.insist(lambda: self._tell(asked.number, "FAIL", {keeping.REASON: reason}))

    def queue_again(self, asked: Asked, reason: str) -> None:
        """Queue a trial that was not brought to its end, and close it."""
        self._alone(lambda: self._queue_again(asked.number, reason))

    def release_stale(
        self,
        is_alive: Callable[[str], bool],
        scores_of: Callable[[Mapping[str, Any]], Mapping[str, float] | None],
    ) -> int:
        """Close the trials whose process is gone: told where they are finished, else queued again.

        Args:
            is_alive: Says whether an owner lives.
            scores_of: Gives the scores of complete parameters that are finished, None of others.

        Returns:
            How many trials others run.
        """

        def released() -> int:
            others = 0
            for found in self._trials():
                owner = found.user_attrs.get(keeping.OWNER)
                if not keeping.is_running(found) or found.number in self._running:
                    continue
                if owner not in (None, self.owner) and is_alive(owner):
                    others += 1
                elif scores := self._scores_of(found, scores_of):
                    self._finish(found.number, scores)
                else:
                    self._queue_again(found.number, "its process ended")
            return others

        return self._alone(released)

    @property
    def is_full(self) -> bool:
        """Whether all trials are done or under way, or none is left to try."""
        there = sum(keeping.counts(found) for found in self._storage.insist(self._trials))
        return bool(self.exhausted) or there >= self.n_trials

    def beat(self, beats: int) -> None:
        """Show that this process lives, to those that cannot see its locks."""
        self._storage.insist(lambda: self._study.set_user_attr(self.owner, beats))

    def beats_of(self, owner: str) -> int:
        """Return how often another process has shown that it lives."""
        attributes = self._storage.insist(lambda: self._study.user_attrs)
        return int(attributes.get(owner, 0))

    def history(self) -> StudyHistory:
        """Return all trials that count."""
        plan = self.plan
        found = self._storage.insist(self._trials)
        return StudyHistory(
            name=plan.name,
            model=plan.model,
            title=plan.title,
            objectives=plan.tune.objectives,
            space=plan.shown_space,
            log_scales=frozenset(
                name for name, part in plan.space.items() if isinstance(part, Range) and part.log
            ),
            n_trials=self.n_trials,
            trials=tuple(keeping.to_study_trial(trial) for trial in found if keeping.counts(trial)),
        )

    def importances(self) -> Mapping[str, float]:
        """Return each parameter's share of what varied the first objective, by fANOVA.

        Hutter, Hoos and Leyton-Brown 2014, "An efficient approach for assessing hyperparameter
        importance". Empty where too few trials finished, or all came to the same.
        """
        optuna = require("optuna")
        values = {trial.values[0] for trial in self.history().of("finished")}
        if len(values) < _LEAST_VALUES:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self.plan.seed)
        found: Mapping[str, float] = self._storage.insist(
            lambda: optuna.importance.get_param_importances(
                self._study, evaluator=evaluator, target=lambda trial: trial.values[0]
            )
        )
        return dict(found)

    def _alone(self, action: Callable[[], Answer]) -> Answer:
        """Do something while no other process asks this study or closes its trials."""

        def locked() -> Answer:
            with self._storage.locked(self.plan.name):
                return action()

        return self._storage.insist(locked)

    def _trials(self) -> Sequence[Any]:
        """Return Optuna's trials, also those that do not count."""
        found: Sequence[Any] = self._study.get_trials(deepcopy=False)
        return found

    def _opened(self) -> Any:
        plan = self.plan
        study = require("optuna").create_study(
            study_name=plan.name,
            storage=self._storage.backend,
            directions=[
                "maximize" if HIGHER_IS_BETTER[name] else "minimize"
                for name in plan.tune.objectives
            ],
            pruner=make_pruner(plan),
            load_if_exists=True,
        )
        begun, is_empty = study.user_attrs.get(_IDENTITY), not study.get_trials(deepcopy=False)
        if begun is not None:
            _check_same(plan, begun, self._storage.shown)
        elif is_empty:
            study.set_user_attr(_IDENTITY, plan.identity)
        else:
            raise StudyError(
                f"study {plan.name!r} in {self._storage.shown} was not made by tenfold; "
                "give another --study-name"
            )
        # What an own estimator's defaults are, nobody knows here.
        if is_empty and ":" not in plan.model:
            start = start_of(plan.space, plan.base)
            kept = {keeping.START: start.is_untuned, keeping.INSTEAD: dict(start.instead)}
            study.enqueue_trial(dict(start.drawn), user_attrs=kept)
        return study

    def _ask(self) -> Asked | None:
        self._close_lost()
        twins = 0
        while not self.exhausted:
            trials = self._trials()
            if sum(keeping.counts(found) for found in trials) >= self.n_trials:
                break
            if twins >= _TWINS_BEFORE_LISTING:
                self._queue_untried(trials)
                if twins >= _MOST_TWINS and not self.exhausted:
                    self.exhausted = f"{twins} draws in a row were tried already or break a rule"
            if (
                self.exhausted
                and self._broken is not None
                and (twins >= _MOST_TWINS or not any(keeping.counts(found) for found in trials))
            ):
                raise StudyError(
                    f"study {self.plan.name!r}: {twins} draws in a row break a rule, the last: "
                    f"{self._broken}; give a space in which most values are allowed"
                )
            asked = None if self.exhausted else self._drawn(trials)
            if asked is not None:
                return asked
            twins += 1
        return None

    def _drawn(self, trials: Sequence[Any]) -> Asked | None:
        """Draw a trial's parameters; None where another trial has the same or a rule is broken."""
        plan = self.plan
        self._study.sampler = make_sampler(plan.tune, plan.space, seed=plan.seed + len(trials))
        trial = self._study.ask()
        trial.set_user_attr(keeping.OWNER, self.owner)
        drawn = draw(plan.space, plan.base, trial) | trial.user_attrs.get(keeping.INSTEAD, {})
        params, broken = self._checked(drawn)
        self._broken = broken
        if broken is not None:
            self._tell(trial.number, "FAIL", {keeping.UNCOUNTED: broken})
            return None
        recipe = keeping.recipe_of(params)
        for found in trials:
            if keeping.counts(found) and found.user_attrs.get(keeping.RECIPE) == recipe:
                reason = f"drew the parameters of trial {found.number}"
                self._tell(trial.number, "FAIL", {keeping.UNCOUNTED: reason})
                return None
        trial.set_user_attr(keeping.RECIPE, recipe)
        trial.set_user_attr(keeping.PARAMS, params)
        self._running.add(trial.number)
        return Asked(trial.number, params, drawn, trial)

    def _checked(self, drawn: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
        """Return the whole parameters of what was drawn, and which rule they break."""
        given = {**self.plan.base, **drawn}
        try:
            return canonical_params(self.plan.model, given), None
        except ConfigError as error:
            return given, error.problems[0]

    def _queue_untried(self, trials: Sequence[Any]) -> None:
        """Queue a parameter set that nobody tried, where the space is small enough to list.

        Those that break a rule are left out.
        """
        plan, size = self.plan, size_of(self.plan.space)
        if size is None or size > _MOST_COMBINATIONS:
            return
        tried = {f.user_attrs.get(keeping.RECIPE) for f in trials if keeping.counts(f)}
        untried = []
        for drawn in combinations(plan.space, plan.base):
            params, broken = self._checked(drawn)
            if broken is None and keeping.recipe_of(params) not in tried:
                untried.append(drawn)
        self.exhausted = "" if untried else "every parameter set was tried"
        if untried:
            chosen = random.Random(plan.seed + len(trials)).choice(untried)  # noqa: S311 no secret
            self._study.enqueue_trial({name: encoded(value) for name, value in chosen.items()})

    def _close_lost(self) -> None:
        """Close what this process left half-made when the storage went away as it asked."""
        for found in self._trials():
            lost = found.user_attrs.get(keeping.OWNER) in (None, self.owner)
            if keeping.is_running(found) and lost and found.number not in self._running:
                self._queue_again(found.number, "the storage went away as it began")

    def _queue_again(self, number: int, reason: str) -> None:
        trials = self._trials()
        left = _numbered(trials, number)
        fixed = {**left.system_attrs.get("fixed_params", {}), **left.params}
        kept = {n: v for n, v in left.user_attrs.items() if n in (keeping.START, keeping.INSTEAD)}
        queued = [f.system_attrs.get("fixed_params") for f in trials if keeping.is_waiting(f)]
        # Queued before it is closed: a process killed in between loses nothing.
        if fixed and fixed not in queued:
            self._study.enqueue_trial(fixed, user_attrs=kept)
            self.exhausted = ""
        self._tell(number, "FAIL", {keeping.UNCOUNTED: f"{reason}; queued again"})

    @staticmethod
    def _scores_of(
        found: Any, scores_of: Callable[[Mapping[str, Any]], Mapping[str, float] | None]
    ) -> Mapping[str, float] | None:
        params = found.user_attrs.get(keeping.PARAMS)
        return None if params is None else scores_of(params)

    def _finish(self, number: int, scores: Mapping[str, float]) -> None:
        values = [scores[name] for name in self.plan.tune.objectives]
        self._tell(number, "COMPLETE", {keeping.SCORES: dict(scores)}, values)

    def _tell(
        self,
        number: int,
        state: str,
        kept: Mapping[str, Any],
        values: Sequence[float] | None = None,
    ) -> None:
        found = _numbered(self._trials(), number)
        if not found.state.is_finished():
            for name, value in kept.items():
                # Optuna's own way to do it is for the process alone that asked for the trial.
                self._storage.backend.set_trial_user_attr(found._trial_id, name, value)  # noqa: SLF001
            states = require("optuna").trial.TrialState
            self._study.tell(number, values, state=states[state], skip_if_finished=True)
        self._running.discard(number)


def _numbered(trials: Sequence[Any], number: int) -> Any:
    return next(found for found in trials if found.number == number)


def _check_same(plan: StudyPlan, begun: Mapping[str, Any], storage: str) -> None:
    """Refuse to go on with a study of something else."""
    differing = [
        text
        for name, value in plan.identity.items()
        for text in _differences(name, begun.get(name), value)
    ]
    if differing:
        raise StudyError(
            f"study {plan.name!r} in {storage} is one of something else: {'; '.join(differing)}; "
            "give another --study-name, or the same settings as then"
        )


def _differences(name: str, then: Any, now: Any) -> Iterator[str]:
    """Yield what differs, of two mappings entry by entry."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for part in dict.fromkeys([*then, *now]):
            yield from _differences(f"{name}: {part}", then.get(part), now.get(part))
    elif canonical_json(then) != canonical_json(now):
        yield f"{name} {_told(then)}, now {_told(now)}"


def _told(value: Any) -> str:
    text = value if isinstance(value, str) else canonical_json(value)
    return repr(text if len(text) <= _LONGEST_TOLD else f"{text[:_LONGEST_TOLD]}…")
