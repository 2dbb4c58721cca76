"""One fit unit in this process: plain values in, `trial.json` and `predictions.npz` out."""

from __future__ import annotations

import functools
import inspect
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tenfold._optional import require
from tenfold.config import DatasetConfig
from tenfold.data import Dataset, Round, Split, load_dataset, make_split
from tenfold.errors import CorruptDataError, PredictionError
from tenfold.heap import give_back
from tenfold.models import Calibrator, build_model, fit_calibrator, gives_margins
from tenfold.outcomes import Fitted, Outcome, outcome_of_folds, outcomes_of, scores_of_each
from tenfold.records import Floats, Numerics, Predictions, Trial, Views, fault_of, from_text

#: Raised when what a worker computes from a fit changes: older results are not reused then.
FITTING_VERSION = 4

#: What `read_folder` reads; the first is complete when the others are.
TRIAL_FILES = ("trial.json", "predictions.npz", "views.npz")

OnEvent = Callable[[Mapping[str, Any]], None]


def open_split(config: DatasetConfig, data_dir: Path | None) -> tuple[Dataset, Split]:
    """Load a data set and split it, as every process of an experiment does.

    Args:
        config: Which data, and how it is split.
        data_dir: Where data sets lie; None: the user's cache.

    Raises:
        UsageError: The data cannot be used as it is.
    """
    dataset = load_dataset(
        config.source,
        target=config.target,
        label_column=config.label_column,
        group_column=config.group_column,
        image_shape=config.image_shape,
        data_dir=data_dir,
        max_images=config.max_images,
    )
    split = make_split(
        dataset,
        validation_fraction=config.validation_fraction,
        test_fraction=config.test_fraction,
        cv_below=config.cv_below,
        cv_folds=config.cv_folds,
        cv_repeats=config.cv_repeats,
    )
    return dataset, split


def prepare(payload: Mapping[str, Any], on_event: OnEvent) -> Mapping[str, Any]:  # noqa: ARG001
    """Load what `fit_unit` needs, so that a trial's time limit counts the fit alone.

    Args:
        payload: As for `fit_unit`.
        on_event: Is given nothing.

    Returns:
        ``{"fingerprint": ...}`` of the data set that it found.

    Raises:
        UsageError: The data or a model cannot be used as it is.
    """
    dataset, _ = _data_of(payload)
    for fields in payload["trials"]:
        model = fields["model"]
        build_model(model, fields["params"], source_sha256=payload["sources"].get(model))
    return {"fingerprint": dataset.fingerprint}


def fit_unit(payload: Mapping[str, Any], on_event: OnEvent) -> Mapping[str, Any]:
    """Fit the trials of a unit and write each one's folder below ``payload["folder"]``.

    Args:
        payload: ``dataset`` (fields of `DatasetConfig`), ``data_dir``, ``fingerprint``,
            ``sources`` (by own estimator the SHA-256 of its source), ``numerics``, ``trials``
            (fields of `Trial`), ``keys``, ``bases`` (for refits, the ``trial.json`` of the train
            fits; of cross-validation alone also ``held``, the held-out probabilities as text),
            ``folder``, ``checkpoints`` (the folder below which the unit's trainings keep their
            state, by the key of its last trial), ``graphs`` (the folder below which each trial's
            graph is written), perhaps ``folds_only``: whether cross-validation is all that is done,
            and no test row predicted, and ``timed``: whether the latency is measured.
        on_event: Is given ``{"key", "step", "steps", "metrics"}`` as the fits go on, once for each
            trial that is not ready, and ``{"key", "done": true}`` when its folder is complete.

    Returns:
        ``{"folders": [...]}``, one for each trial.

    Raises:
        CorruptDataError: The data are not those that the experiment began with.
        PredictionError: A model gives probabilities that cannot be kept.
    """
    dataset, split = _data_of(payload)
    if dataset.fingerprint != payload["fingerprint"]:
        raise CorruptDataError(
            f"{dataset.source}: its content changed while the experiment ran; run it again"
        )
    keys = payload["keys"]
    folders = {key: Path(payload["folder"]) / key for key in keys}

    def keep(key: str, outcome: Outcome) -> None:
        outcome.write(folders[key], Path(payload["graphs"]) / key)
        on_event({"key": key, "done": True})

    numerics = Numerics(**payload["numerics"])
    bases = payload["bases"] or [None] * len(keys)
    unit = _Unit(
        rows=tuple(
            _Row(Trial(**fields), key, base)
            for fields, key, base in zip(payload["trials"], keys, bases, strict=True)
        ),
        split=split,
        numerics=numerics,
        sources=payload["sources"],
        checkpoints=Path(payload["checkpoints"]) / keys[-1],
        on_event=on_event,
        keep=keep,
        folds_only=payload.get("folds_only", False),
        timed=payload.get("timed", False),
    )
    with require("threadpoolctl").threadpool_limits(numerics.threads):
        if payload["bases"]:
            unit.refit()
        else:
            unit.train()
    return {"folders": [str(folder) for folder in folders.values()]}


