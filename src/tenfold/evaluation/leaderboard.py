"""The leaderboard: one row per recipe, made from trial results and the opened test labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, stdev
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tenfold.evaluation.comparison import holm_adjust, mcnemar_p_value
from tenfold.evaluation.intervals import FloatArray, Interval, wilson_interval
from tenfold.evaluation.metrics import LOSSES, Scores, score
from tenfold.evaluation.recipes import Recipe, group_recipes
from tenfold.records import TrialResult

FittedOn = Literal["train", "train + validation", "all development rows"]
RowStatus = Literal["finished", "partly failed", "failed"]
Right = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Row:
    """One recipe on the leaderboard.

    Args:
        model: Registered name or dotted path.
        title: The model's name for people.
        label: The parameter cell, for example ``"n_neighbors=3"``.
        params: Complete canonical parameters.
        key: Key of the first finished train fit.
        test_key: Key of the fit that the test scores, times and size are from.
        run_id: The tracker's name for that fit.
        scores: Test scores of the first repeat; None when no fit finished.
        validation: Accuracy on the select rows, the mean over the finished train fits.
        fit_s: Wall seconds of the fit, until this row was answered.
        fitted_with: Keys of the fits' rows that shared it, this one's `test_key` among them; empty
            where the fit was this row's alone.
        predict_us_per_image: Microseconds per image.
        model_bytes: Bytes of its graph; where it has none, of everything learned.
        fitted_on: Which rows the fit behind the test scores saw.
        p_vs_winner: McNemar's p value against the winner on the test images, corrected by Holm's
            method; None for the winner itself and without one.
        seeds: Seeds of the finished repeats; the first one's numbers are in the row.
        repeats: How many fits `accuracy_mean` and `accuracy_sd` are over.
        accuracy_mean: Mean test accuracy over the repeats.
        accuracy_sd: Their standard deviation; None for one repeat.
        status: ``"partly failed"`` when some repeat or the refit failed.
        error: What failed, one line.
        chosen: Decisions made in the train fit, for example ``{"epochs": 7}``.
        calibration: The calibrator as plain values.
        history: Per step of the train fit, what it reported.
        reused: Whether the fit was found finished and not run again.
        validation_repeats: How many train fits `validation` is the mean over.
    """

    model: str
    title: str
    label: str
    params: Mapping[str, Any]
    key: str
    test_key: str
    run_id: str
    scores: Scores | None
    validation: Interval | None
    fit_s: float
    predict_us_per_image: float
    model_bytes: int
    fitted_on: FittedOn
    p_vs_winner: float | None
    seeds: tuple[int, ...]
    repeats: int
    accuracy_mean: float | None
    accuracy_sd: float | None
    status: RowStatus
    error: str | None
    chosen: Mapping[str, Any] = field(default_factory=dict, repr=False)
    calibration: Mapping[str, Any] | None = field(default=None, repr=False)
    history: tuple[Mapping[str, float], ...] = field(default=(), repr=False)
    reused: bool = False
    fitted_with: tuple[str, ...] = field(default=(), repr=False)
    validation_repeats: int = 0

    @property
    def name(self) -> str:
        """Model and parameter cell, for example ``KNN n_neighbors=3``."""
        return f"{self.title} {self.label}".rstrip()


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """All rows of an experiment.

    Args:
        rows: In grid order, failed ones included.
        winner_key: Key of the row chosen on validation data; None when every trial failed.
        rank_by: The score that the winner was chosen by and that `ranked` orders by.
        class_names: k names.
        n_test: Test images.
        n_select: Different validation images that the winner was chosen by.
        cross_validated: Whether validation scores are out-of-fold.
    """

    rows: tuple[Row, ...]
    winner_key: str | None
    rank_by: str
    class_names: tuple[str, ...]
    n_test: int
    n_select: int
    cross_validated: bool

    @property
    def winner(self) -> Row | None:
        """The row that was chosen on validation data."""
        return next((row for row in self.rows if row.key == self.winner_key), None)

    @property
    def fit_s(self) -> float:
        """Wall seconds of the rows' fits; one that several rows share counts once."""
        longest: dict[str, float] = {}
        for row in self.rows:
            fit = row.fitted_with[-1] if row.fitted_with else row.test_key
            longest[fit] = max(row.fit_s, longest.get(fit, 0.0))
        return sum(longest.values())

    @property
    def ranked(self) -> tuple[Row, ...]:
        """Rows by their test score, best first, the winner before its equals, failed ones last."""
        sign = 1 if self.rank_by in LOSSES else -1

        def standing(row: Row) -> tuple[bool, float, bool]:
            found = None if row.scores is None else row.scores.intervals()[self.rank_by]
            missing = found is None or not found.defined
            value = 0.0 if found is None or missing else sign * found.value
            return missing, value, row.key != self.winner_key

        return tuple(sorted(self.rows, key=standing))


