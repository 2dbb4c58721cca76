"""A search: one study's trials, each run as any other trial is, judged, pruned and told."""

from __future__ import annotations

import math
import shutil
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from tenfold.config import ModelEntry, TuneConfig, canonical_params
from tenfold.costs import estimate_cost
from tenfold.errors import StorageError, TrialError, TrialPrunedError
from tenfold.evaluation import RANKINGS
from tenfold.histories import StudyHistory, StudyTrial, label_of
from tenfold.models import Range, Space, get_spec
from tenfold.records import FitUnit, Trial, TrialResult
from tenfold.runner import NullObserver, Observer
from tenfold.search import Asked, Study, StudyPlan, StudyStorage, Watch, owner_name
from tenfold.workbench import Workbench, local_executor
from tenfold.worker import Caller

#: What a fit reports after each step, by the objective that it stands for; a loss is reported
#: before calibration, which a trial has at its end.
_REPORTED = {"accuracy": "val_accuracy", "log_loss": "val_loss"}
_LOOK_S = 2.0


class StudyObserver(Observer, Protocol):
    """Is told what happens, and how a study stands."""

    def begun(self, history: StudyHistory) -> None:
        """Say where a study stands before the first trial of this process."""
        ...

    def judged(self, history: StudyHistory, number: int) -> None:
        """Say how a study stands after one of its trials ended.

        Args:
            history: All trials so far.
            number: The trial that ended.
        """
        ...


class NullStudyObserver(NullObserver):
    """Tells nobody."""

    def begun(self, history: StudyHistory) -> None:
        """Do nothing."""

    def judged(self, history: StudyHistory, number: int) -> None:
        """Do nothing."""


def plan_study(workbench: Workbench, entry: ModelEntry, space: Space) -> StudyPlan:
    """Return what the study of one model of a configuration is of.

    Args:
        workbench: Has the configuration and the data.
        entry: The model.
        space: What is searched.
    """
    config = workbench.config
    tune = config.tune or TuneConfig()
    name = tune.study_name or config.name
    base = canonical_params(entry.model, entry.params)
    counted = None if entry.is_own_estimator else get_spec(entry.model).steps
    return StudyPlan(
        name=name if len(config.models) == 1 else f"{name}-{entry.model}",
        model=entry.model,
        title=_title(entry),
        base=base,
        space=space,
        tune=tune,
        seed=config.seed,
        fingerprint=workbench.dataset.fingerprint,
        split=workbench.split.key,
        steps=0 if counted is None else _most_steps(counted, base, space),
        report_every=1 if entry.is_own_estimator else get_spec(entry.model).report_every,
        cross_validated=workbench.split.cross_validated,
        source_sha256=workbench.runner.payload["sources"].get(entry.model, ""),
    )