def read_folder(folder: Path) -> tuple[dict[str, Any], Predictions, Views | None]:
    """Return a finished trial's record, predictions and, of some networks, views."""
    record = json.loads((folder / "trial.json").read_text(encoding="utf-8"))
    views = folder / "views.npz"
    found = Views.read(views) if views.exists() else None
    return record, Predictions.read(folder / "predictions.npz"), found


def _data_of(payload: Mapping[str, Any]) -> tuple[Dataset, Split]:
    """Return the data, read once more where what is remembered is not what is wanted."""
    asked = json.dumps(payload["dataset"]), payload["data_dir"]
    if _opened(*asked)[0].fingerprint != payload["fingerprint"]:
        _opened.cache_clear()
    return _opened(*asked)


@functools.lru_cache(maxsize=1)
def _opened(config: str, data_dir: str | None) -> tuple[Dataset, Split]:
    return open_split(DatasetConfig(**json.loads(config)), (data_dir and Path(data_dir)) or None)


@dataclass(frozen=True, eq=False)
class _Row:
    """One trial of a unit, and what its rounds have said so far."""

    trial: Trial
    key: str
    base: Mapping[str, Any] | None
    scores: list[Floats] = field(default_factory=list)
    chosen: list[Mapping[str, Any]] = field(default_factory=list)
    rounds: list[Mapping[str, float]] = field(default_factory=list)


_Ready = Sequence[tuple[_Row, Fitted]]


