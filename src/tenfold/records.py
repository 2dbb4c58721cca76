"""The records that pass between the composer, the workers, the tracker and the report."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from tenfold.files import replacing

Floats = npt.NDArray[np.floating[Any]]
_NOTHING: Mapping[str, Any] = MappingProxyType({})


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, tuples as lists.

    Raises:
        TypeError: The value holds something that JSON has no form for.
        ValueError: The value holds NaN or infinity.

    >>> canonical_json({"b": (1, 2), "a": None})
    '{"a":null,"b":[1,2]}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True)
class Numerics:
    """What the last digits of a result depend on, beside its inputs.

    Args:
        device: Device type, for example ``"cpu"`` or ``"cuda"``.
        precision: ``"float32"`` or ``"bfloat16"``.
        threads: Threads of one fit, at least 1.
        processes: Processes that share the fit, at least 1.
    """

    device: str
    precision: str
    threads: int
    processes: int = 1


@dataclass(frozen=True)
class Trial:
    """One recipe to fit on one data set: a model, its complete parameters and a seed.

    Args:
        model: A registered name, or the dotted path ``package.module:Class`` of an own estimator.
        params: Complete, canonical parameters (every field of the model's schema).
        title: The model's name on the leaderboard, for example ``"Random Forest"``.
        label: The parameter cell on the leaderboard, for example ``"n_estimators=100"``.
        seed: Seed of the fit, 0 to 2**31 - 1.
        repeat: Number of the retraining, from 0; ``seed`` already differs by it.
        refit: True when the chosen recipe is fitted again on train and validation rows together.
        timeout_s: Seconds after which the fit is ended; None: no limit. Not part of the key.
    """

    model: str
    params: Mapping[str, Any]
    title: str
    label: str
    seed: int
    repeat: int = 0
    refit: bool = False
    timeout_s: float | None = None

    @property
    def name(self) -> str:
        """What a person would call it, for example ``KNN n_neighbors=3``."""
        return _named(self, self.label)


@dataclass(frozen=True)
class TrialKey:
    """Everything that a trial's result depends on; equal keys have equal results.

    Args:
        fingerprint: SHA-256 of the data set's content, target and reading rule.
        model: As in `Trial`.
        params: As in `Trial`.
        seed: As in `Trial`.
        refit: As in `Trial`.
        split: Version and settings of the split.
        fitting_version: Version of what a worker computes from a fit.
        model_version: ``ModelSpec.version``, or 0 for an own estimator.
        source_sha256: Hash of an own estimator's source file; empty for a registered model.
        numerics: Device type, precision, threads, processes.
    """

    fingerprint: str
    model: str
    params: Mapping[str, Any]
    seed: int
    refit: bool
    split: str
    fitting_version: int
    model_version: int
    source_sha256: str
    numerics: Numerics

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form, 64 hexadecimal digits."""
        numerics = asdict(self.numerics)
        if self.numerics.processes == 1:
            del numerics["processes"]  # as in the keys from before there could be several
        fields = {**asdict(self), "params": dict(self.params), "numerics": numerics}
        return hashlib.sha256(canonical_json(fields).encode()).hexdigest()


@dataclass(frozen=True)
class Cost:
    """What a fit is expected to take; a guide for the scheduler, and no part of any key.

    Args:
        seconds: Of one core. Their order matters, not their size.
        bytes: The most memory that its process holds at once.
    """

    seconds: float = 0.0
    bytes: int = 0


@dataclass(frozen=True)
class FitUnit:
    """Trials that one fit answers together; what executors run and workers are given.

    Args:
        trials: At least one; they differ in their path parameter alone, which rises.
        keys: The digest of each trial's key, in the same order.
        numerics: What its fit computes on.
        bases: For refits, the digest of the train fit that the recipe is repeated from.
        cost: What the fit is expected to take.
    """

    trials: tuple[Trial, ...]
    keys: tuple[str, ...]
    numerics: Numerics
    bases: tuple[str, ...] = ()
    cost: Cost = field(default=Cost(), compare=False)

    @property
    def name(self) -> str:
        """What a person would call the unit, for example ``KNN n_neighbors=3, 5, 7``."""
        first, last = self.trials[0], self.trials[-1]
        if first is last:
            return first.name
        path = next(name for name, value in first.params.items() if last.params[name] != value)
        shared = [
            part for part in re.split(r", (?=\w+=)", first.label) if not part.startswith(f"{path}=")
        ]
        values = ", ".join(str(trial.params[path]) for trial in self.trials)
        return _named(first, ", ".join(part for part in (*shared, f"{path}={values}") if part))

    def only(self, keys: Container[str]) -> FitUnit:
        """Return the unit of those of its trials whose keys are among the given ones."""
        kept = [place for place, key in enumerate(self.keys) if key in keys]
        return replace(
            self,
            trials=tuple(self.trials[place] for place in kept),
            keys=tuple(self.keys[place] for place in kept),
            bases=tuple(self.bases[place] for place in kept) if self.bases else (),
        )


@dataclass(frozen=True)
class Predictions:
    """Probabilities that a trial gave, one row per image, one column per class, 0 to 1.

    Args:
        validation: ``(n_validation, n_classes)`` in the split's row order; None for a refit of what
            was fitted on the training rows.
        test: ``(n_test, n_classes)``.
    """

    validation: Floats | None
    test: Floats

    @classmethod
    def read(cls, path: Path) -> Predictions:
        """Read what `write` wrote, as float64 rows of sum 1.

        Raises:
            OSError: The file cannot be read.
            ValueError: It is damaged, or holds what `fault_of` finds fault with.
        """
        arrays = _load(path)
        for probabilities in arrays.values():
            if fault := fault_of(probabilities):
                raise ValueError(f"{path}: {fault}; run the trial again")
        validation = _unpacked(arrays["validation"]) if "validation" in arrays else None
        return cls(validation, _unpacked(arrays["test"]))

    def write(self, path: Path) -> None:
        """Write both in half precision as ``.npz``; every row's largest stays in its place.

        Raises:
            StorageError: The file cannot be written.
        """
        arrays = {"test": _packed(self.test)}
        if self.validation is not None:
            arrays["validation"] = _packed(self.validation)
        with replacing(path) as temporary:
            np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        validation = None if self.validation is None else self.validation.shape
        return f"Predictions(validation={validation}, test={self.test.shape})"


@dataclass(frozen=True, eq=False)
class Views:
    """What a network shows of itself; each array is None where it has no such thing.

    Args:
        rows: ``(n,)`` development rows of the images that the attention is paid to.
        filters: ``(f, side, side)`` weights of the first layer's filters.
        n_filters: How many filters there are; those of the largest norm are kept.
        attention: ``(n, heads, down, across)`` how much the last block looks at each patch; each
            map sums to 1.
        rollout: ``(n, down, across)`` the same through all blocks.
        patch_size: A patch's side in pixels; 0 without attention.
    """

    rows: npt.NDArray[np.int64]
    filters: Floats | None = None
    n_filters: int = 0
    attention: Floats | None = None
    rollout: Floats | None = None
    patch_size: int = 0

    @classmethod
    def read(cls, path: Path) -> Views:
        """Read what `write` wrote.

        Raises:
            OSError: The file cannot be read.
            ValueError: It is damaged.
        """
        arrays = _load(path)
        fields: dict[str, Any] = {
            name: array if array.ndim else int(array) for name, array in arrays.items()
        }
        return cls(**fields)

    def write(self, path: Path) -> None:
        """Write the arrays that there are as ``.npz``.

        Raises:
            StorageError: The file cannot be written.
        """
        arrays = {
            name: np.asarray(array) for name, array in vars(self).items() if array is not None
        }
        with replacing(path) as temporary:
            np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        shapes = (
            f"{name}={np.shape(array)}" for name, array in vars(self).items() if np.ndim(array)
        )
        return f"Views({', '.join(shapes)})"


def fault_of(probabilities: Floats) -> str | None:
    """Say what is wrong with probabilities that are to be kept in half precision.

    Args:
        probabilities: ``(n, n_classes)``.

    Returns:
        A few words; None where each row is finite, nowhere below 0, and above 0 somewhere.

    >>> fault_of(np.array([[0.2, 0.8], [0.0, 0.0]]))
    'the probabilities of 1 of 2 images are all 0'
    """
    with np.errstate(over="ignore"):  # what is too large becomes infinite
        kept = probabilities.astype(np.float16)
    for fault, wrong in (
        ("not finite", ~np.isfinite(kept).all(axis=1)),
        ("below 0", (kept < 0).any(axis=1)),
        ("all 0", (kept == 0).all(axis=1)),
    ):
        if wrong.any():
            return f"the probabilities of {wrong.sum():,} of {len(kept):,} images are {fault}"
    return None


@dataclass(frozen=True)
class TrialResult:
    """What became of one trial.

    Args:
        trial: The recipe.
        key: Digest of its key.
        status: ``"finished"`` or ``"failed"``.
        error: One line that says why it failed; None when finished.
        run_id: The tracker's name for it; empty when nothing was tracked.
        fit_s: Wall seconds of the fit that predicts the test rows, until this trial was answered.
        predict_us_per_image: Microseconds per image, over all test images in one call.
        latency_us_per_image: Microseconds per image, the median of several calls; None where that
            was not asked for.
        model_bytes: Bytes of its graph; where it has none, of everything learned.
        fit_rows: Rows that the fit saw.
        fitted_with: Keys of the trials that this fit answered, this one's among them; empty in
            older results, where it answered one.
        chosen: Decisions that a refit repeats, for example ``{"epochs": 7}``.
        calibration: The calibrator as plain values; None when failed.
        history: Per step, what the fit reported.
        predictions: None when failed.
        views: What a network shows of itself; None of other models and of older results.
        reused: True when it was found finished and not run again.
        outlier: How its graph tells outliers, as plain values; None without a graph.
        export_error: One line that says why it has no graph; None where it has one.
        rounds: Of cross-validation alone, ``fit_s`` and ``score_s`` of each round.
    """

    trial: Trial
    key: str
    status: Literal["finished", "failed"]
    error: str | None = None
    run_id: str = ""
    fit_s: float = 0.0
    predict_us_per_image: float = 0.0
    latency_us_per_image: float | None = None
    model_bytes: int = 0
    fit_rows: int = 0
    fitted_with: tuple[str, ...] = ()
    chosen: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    calibration: Mapping[str, Any] | None = None
    history: tuple[Mapping[str, float], ...] = ()
    predictions: Predictions | None = None
    views: Views | None = None
    reused: bool = False
    outlier: Mapping[str, Any] | None = None
    export_error: str | None = None
    rounds: tuple[Mapping[str, float], ...] = ()


def to_text(probabilities: Floats) -> str:
    """Return probabilities, ``(n, n_classes)``, in half precision as text for calls in JSON.

    >>> from_text(to_text(np.array([[0.25, 0.75], [1.0, 0.0]])), n_classes=2)
    array([[0.25, 0.75],
           [1.  , 0.  ]])
    """
    return base64.b64encode(_packed(probabilities).astype("<f2").tobytes()).decode()


def from_text(text: str, *, n_classes: int) -> Floats:
    """Return the probabilities of `to_text`, ``(n, n_classes)``, as rows of sum 1."""
    packed = np.frombuffer(base64.b64decode(text), "<f2").reshape(-1, n_classes)
    return _unpacked(packed)


def _named(trial: Trial, label: str) -> str:
    stage = " (refit)" if trial.refit else ""
    return f"{trial.title} {label}".rstrip() + stage


def _load(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of an ``.npz`` file by their names."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    # What zipfile does not support, an encrypted file for example, was one flipped bit here.
    except (EOFError, BadZipFile, RuntimeError, zlib.error) as error:
        raise ValueError(f"{path} is damaged: {error}; run the trial again") from error


def _packed(probabilities: Floats) -> npt.NDArray[np.float16]:
    packed = probabilities.astype(np.float16)
    rows = np.arange(len(packed))
    true, rounded = probabilities.argmax(axis=1), packed.argmax(axis=1)
    moved = true != rounded  # two that differed became equal, and the first of equals wins
    packed[rows[moved], true[moved]] = np.nextafter(
        packed[rows[moved], rounded[moved]], np.float16(2)
    )
    return packed


def _unpacked(packed: npt.NDArray[Any]) -> Floats:
    probabilities: Floats = packed.astype(np.float64)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return probabilities