class Search:
    """Runs the trials that a study asks for.

    Args:
        workbench: The experiment that it belongs to.
        plan: What the study is of.
        storage: Where it is kept.
        observer: Is told what happens.
        more: So many trials more than there are; None: as many in all as the plan says.

    Attributes:
        ended: What this process's trials came to, without their predictions.

    Raises:
        StudyError: The storage has a study of something else under this name.
    """

    def __init__(
        self,
        workbench: Workbench,
        plan: StudyPlan,
        storage: StudyStorage,
        observer: StudyObserver,
        *,
        more: int | None = None,
    ) -> None:
        self._is_timed = "latency" in plan.tune.objectives
        self.workbench = workbench.timed() if self._is_timed else workbench
        self.plan, self._observer = plan, observer
        owner = owner_name(workbench.workspace, workbench.lock)
        self._study = Study(plan, storage, owner=owner, more=more)
        self._watch = Watch(self._study, workbench.workspace)
        self._runs = dict(workbench.tracker.finished())
        self._deadline = math.inf
        self.ended: list[TrialResult] = []

    def run(self) -> StudyHistory:
        """Run trials until the study has as many as it should, and none is left under way.

        Returns:
            What is known of the study; without trials where there was no time for one.

        Raises:
            TrialError: Not one trial of the study finished.
            TenfoldError: The workspace, the tracker or the storage failed.
        """
        self._set_deadline()
        self._observer.begun(self._study.history())
        if self.plan.wants_pruning and self.plan.cross_validated:
            self._observer.said(
                f"study {self.plan.name}: no trial is ended early, since fewer than "
                f"{self.workbench.config.dataset.cv_below:,} images (dataset.cv_below) are "
                "cross-validated"
            )
        with self._watch.watching():
            self._run_all()
        history = self._study.history()
        if self._study.exhausted:
            self._observer.said(f"study {self.plan.name}: {self._study.exhausted}")
        if not history.trials:
            self._observer.said(f"study {self.plan.name}: the time was up before its first trial")
            return history
        if history.best is None:
            reasons = [trial.reason for trial in history.trials if trial.reason]
            raise TrialError(
                f"not one of {len(history.trials)} trials of study {self.plan.name!r} finished"
                + (f"; the first: {reasons[0]}" if reasons else "")
            )
        return replace(history, importances=self._study.importances())

    def result_of(self, trial: StudyTrial) -> TrialResult:
        """Return what a finished trial came to; where that is lost, run it again."""
        unit = self._unit(trial.params, trial.label)
        known = {**self.workbench.tracker.finished(), **self._runs}
        found = self.workbench.sweep.read(unit, known)
        return found or self.workbench.sweep.fit(unit.trials)[0]

    def _set_deadline(self) -> None:
        """Begin to count the time in which trials may start; the experiment's ends it, too."""
        timeout_s, whole = self.plan.tune.timeout_s, self.workbench.runner.deadline
        own = math.inf if timeout_s is None else time.monotonic() + timeout_s
        self._deadline = min(own, math.inf if whole is None else whole)

    def _is_over(self) -> bool:
        return time.monotonic() >= self._deadline

    def _run_all(self) -> None:
        """Run trials, and those that other processes lose, until none is left to run."""
        said = False
        while not self._is_over():
            others = self._study.release_stale(self._watch.is_alive, self._scores_of)
            if not self._study.is_full:
                for _ in self.workbench.sweep.executor.run(self._lanes(), self._lane):
                    pass
            elif not others:
                return
            else:  # they may fail to end what they run
                if not said:
                    self._observer.said(
                        f"study {self.plan.name}: waiting for {others} trials of other processes"
                    )
                    said = True
                threading.Event().wait(_LOOK_S)

    def _lanes(self) -> list[FitUnit]:
        """Return one unit for each fit at the same time; a lane runs trial after trial.

        So a worker process lives as long as the search, with its libraries and data loaded. Where
        the latency is measured there is one: a fit beside it would count.
        """
        most = 1 if self._is_timed else local_executor(self.workbench.config).most_at_once
        lanes = min(most, self._study.n_trials)
        unit = self._unit(self.plan.base, "search")
        unit = replace(unit, cost=estimate_cost(unit, self.workbench.sweep.size))
        return [replace(unit, keys=(f"search-{lane}",)) for lane in range(lanes)]

    def _lane(self, unit: FitUnit, caller: Caller) -> tuple[TrialResult, ...]:  # noqa: ARG002
        """Run trials until the study has no more; the signature is an executor's."""
        while not self._is_over() and (asked := self._study.ask()) is not None:
            self._try(asked, caller)
        return ()

    def _try(self, asked: Asked, caller: Caller) -> None:
        """Run one trial, or take it from the tracker, and tell the study."""
        unit = self._unit(asked.params, label_of(asked.drawn))
        observer = _Pruning(self._observer, self._study, asked)
        try:
            result = self.workbench.sweep.read(unit, self._runs)
            if result is None:
                runner = replace(self.workbench.runner, observer=observer)
                executor = self.workbench.sweep.executor
                (result,) = executor.within(unit, lambda: runner(unit, caller))
            else:  # what is remembered is judged as if it were run
                steps = [int(told.get("step", at)) for at, told in enumerate(result.history, 1)]
                for step, metrics in zip(steps, result.history, strict=True):
                    observer.judge(step, steps[-1], metrics)
        except TrialPrunedError as error:
            self._study.prune(asked, str(error))
            shutil.rmtree(self.workbench.workspace.checkpoints / unit.keys[-1], ignore_errors=True)
            result = TrialResult(unit.trials[0], unit.keys[0], "failed", error=str(error))
            self._observer.ended(unit, ())
        except BaseException:
            with suppress(StorageError):  # the first error is the one to tell
                self._study.queue_again(asked, "was interrupted")
            raise
        else:
            self._tell(asked, result)
        self.ended.append(replace(result, predictions=None, views=None))
        history = self._study.history()
        if any(trial.number == asked.number for trial in history.trials):
            self._observer.judged(history, asked.number)

    def _tell(self, asked: Asked, result: TrialResult) -> None:
        whole = self.workbench.runner.deadline
        if result.status == "finished":
            self._runs[result.key] = result.run_id
            self._study.finish(asked, self._scores(result))
        elif whole is not None and time.monotonic() >= whole:
            self._study.queue_again(asked, "the experiment's time was up")
        else:
            self._study.fail(asked, result.error or "failed without a reason")

    def _scores(self, result: TrialResult) -> dict[str, float]:
        assert result.predictions is not None, "a finished trial has predictions"
        assert result.predictions.validation is not None, "a train fit has validation predictions"
        select = self.workbench.split.select
        labels, given = (
            self.workbench.validation_labels[select],
            result.predictions.validation[select],
        )
        scores = {
            "accuracy": RANKINGS["accuracy"](labels, given),
            "log_loss": -RANKINGS["log_loss"](labels, given),
        }
        latency = result.latency_us_per_image
        return scores if latency is None else {**scores, "latency": latency}

    def _scores_of(self, params: Mapping[str, Any]) -> Mapping[str, float] | None:
        """Return the scores of parameters whose trial is finished although its process is gone."""
        self._runs = {**self.workbench.tracker.finished(), **self._runs}
        found = self.workbench.sweep.read(self._unit(params, ""), self._runs)
        return None if found is None else self._scores(found)

    def _unit(self, params: Mapping[str, Any], label: str) -> FitUnit:
        config = self.workbench.config
        trial = Trial(
            model=self.plan.model,
            params=params,
            title=self.plan.title,
            label=label,
            seed=config.seed,
            timeout_s=self._timeout_s(),
        )
        return self.workbench.sweep.unit(trial)

    def _timeout_s(self) -> float | None:
        own = [e.timeout_s for e in self.workbench.config.models if e.model == self.plan.model]
        return own[0] or self.workbench.config.timeout_s


