"""One fit unit in this process: plain values in, `trial.json` and `predictions.npz` out."""

from __future__ import annotations

import functools
import inspect
import json
import logging
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tenfold._optional import require
from tenfold.config import DatasetConfig
from tenfold.data import Dataset, Round, Split, load_dataset, make_split
from tenfold.errors import CorruptDataError, ExportError, ModelInputError
from tenfold.exporting import FitExport
from tenfold.files import write_text
from tenfold.graphs import FittedGraph
from tenfold.models import Calibrator, build_model, fit_calibrator, model_bytes
from tenfold.records import Floats, Numerics, Predictions, Trial, Views

logger = logging.getLogger(__name__)

#: Raised when what a worker computes from a fit changes: older results are not reused then.
FITTING_VERSION = 2

OnEvent = Callable[[Mapping[str, Any]], None]
_LEAST_SCORE = -1e6
_MOST_LOOKED_AT = 10


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
        Nothing.

    Raises:
        UsageError: The data or a model cannot be used as it is.
    """
    _opened(json.dumps(payload["dataset"]), payload["data_dir"])
    for fields in payload["trials"]:
        build_model(fields["model"], fields["params"])
    return {}


def fit_unit(payload: Mapping[str, Any], on_event: OnEvent) -> Mapping[str, Any]:
    """Fit the trials of a unit and write each one's folder below ``payload["folder"]``.

    Args:
        payload: ``dataset`` (fields of `DatasetConfig`), ``data_dir``, ``fingerprint``,
            ``numerics``, ``trials`` (fields of `Trial`), ``keys``, ``bases`` (for refits, the
            ``trial.json`` of the train fits), ``folder``, ``checkpoints`` (the folder below which
            each trial's trainings keep their state until they are done), ``graphs`` (the folder
            below which each trial's graph is written).
        on_event: Is given ``{"key", "step", "steps", "metrics"}`` as the fits go on.

    Returns:
        ``{"folders": [...]}``, one for each trial.

    Raises:
        CorruptDataError: The data are not those that the experiment began with.
    """
    dataset, split = _opened(json.dumps(payload["dataset"]), payload["data_dir"])
    if dataset.fingerprint != payload["fingerprint"]:
        raise CorruptDataError(
            f"{dataset.source}: its content changed while the experiment ran; run it again"
        )
    numerics = Numerics(**payload["numerics"])
    folders = []
    bases = payload["bases"] or [None] * len(payload["trials"])
    for fields, key, base in zip(payload["trials"], payload["keys"], bases, strict=True):
        folder = Path(payload["folder"]) / key
        task = _Task(
            Trial(**fields),
            split,
            numerics,
            checkpoints=Path(payload["checkpoints"]) / key,
            emit=functools.partial(_emit, on_event, key),
        )
        with require("threadpoolctl").threadpool_limits(numerics.threads):
            outcome = task.refit(base) if base else task.train()
        _write(folder, Path(payload["graphs"]) / key, outcome)
        folders.append(str(folder))
    return {"folders": folders}


def read_folder(folder: Path) -> tuple[dict[str, Any], Predictions, Views | None]:
    """Return a finished trial's record, predictions and, of some networks, views."""
    record = json.loads((folder / "trial.json").read_text(encoding="utf-8"))
    views = folder / "views.npz"
    found = Views.read(views) if views.exists() else None
    return record, Predictions.read(folder / "predictions.npz"), found


@functools.lru_cache(maxsize=1)
def _opened(config: str, data_dir: str | None) -> tuple[Dataset, Split]:
    return open_split(DatasetConfig(**json.loads(config)), (data_dir and Path(data_dir)) or None)


def _emit(
    on_event: OnEvent, key: str, step: int, steps: int, metrics: Mapping[str, float] | None = None
) -> None:
    on_event({"key": key, "step": step, "steps": steps, "metrics": dict(metrics or {})})


@dataclass(frozen=True)
class _Outcome:
    record: Mapping[str, Any]
    predictions: Predictions
    views: Views | None
    graph: FittedGraph | None


@dataclass(frozen=True)
class _Task:
    """One trial on one split."""

    trial: Trial
    split: Split
    numerics: Numerics
    checkpoints: Path
    emit: Callable[..., None]

    def train(self) -> _Outcome:
        """Fit on the training rows; score the validation rows; predict the test rows."""
        split = self.split
        history: list[Mapping[str, float]] = []
        scores: list[Floats] = []
        chosen: list[Mapping[str, Any]] = []
        started = time.perf_counter()
        for number, part in enumerate(split.rounds, 1):
            estimator = self._fitted(part.fit_rows, history, name=f"round-{number}", held=part)
            fit_s = time.perf_counter() - started + _earlier_s(estimator)
            scores.append(self._scores(estimator, split.images[part.held_rows]))
            chosen.append(dict(getattr(estimator, "chosen_", {})))
            if split.cross_validated:
                self.emit(number, len(split.rounds) + 1)
        decided = _agreed(chosen)
        if split.cross_validated:
            started = time.perf_counter()
            estimator = self._fitted(split.train, history, name="final", decided=decided)
            fit_s = time.perf_counter() - started + _earlier_s(estimator)
        raw = np.concatenate(scores)
        labels = split.labels[split.validation_rows]
        calibrator = None
        if _gives_margins(estimator):
            calibrator = fit_calibrator(raw[split.calibrate], labels[split.calibrate])
            raw = calibrator.probabilities(raw)
        return self._outcome(
            estimator,
            fit_s=fit_s,
            fit_rows=split.train,
            chosen=decided,
            calibrator=calibrator,
            limits=None,
            history=history,
            validation=raw,
        )

    def refit(self, base: Mapping[str, Any]) -> _Outcome:
        """Repeat a train fit's recipe on train and validation rows; predict the test rows."""
        rows = np.union1d(self.split.train, self.split.validation_rows)
        history: list[Mapping[str, float]] = []
        started = time.perf_counter()
        estimator = self._fitted(rows, history, name="final", decided=base["chosen"])
        fit_s = time.perf_counter() - started + _earlier_s(estimator)
        calibrator = Calibrator.from_dict(base["calibration"]) if base["calibration"] else None
        return self._outcome(
            estimator,
            fit_s=fit_s,
            fit_rows=rows,
            chosen=base["chosen"],
            calibrator=calibrator,
            limits=base["outlier"],
            history=history,
            validation=None,
        )

    def _fitted(
        self,
        rows: np.ndarray[Any, Any],
        history: list[Mapping[str, float]],
        *,
        name: str,
        held: Round | None = None,
        decided: Mapping[str, Any] | None = None,
    ) -> Any:
        split, trial, numerics = self.split, self.trial, self.numerics
        estimator = build_model(
            trial.model,
            {**trial.params, **(decided or {})},
            image_shape=split.image_shape,
            seed=trial.seed,
            threads=numerics.threads,
            device=numerics.device,
            precision=numerics.precision,
            processes=numerics.processes,
        )
        extra: dict[str, Any] = {}
        taken = inspect.signature(estimator.fit).parameters
        if "checkpoints" in taken:
            extra["checkpoints"] = self.checkpoints / name
        if "on_epoch" in taken:
            extra["on_epoch"] = self._on_epoch(history, estimator.epochs)
            if held is not None:
                watched = held.held_rows
                if not split.cross_validated:
                    watched = split.validation_rows[split.select]
                extra["validation"] = split.images[watched], split.labels[watched]
        estimator.fit(split.images[rows], split.labels[rows], **extra)
        return estimator

    def _on_epoch(self, history: list[Mapping[str, float]], epochs: int) -> Callable[..., None]:
        history.clear()

        def on_epoch(epoch: int, metrics: Mapping[str, float]) -> None:
            history.append({name: float(value) for name, value in metrics.items()})
            if not self.split.cross_validated:
                self.emit(epoch, epochs, history[-1])

        return on_epoch

    def _scores(self, estimator: Any, images: np.ndarray[Any, Any]) -> Floats:
        """Return margins where a calibrator turns them into probabilities, else probabilities."""
        if _gives_margins(estimator):
            margins: Floats = np.asarray(estimator.decision_function(images), dtype=np.float64)
            return margins if margins.ndim == 1 else self._aligned(estimator, margins, _LEAST_SCORE)
        if not hasattr(estimator, "predict_proba"):
            raise ModelInputError(
                f"{self.trial.model} has neither predict_proba nor decision_function; "
                "an own estimator needs one of them"
            )
        return self._aligned(estimator, np.asarray(estimator.predict_proba(images)), 0.0)

    def _aligned(self, estimator: Any, scores: Floats, missing: float) -> Floats:
        """Return one column per class of the data, also for classes that the fit never saw."""
        full = np.full((len(scores), len(self.split.class_names)), missing, dtype=np.float64)
        full[:, np.asarray(estimator.classes_, dtype=np.intp)] = scores
        return full

    def _outcome(
        self,
        estimator: Any,
        *,
        fit_s: float,
        fit_rows: np.ndarray[Any, Any],
        chosen: Mapping[str, Any],
        calibrator: Calibrator | None,
        limits: Mapping[str, Any] | None,
        history: list[Mapping[str, float]],
        validation: Floats | None,
    ) -> _Outcome:
        def probabilities(images: np.ndarray[Any, Any]) -> Floats:
            scores = self._scores(estimator, images)
            return scores if calibrator is None else calibrator.probabilities(scores)

        images = self.split.test.images
        started = time.perf_counter()
        test = probabilities(images)
        predict_s = time.perf_counter() - started
        fit = FitExport(
            estimator, self.split, fit_rows, calibrator, validation, limits, probabilities
        )
        graph, outlier, error = _exported(fit)
        record = {
            "fit_s": fit_s,
            "predict_us_per_image": 1e6 * predict_s / len(images),
            "model_bytes": len(graph.model) if graph else model_bytes(estimator),
            "fit_rows": len(fit_rows),
            "chosen": dict(chosen),
            "calibration": calibrator.to_dict() if calibrator else None,
            "history": list(history),
            "outlier": outlier,
            "export_error": error,
        }
        return _Outcome(record, Predictions(validation, test), self._views(estimator), graph)

    def _views(self, estimator: Any) -> Views | None:
        """Return what a network shows of itself, on the first validation image of each class."""
        if not hasattr(estimator, "look_inside"):
            return None
        held = np.unique(self.split.validation_rows)
        _, first = np.unique(self.split.labels[held], return_index=True)
        rows = held[first[:_MOST_LOOKED_AT]]
        found = estimator.look_inside(self.split.images[rows])
        return Views(rows, **found) if found else None


def _gives_margins(estimator: Any) -> bool:
    """Say whether a calibrator must make probabilities of what the estimator gives."""
    return hasattr(estimator, "calibrator_") or (
        hasattr(estimator, "decision_function") and not hasattr(estimator, "predict_proba")
    )


def _earlier_s(estimator: Any) -> float:
    """Return the seconds of a fit that were done before it was taken up again."""
    return float(getattr(estimator, "resumed_s_", 0.0))


def _agreed(chosen: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the median of what the rounds chose, for example of their epochs."""
    return {name: statistics.median_low([choice[name] for choice in chosen]) for name in chosen[0]}


def _exported(
    fit: FitExport,
) -> tuple[FittedGraph | None, Mapping[str, Any] | None, str | None]:
    """Return a fit's graph, how it tells outliers, and why it has no graph."""
    try:
        return *fit.make(), None
    # A graph that cannot be made must not cost the fit; the report tells why.
    except Exception as error:
        logger.info("no graph of %r", fit.estimator, exc_info=True)
        name = "" if isinstance(error, ExportError) else f"{type(error).__name__}: "
        return None, None, f"{name}{error}".splitlines()[0]


def _write(folder: Path, graphs: Path, outcome: _Outcome) -> None:
    if outcome.graph is not None:
        outcome.graph.write(graphs)
    outcome.predictions.write(folder / "predictions.npz")
    if outcome.views is not None:
        outcome.views.write(folder / "views.npz")
    write_text(folder / "trial.json", json.dumps(outcome.record, indent=1))
