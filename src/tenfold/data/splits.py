"""The split: which rows are learned from, which decide, and which are sealed."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from tenfold.data.dataset import Dataset, Images, Indices
from tenfold.data.sampling import Mask, deal, deal_groups, pick, seeded
from tenfold.data.sealed import SealedTest
from tenfold.errors import ConfigError, SplitError
from tenfold.records import canonical_json

#: Raised whenever the same data and settings are split differently than before.
SPLIT_VERSION = 1


@dataclass(frozen=True, eq=False)
class Round:
    """One fit that choices are made by.

    Args:
        fit_rows: ``(n_fit,)`` development rows that are learned from, ascending.
        held_rows: ``(n_held,)`` development rows that are predicted, ascending.
    """

    fit_rows: Indices
    held_rows: Indices

    def __repr__(self) -> str:
        return f"Round(fit {len(self.fit_rows):,}, held {len(self.held_rows):,})"


@dataclass(frozen=True, eq=False)
class Split:
    """The development rows and what each is for, and the sealed test.

    Args:
        images: ``(n, height * width)`` uint8: every development row, that is all but the test.
        labels: ``(n,)`` int64 class indices.
        groups: ``(n,)`` int64; None without groups.
        class_names: As in `Dataset`.
        image_shape: Height and width in pixels.
        train: ``(n_train,)`` rows of the fit that predicts the test.
        rounds: Hold-out: one, of ``train`` and the validation rows. Cross-validation: one per
            repeat and fold.
        validation_rows: ``(n_val,)`` development row of every validation prediction, in the
            rounds' order.
        select: ``(n_val,)`` True where a prediction may choose models and hyper-parameters.
        calibrate: ``(n_val,)`` True where it may calibrate; with hold-out, where it may not select.
        test: The sealed rows.
        cross_validated: True for repeated cross-validation.
        description: One sentence for people.
        key: The version and every setting that matters here, as canonical text.
    """

    images: Images
    labels: Indices
    groups: Indices | None
    class_names: tuple[str, ...]
    image_shape: tuple[int, int]
    train: Indices
    rounds: tuple[Round, ...]
    validation_rows: Indices
    select: Mask
    calibrate: Mask
    test: SealedTest
    cross_validated: bool
    description: str
    key: str

    def __repr__(self) -> str:
        return f"Split({self.description!r})"

    def stopping(self, part: Round) -> tuple[Indices, Indices]:
        """Return the rows that a round learns from, and those that may end its fit early.

        Never those that it is scored by: with cross-validation a tenth of each class leaves the
        rows that are learned from, by whole groups where each side then has every class; else the
        select rows decide, as they do all else.

        Args:
            part: One of ``rounds``.

        Returns:
            ``(n,)`` and ``(m,)`` development rows, both ascending.
        """
        rows = part.fit_rows
        if not self.cross_validated:
            return rows, self.validation_rows[self.select]
        rng = seeded(f"{self.key}:{part.held_rows.tolist()}:stopping")
        labels = self.labels[rows]
        stops = np.zeros(len(rows), dtype=np.bool_)
        if self.groups is not None:
            stops = deal_groups(labels, self.groups[rows], (0.1, 0.9), rng) == 0
        classes = np.unique(labels)
        if any(len(np.unique(labels[side])) < len(classes) for side in (stops, ~stops)):
            stops = pick(labels, round(len(rows) / 10), rng, at_least=1, leave=1)
        return rows[~stops], rows[stops]


def make_split(
    dataset: Dataset,
    *,
    validation_fraction: float = 1 / 6,
    test_fraction: float = 0.2,
    cv_below: int = 5000,
    cv_folds: int = 5,
    cv_repeats: int = 2,
) -> Split:
    """Split a data set, the same way whenever its content is the same.

    Every part is stratified by class, and no part cuts through a group. The official test rows
    are the test; where there are none, some are carved out.

    Args:
        dataset: What to split.
        validation_fraction: Share of the development rows held out, half of them to select and
            half to calibrate; above 0, at most 0.5.
        test_fraction: Share of the rows sealed where the data has no official test; likewise.
        cv_below: Below so many development rows all of them train, and choices are made by
            repeated stratified cross-validation.
        cv_folds: Folds of it, at least 2.
        cv_repeats: Repeats of it, at least 1.

    Returns:
        The split.

    Raises:
        SplitError: A class has too few images or groups for its share of every part.
        ConfigError: A setting is out of range.
    """
    _check_settings(validation_fraction, test_fraction, cv_folds, cv_repeats)
    carve = test_fraction if dataset.test is None else 0.0
    cross_validated = round(len(dataset) * (1 - carve)) < cv_below
    n_parts = cv_folds if cross_validated else 3
    n_least = 2 if cross_validated else n_parts
    _check_enough(dataset, n_parts + (carve > 0), n_least + (carve > 0))
    seed = f"split-{SPLIT_VERSION}:{dataset.fingerprint}"
    pool = _Pool(dataset.images, dataset.labels, dataset.groups, dataset.class_names)
    test = dataset.test
    if test is None:
        sealed = _draw_test(pool, carve, n_parts, seed)
        if pool.groups is not None:
            _check_present(pool, sealed, "the test rows")
        pool, test = _seal(pool, sealed)
    if cross_validated:
        train = np.arange(len(pool.labels))
        rounds = _fold(pool, cv_folds, cv_repeats, seed)
        held = np.concatenate([part.held_rows for part in rounds])
        select = calibrate = np.ones(len(held), dtype=np.bool_)
    else:
        parts = _hold_out(pool, validation_fraction, seed)
        train, held = np.flatnonzero(parts == 2), np.flatnonzero(parts < 2)
        rounds = (Round(train, held),)
        select, calibrate = parts[held] == 0, parts[held] == 1
    return Split(
        images=pool.images,
        labels=pool.labels,
        groups=pool.groups,
        class_names=dataset.class_names,
        image_shape=dataset.image_shape,
        train=train,
        rounds=rounds,
        validation_rows=held,
        select=select,
        calibrate=calibrate,
        test=test,
        cross_validated=cross_validated,
        description=_describe(pool, rounds, select, test, official=dataset.test is not None),
        key=_key(
            dataset,
            {"cv_folds": cv_folds, "cv_repeats": cv_repeats}
            if cross_validated
            else {"validation_fraction": validation_fraction},
            test_fraction,
        ),
    )


def split_for_looking(dataset: Dataset) -> Split:
    """Split a data set of which nothing is learned, so that no class is too small for it.

    Args:
        dataset: What to split.

    Returns:
        The split as `make_split` makes it by default; where that refuses, one that has the test
        but no rounds, and whose description says why.
    """
    try:
        return make_split(dataset)
    except SplitError as error:
        refusal = error
    pool = _Pool(dataset.images, dataset.labels, dataset.groups, dataset.class_names)
    test = dataset.test
    if test is None:
        seed = f"split-{SPLIT_VERSION}:{dataset.fingerprint}"
        pool, test = _seal(pool, _draw_test(pool, 0.2, 1, seed))
    kind = "carved-out" if dataset.test is None else "official"
    none = np.zeros(0, dtype=np.int64)
    return Split(
        images=pool.images,
        labels=pool.labels,
        groups=pool.groups,
        class_names=dataset.class_names,
        image_shape=dataset.image_shape,
        train=np.arange(len(pool.labels)),
        rounds=(),
        validation_rows=none,
        select=none == 0,
        calibrate=none == 0,
        test=test,
        cross_validated=True,
        description=(
            f"{len(pool.labels):,} development images; {len(test):,} {kind} test images are "
            f"sealed. An experiment with default settings refuses these data: {refusal}."
        ),
        key=_key(dataset, {}, 0.2),
    )


def settings_of(key: str) -> dict[str, Any]:
    """Return the settings of `make_split` that a split's key tells of.

    Args:
        key: `Split.key`.

    Raises:
        SplitError: It is none, or one of another version, whose rows cannot be found again.

    >>> settings_of('{"cv_folds":5,"cv_repeats":2,"test":0.2,"version":1}')
    {'cv_folds': 5, 'cv_repeats': 2, 'test_fraction': 0.2, 'cv_below': 9223372036854775807}
    """
    try:
        settings = dict(json.loads(key))
        version, test = settings.pop("version"), settings.pop("test")
        kinds = {"cv_folds": int, "cv_repeats": int, "validation_fraction": float}
        settings = {name: kinds[name](value) for name, value in settings.items()}
        if test != "official":
            settings["test_fraction"] = float(test)
    except (KeyError, TypeError, ValueError) as error:
        raise SplitError(f"{key!r} is no key of a split") from error
    if version != SPLIT_VERSION:
        raise SplitError(
            f"the split {key!r} has version {version}, this tenfold splits by version "
            f"{SPLIT_VERSION}: its test rows cannot be found again"
        )
    settings["cv_below"] = sys.maxsize if "cv_folds" in settings else 0
    return settings


@dataclass(frozen=True, eq=False)
class _Pool:
    """Rows that are still to be dealt out."""

    images: Images
    labels: Indices
    groups: Indices | None
    class_names: tuple[str, ...]

    def take(self, rows: Mask) -> _Pool:
        groups = None if self.groups is None else self.groups[rows]
        return _Pool(self.images[rows], self.labels[rows], groups, self.class_names)


def _draw_test(pool: _Pool, fraction: float, leave: int, seed: str) -> Mask:
    """Draw the test rows, and leave each class so many others where there are no groups."""
    rng = seeded(f"{seed}:test")
    if pool.groups is None:
        n = round(len(pool.labels) * fraction)
        return pick(pool.labels, n, rng, at_least=1, leave=leave)
    sealed: Mask = deal_groups(pool.labels, pool.groups, (fraction, 1 - fraction), rng) == 0
    return sealed


def _seal(pool: _Pool, sealed: Mask) -> tuple[_Pool, SealedTest]:
    """Take the test rows out of the pool."""
    held, rest = pool.take(sealed), pool.take(~sealed)
    return rest, SealedTest(held.images, held.labels, held.groups)


def _hold_out(pool: _Pool, fraction: float, seed: str) -> Indices:
    """Deal every row to select (0), calibrate (1) or train (2)."""
    rng = seeded(f"{seed}:validation")
    if pool.groups is not None:
        shares = (fraction / 2, fraction / 2, 1 - fraction)
        parts = deal_groups(pool.labels, pool.groups, shares, rng)
        for part, name in enumerate(("the rows to select by", "the rows to calibrate by")):
            _check_present(pool, parts == part, name)
        _check_present(pool, parts == 2, "the rows to train on")
        return parts
    n = round(len(pool.labels) * fraction)
    parts = np.full(len(pool.labels), 2)
    held = np.flatnonzero(pick(pool.labels, n, rng, at_least=2, leave=1))
    selects = pick(pool.labels[held], len(held) // 2, rng, at_least=1, leave=1)
    parts[held] = np.where(selects, 0, 1)
    return parts


def _fold(pool: _Pool, folds: int, repeats: int, seed: str) -> tuple[Round, ...]:
    rounds = []
    for repeat in range(repeats):
        rng = seeded(f"{seed}:repeat-{repeat}")
        if pool.groups is None:
            fold_of = deal(pool.labels, folds, rng)
        else:
            fold_of = deal_groups(pool.labels, pool.groups, (1 / folds,) * folds, rng)
        for fold in range(folds):
            held = fold_of == fold
            if pool.groups is not None:
                _check_present(pool, held, f"fold {fold + 1} of {folds}")
            rounds.append(Round(np.flatnonzero(~held), np.flatnonzero(held)))
    return tuple(rounds)


def _check_settings(
    validation_fraction: float, test_fraction: float, cv_folds: int, cv_repeats: int
) -> None:
    problems = [
        f"{name} is {value!r}, allowed is more than 0 and at most 0.5"
        for name, value in (
            ("validation_fraction", validation_fraction),
            ("test_fraction", test_fraction),
        )
        if not 0 < value <= 0.5
    ]
    problems += [
        f"{name} is {value!r}, allowed are whole numbers from {least}"
        for name, value, least in (("cv_folds", cv_folds, 2), ("cv_repeats", cv_repeats, 1))
        if value < least
    ]
    if problems:
        raise ConfigError(problems)


def _check_enough(dataset: Dataset, need: int, least: int) -> None:
    """See that every class has an image, or a group, for each part; ``least``: of fewer folds."""
    what = "images" if dataset.groups is None else "groups"
    for index, name in enumerate(dataset.class_names):
        rows = dataset.labels == index
        count = rows.sum() if dataset.groups is None else len(np.unique(dataset.groups[rows]))
        if count < need:
            advice = "add some, remove the class, or lower cv_folds"
            raise SplitError(
                f"{dataset.name}: class {name!r} has {count} {what}, and the split needs {need}, "
                f"one for each part; {advice if count >= least else 'add some or remove the class'}"
            )


def _check_present(pool: _Pool, rows: Mask, part: str) -> None:
    """See that a part that was dealt by whole groups has every class."""
    counts = np.bincount(pool.labels[rows], minlength=len(pool.class_names))
    if (counts == 0).any():
        name = pool.class_names[int(np.argmin(counts))]
        raise SplitError(
            f"whole groups cannot be dealt so that {part} have class {name!r}: too few groups "
            "have images of it; add groups, lower cv_folds, raise the part's fraction, or leave "
            "group_column out"
        )


def _key(dataset: Dataset, settings: dict[str, float], test_fraction: float) -> str:
    test = "official" if dataset.test is not None else test_fraction
    return canonical_json({"version": SPLIT_VERSION, "test": test, **settings})


def _describe(
    pool: _Pool, rounds: tuple[Round, ...], select: Mask, test: SealedTest, *, official: bool
) -> str:
    n, first = len(pool.labels), rounds[0]
    whole = "" if pool.groups is None else ", whole groups"
    kind = "official" if official else "carved-out"
    if len(rounds) == 1:
        n_select, n_held = int(select.sum()), len(select)
        use = (
            f"{len(first.fit_rows):,} train, {n_select:,} select and {n_held - n_select:,} "
            f"calibrate (stratified{whole})"
        )
    else:
        folds = round(n / max(1, n - len(first.fit_rows)))
        use = (
            f"all train, and choices are made by {folds}-fold stratified cross-validation"
            f"{whole}, {len(rounds) // folds} times"
        )
    return f"Of {n:,} development images {use}; {len(test):,} {kind} test images are sealed."