@dataclass(frozen=True)
class _Pruning:
    """Passes everything on, and ends a trial that its study gives up."""

    inner: Observer
    study: Study
    asked: Asked
    _seen: set[int] = field(default_factory=set)

    def planned(self, trials: int, *, reused: int) -> None:
        """Pass it on."""
        self.inner.planned(trials, reused=reused)

    def started(self, unit: FitUnit) -> None:
        """Pass it on."""
        self.inner.started(unit)

    def stepped(self, unit: FitUnit, step: int, steps: int, metrics: Mapping[str, float]) -> None:
        """Pass it on; raise where the trial is hopeless.

        Raises:
            TrialPrunedError: It is.
        """
        self.inner.stepped(unit, step, steps, metrics)
        self.judge(step, steps, metrics)

    def judge(self, step: int, steps: int, metrics: Mapping[str, float]) -> None:
        """Let the study note a step; raise where the trial is hopeless.

        Raises:
            TrialPrunedError: It is.
        """
        value = metrics.get(_REPORTED[self.study.plan.tune.objectives[0]])
        if value is None or step in self._seen:
            return
        self._seen.add(step)
        if self.study.is_hopeless(self.asked, step, value, is_last=step >= steps):
            raise TrialPrunedError(f"pruned at step {step}")

    def ended(self, unit: FitUnit, results: tuple[TrialResult, ...]) -> None:  # noqa: ARG002
        """Pass it on without the results, which are told when they are judged."""
        self.inner.ended(unit, ())

    def said(self, text: str) -> None:
        """Pass it on."""
        self.inner.said(text)


def _most_steps(counted: str, base: Mapping[str, Any], space: Space) -> int:
    """Return how many epochs or trees a trial has at most."""
    searched = space.get(counted)
    if searched is None:
        return int(base[counted])
    return int(searched.high if isinstance(searched, Range) else max(searched.values))


def _title(entry: ModelEntry) -> str:
    return entry.model.partition(":")[2] if entry.is_own_estimator else get_spec(entry.model).title