@dataclass(frozen=True, eq=False)
class _Unit:
    """The trials of a unit on one split."""

    rows: tuple[_Row, ...]
    split: Split
    numerics: Numerics
    sources: Mapping[str, str]
    checkpoints: Path
    on_event: OnEvent
    keep: Callable[[str, Outcome], None]
    folds_only: bool = False
    timed: bool = False

    def train(self) -> None:
        """Fit on the training rows; score the validation rows; predict the test rows."""
        split = self.split
        for number, part in enumerate(split.rounds, 1):
            self._fit(
                part.fit_rows,
                functools.partial(self._held_scored, part),
                name=f"round-{number}",
                held=part,
            )
            if split.cross_validated:
                for row in self.rows:
                    self._emit(row, number, len(split.rounds) + 1)
        if split.cross_validated and not self.folds_only:
            decided = {row.key: _agreed(row.chosen) for row in self.rows}
            self._fit(split.train, self._trained, name="final", decided=decided)

    def refit(self) -> None:
        """Repeat train fits' recipes on train and validation rows; predict the test rows."""
        rows = np.union1d(self.split.train, self.split.validation_rows)
        decided = {row.key: row.base["chosen"] for row in self.rows if row.base is not None}
        self._fit(rows, self._refitted, name="final", decided=decided)

    def _held_scored(self, part: Round, ready: _Ready) -> None:
        """Score the rows that a round held out; where it is the only one, finish its trials."""
        images = self.split.images[part.held_rows]
        estimators = [fit.estimator for _, fit in ready]
        started = time.perf_counter()
        scores = scores_of_each(estimators, images, len(self.split.class_names))
        score_s = time.perf_counter() - started
        give_back()
        for (row, fit), found in zip(ready, scores, strict=True):
            row.scores.append(found)
            row.chosen.append(dict(getattr(fit.estimator, "chosen_", {})))
            row.rounds.append({"fit_s": fit.fit_s, "score_s": score_s})
        if not self.split.cross_validated or (
            self.folds_only and len(ready[0][0].rounds) == len(self.split.rounds)
        ):
            self._trained(ready)

    def _trained(self, ready: _Ready) -> None:
        """Calibrate by the held-out scores and keep what the estimators answer."""
        split = self.split
        labels = split.labels[split.validation_rows]
        done = []
        for row, fit in ready:
            raw, margins = np.concatenate(row.scores), gives_margins(fit.estimator)
            if not margins:
                _check(row.trial, "validation", raw)
            calibrator = fit_calibrator(
                raw[split.calibrate],
                labels[split.calibrate],
                kind=None if margins else "probabilities",
            )
            found = replace(fit, chosen=_agreed(row.chosen), calibrator=calibrator)
            done.append((row, replace(found, validation=found.probabilities(raw))))
        self._keep(done)

    def _refitted(self, ready: _Ready) -> None:
        """Calibrate as the train fits were and keep what the estimators answer."""
        names, done = self.split.class_names, []
        for row, fit in ready:
            assert row.base is not None, "a refit repeats a train fit"
            held = row.base.get("held")
            found = replace(
                fit,
                chosen=row.base["chosen"],
                calibrator=Calibrator.from_dict(row.base["calibration"]),
                validation=None if held is None else from_text(held, n_classes=len(names)),
                limits=row.base["outlier"],
            )
            done.append((row, found))
        self._keep(done)

    def _keep(self, done: _Ready) -> None:
        for row, fit in done:
            if fit.validation is not None:
                _check(row.trial, "validation", fit.validation)
        outcomes = outcomes_of([fit for _, fit in done], self.split, timed=self.timed)
        if self.folds_only:
            outcomes = (outcome_of_folds(fit, self.split, row.rounds) for row, fit in done)
        for (row, _), outcome in zip(done, outcomes, strict=True):
            _check(row.trial, "test", outcome.predictions.test)
            self.keep(row.key, outcome)

    def _fit(
        self,
        fit_rows: np.ndarray[Any, Any],
        on_ready: Callable[[_Ready], None],
        *,
        name: str,
        held: Round | None = None,
        decided: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Fit an estimator for each row of the unit, and hand them on as they are ready."""
        split, watched = self.split, None
        estimators = [self._built(row, (decided or {}).get(row.key, {})) for row in self.rows]
        taken = inspect.signature(estimators[-1].fit).parameters
        # In cross-validation nobody is told of a step: what is watched serves to end a fit alone.
        watches = not split.cross_validated or any(_may_end_early(row.trial) for row in self.rows)
        if held is not None and "validation" in taken and watches:
            fit_rows, watched = split.stopping(held)
        owners = {id(one): row for one, row in zip(estimators, self.rows, strict=True)}
        keys = [row.key for row in self.rows]
        history: list[Mapping[str, float]] = []
        started, elsewhere_s = time.perf_counter(), 0.0

        def ready(found: Sequence[Any]) -> None:
            nonlocal elsewhere_s
            now = time.perf_counter()
            fit_s = now - started - elsewhere_s
            done = []
            for one in found:
                own = [report for report in history if report["step"] <= _steps_of(one)]
                earlier_s = float(getattr(one, "resumed_s_", 0.0))  # before it was taken up again
                fit = Fitted(one, fit_s + earlier_s, fit_rows, keys, own)
                done.append((owners[id(one)], fit))
            on_ready(done)
            elsewhere_s += time.perf_counter() - now

        *smaller, largest = estimators
        extra: dict[str, Any] = {}
        for hook in {"on_epoch", "on_trees"} & set(taken):
            lengths = [_steps_of(one) for one in estimators]
            extra[hook] = functools.partial(self._told, history, lengths)
        if "checkpoints" in taken:
            extra["checkpoints"] = self.checkpoints / name
        if watched is not None:
            extra["validation"] = split.images[watched], split.labels[watched]
        # No name holds the copies: they are gone when the fit is done.
        if smaller:
            extra |= {"smaller": smaller, "on_ready": ready}
            largest.fit_path(split.images[fit_rows], split.labels[fit_rows], **extra)
        else:
            largest.fit(split.images[fit_rows], split.labels[fit_rows], **extra)
            ready([largest])

    def _built(self, row: _Row, decided: Mapping[str, Any]) -> Any:
        trial, numerics = row.trial, self.numerics
        return build_model(
            trial.model,
            {**trial.params, **decided},
            image_shape=self.split.image_shape,
            seed=trial.seed,
            threads=numerics.threads,
            device=numerics.device,
            precision=numerics.precision,
            processes=numerics.processes,
            source_sha256=self.sources.get(trial.model),
        )

    def _told(
        self,
        history: list[Mapping[str, float]],
        lengths: Sequence[int],
        step: int,
        metrics: Mapping[str, float],
    ) -> None:
        """Note the report of a step, and pass it on for each trial that it is a step of."""
        report = {name: float(value) for name, value in metrics.items()}
        history.append({"step": step, **report})
        if not self.split.cross_validated:
            for row, steps in zip(self.rows, lengths, strict=True):
                if step <= steps:
                    self._emit(row, step, steps, report)

    def _emit(
        self, row: _Row, step: int, steps: int, metrics: Mapping[str, float] | None = None
    ) -> None:
        self.on_event(
            {"key": row.key, "step": step, "steps": steps, "metrics": dict(metrics or {})}
        )


def _may_end_early(trial: Trial) -> bool:
    return ":" in trial.model or trial.params.get("patience") is not None


def _steps_of(estimator: Any) -> int:
    """Return how many steps a fit has that reports after some; 0 of other fits."""
    return int(getattr(estimator, "epochs", 0) or getattr(estimator, "n_estimators", 0))


def _check(trial: Trial, rows: str, probabilities: Floats) -> None:
    """Refuse probabilities that nothing can be chosen by.

    Raises:
        PredictionError: One of the rows cannot be used.
    """
    fault = fault_of(probabilities)
    if fault is None:
        return
    if ":" in trial.model:
        advice = "look at what its predict_proba or decision_function returns"
    elif "learning_rate" in trial.params:
        rate = trial.params["learning_rate"]
        advice = f"its training went astray: try a learning_rate below {rate:g}"
    else:
        advice = "try other parameters"
    raise PredictionError(f"{trial.name}, {rows} rows: {fault}; {advice}")


def _agreed(chosen: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the median of what the rounds chose, for example of their epochs."""
    return {name: statistics.median_low([choice[name] for choice in chosen]) for name in chosen[0]}