def build_leaderboard(
    results: Sequence[TrialResult],
    *,
    test_labels: npt.ArrayLike,
    validation_labels: npt.ArrayLike,
    select: npt.NDArray[np.bool_],
    winner_key: str | None,
    class_names: Sequence[str],
    rank_by: str = "accuracy",
    validation_rows: npt.NDArray[np.integer[Any]] | None = None,
    cross_validated: bool = False,
    draws: int = 1000,
    seed: int = 0,
) -> Leaderboard:
    """Score every recipe on the opened test labels.

    Repeats of a recipe become one row: its scores are those of the first finished repeat, mean
    and standard deviation are over all of them. Where a recipe was fitted again on train and
    validation rows, its test scores, times and size are those of the refit. Its validation score is
    the mean over its train fits, which `choose_winner` goes by. When only some repeats have a
    refit, mean and standard deviation are over the repeats of the headline's kind.

    Args:
        results: Train fits and refits in grid order, finished or failed.
        test_labels: ``(n_test,)`` class indices from the opened test set.
        validation_labels: ``(n_validation,)``, one per validation prediction.
        select: ``(n_validation,)``, the rows that models were chosen by.
        winner_key: What `choose_winner` returned.
        class_names: k names.
        rank_by: What `choose_winner` was told.
        validation_rows: ``(n_validation,)`` development row of each validation prediction; a row
            predicted in several repeats of cross-validation counts once in the interval.
        cross_validated: Whether the train fit saw all development rows and validation
            predictions are out-of-fold.
        draws: Bootstrap draws.
        seed: Seed of the draws.

    Raises:
        ScoreInputError: Predictions do not fit the labels.
    """
    names = tuple(class_names)
    known_test = np.asarray(test_labels)
    known_validation = np.asarray(validation_labels)[select]
    chosen_by = len(known_validation)
    if validation_rows is not None:
        chosen_by = len(np.unique(validation_rows[select]))
    rows, right = [], []
    for recipe in group_recipes(results):
        shown = None if recipe.shown is None else recipe.shown.predictions
        scores = None
        if shown is not None:
            scores = score(known_test, shown.test, class_names=names, draws=draws, seed=seed)
        right.append(None if shown is None else _is_right(shown.test, known_test))
        validated = _validate(recipe, known_validation, select)
        rows.append(
            replace(
                _to_row(recipe, known_test, cross_validated=cross_validated),
                scores=scores,
                validation=_average(validated, chosen_by),
                validation_repeats=len(validated),
            )
        )
    compared = _compare(rows, right, winner_key)
    return Leaderboard(
        compared, winner_key, rank_by, names, len(known_test), chosen_by, cross_validated
    )


def _is_right(probabilities: FloatArray, labels: npt.NDArray[Any]) -> Right:
    return np.asarray(probabilities.argmax(axis=1) == labels)


def _validate(recipe: Recipe, labels: npt.NDArray[Any], select: Right) -> list[float]:
    """Return the accuracy of each finished train fit on the select rows."""
    return [
        float(_is_right(result.predictions.validation[select], labels).mean())
        for result in recipe.bases
        if result.predictions is not None and result.predictions.validation is not None
    ]


def _average(accuracies: Sequence[float], n: int) -> Interval | None:
    """Return the mean of accuracies on the same ``n`` images; None where there are none.

    Repeats add no images: the interval is that of one fit with this accuracy. A mean varies at
    most as much between samples of images, so that it is rather too wide than too narrow.
    """
    return wilson_interval(fmean(accuracies) * n, n) if accuracies else None


def _to_row(recipe: Recipe, test_labels: npt.NDArray[Any], *, cross_validated: bool) -> Row:
    """Return the row but for its scores and its p value."""
    base, shown = recipe.base, recipe.shown or recipe.base
    accuracies = [
        float(_is_right(result.predictions.test, test_labels).mean())
        for result in recipe.repeats
        if result.predictions is not None
    ]
    failed = [result for result in recipe.everyone if result.predictions is None]
    errors = tuple(dict.fromkeys(result.error or "no reason given" for result in failed))
    fitted_on: FittedOn = "train + validation" if shown.trial.refit else "train"
    status: RowStatus = "partly failed" if failed else "finished"
    return Row(
        model=base.trial.model,
        title=base.trial.title,
        label=base.trial.label,
        params=dict(base.trial.params),
        key=base.key,
        test_key=shown.key,
        run_id=shown.run_id,
        scores=None,
        validation=None,
        fit_s=shown.fit_s,
        predict_us_per_image=shown.predict_us_per_image,
        model_bytes=shown.model_bytes,
        fitted_on="all development rows" if cross_validated else fitted_on,
        p_vs_winner=None,
        seeds=tuple(result.trial.seed for result in recipe.repeats or (base,)),
        repeats=len(accuracies),
        accuracy_mean=fmean(accuracies) if accuracies else None,
        accuracy_sd=stdev(accuracies) if len(accuracies) > 1 else None,
        status=status if accuracies else "failed",
        error="; ".join(errors) or None,
        chosen=dict(base.chosen),
        calibration=shown.calibration,
        history=base.history or shown.history,
        reused=shown.reused,
        fitted_with=shown.fitted_with,
    )


def _compare(
    rows: Sequence[Row], right: Sequence[Right | None], winner_key: str | None
) -> tuple[Row, ...]:
    """Add each row's corrected p value against the winner."""
    of_winner = next((r for row, r in zip(rows, right, strict=True) if row.key == winner_key), None)
    if of_winner is None:
        return tuple(rows)
    others = [
        index
        for index, (row, correct) in enumerate(zip(rows, right, strict=True))
        if correct is not None and row.key != winner_key
    ]
    p_values = [mcnemar_p_value(of_winner, r) for i in others if (r := right[i]) is not None]
    compared = list(rows)
    for index, p_value in zip(others, holm_adjust(p_values), strict=True):
        compared[index] = replace(rows[index], p_vs_winner=p_value)
    return tuple(compared)
