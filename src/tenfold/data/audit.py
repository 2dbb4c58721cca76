"""The audit: what a person should know about a data set before they trust a score on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tenfold.data.dataset import Images, Indices
from tenfold.data.neighbours import (
    MAX_OUTLIERS,
    NearPair,
    find_near_pairs,
    find_outliers,
    row_digests,
)
from tenfold.data.splits import Split

#: An image whose grey levels all lie within so few steps counts as blank.
BLANK_RANGE = 8
#: Above this share of the validated images copies are warned of. Below it, images known by heart
#: can lift a validation score by no more than a hundredth of what it misses.
COPIES_SHARE = 0.01
#: Below this share of the largest class the smallest is warned of.
BALANCE_SHARE = 0.1


@dataclass(frozen=True)
class Audit:
    """What was found. Rows are development rows and test rows of the split.

    Args:
        n_development: Development images.
        n_test: Test images.
        class_counts: Name and development images of every class. The test's stay sealed.
        duplicates: Development rows that hold the very same image, in groups of two and more.
        conflicts: Those of the groups whose labels differ.
        n_validated: Development images that some round is scored by.
        held_copies: Those of which the same round learns from an exact copy.
        leaked: Development row and test row of identical images, the first such row of each.
        near: Development and test images that are nearly the same.
        near_checked: Test images that were looked at for it.
        near_threshold: The correlation from which two images are nearly the same.
        blank: Development rows of one even grey.
        outliers: Development row and score, unlike the rest of their class, worst first.
        shared_groups: Groups with rows on both sides; None where the rows have no groups.
        test_groups: Groups that the test rows come in; None where each stands alone.
    """

    n_development: int
    n_test: int
    class_counts: tuple[tuple[str, int], ...]
    duplicates: tuple[tuple[int, ...], ...]
    conflicts: tuple[tuple[int, ...], ...]
    n_validated: int
    held_copies: int
    leaked: tuple[tuple[int, int], ...]
    near: tuple[NearPair, ...]
    near_checked: int
    near_threshold: float
    blank: tuple[int, ...]
    outliers: tuple[tuple[int, float], ...]
    shared_groups: int | None
    test_groups: int | None

    def __repr__(self) -> str:
        return (
            f"Audit({self.n_development:,} + {self.n_test:,} images, {len(self.warnings)} warnings)"
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What may make scores wrong, one sentence each; empty when nothing was found."""
        found = []
        if self.leaked:
            found.append(
                f"{len(self.leaked):,} of {self.n_test:,} test images are exact copies of "
                "development images: the test score is too good."
            )
        if self.near:
            found.append(
                f"{len(self.near):,} of {self.near_checked:,} test images looked at are nearly "
                "the same as a development image: the test score may be too good (simple shapes "
                "may be alike by chance; `tenfold data check --out` shows them)."
            )
        if self.shared_groups:
            found.append(
                f"{self.shared_groups:,} groups have images in the official test as well: the "
                "test does not measure new groups."
            )
        if self.test_groups is not None:
            found.append(warn_of_groups(self.n_test, self.test_groups))
        if self.held_copies > COPIES_SHARE * self.n_validated:
            found.append(
                f"{self.held_copies:,} of {self.n_validated:,} validation images are exact copies "
                "of images that are learned from: choices and validation scores favour models that "
                "know images by heart; remove the copies."
            )
        if self.conflicts:
            found.append(
                f"{len(self.conflicts):,} images occur more than once with different labels."
            )
        if self.blank:
            found.append(f"{len(self.blank):,} development images are blank.")
        least, most = self._extreme_classes()
        if least[1] < BALANCE_SHARE * most[1]:
            found.append(
                f"class {least[0]!r} has {least[1]:,} images and class {most[0]!r} {most[1]:,}: "
                "accuracy says little about the small one; look at the per-class table."
            )
        return tuple(found)

    def rows(self) -> list[tuple[str, int, str]]:
        """Return the table: what was checked, how many were found, and what it means."""
        copies = sum(len(rows) - 1 for rows in self.duplicates)
        looked = "all" if self.near_checked == self.n_test else f"{self.near_checked:,} of the"
        least, most = self._extreme_classes()
        table = [
            ("copies between development and test", len(self.leaked), "the test score is too good"),
            (
                "near copies between development and test",
                len(self.near),
                f"correlation of {self.near_threshold:g} or more; {looked} test images looked at",
            ),
            ("copies within development", copies, "they count twice in training"),
            (
                "copies between training and validation",
                self.held_copies,
                f"a validation score is too good; warned of above {COPIES_SHARE:.0%} of its images",
            ),
            ("copies with different labels", len(self.conflicts), "at least one label is wrong"),
            ("blank images", len(self.blank), f"all pixels within {BLANK_RANGE} grey levels"),
            (
                "outlying images",
                len(self.outliers),
                f"unlike the rest of their class; the worst {MAX_OUTLIERS} are listed",
            ),
            ("smallest class", least[1], f"{least[0]}, of development images"),
            ("largest class", most[1], f"{most[0]}, of development images"),
        ]
        if self.shared_groups is not None:
            table.append(("groups on both sides", self.shared_groups, "must be 0 for new groups"))
        return table

    def _extreme_classes(self) -> tuple[tuple[str, int], tuple[str, int]]:
        by_count = sorted(self.class_counts, key=lambda item: item[1])
        return by_count[0], by_count[-1]


def audit_split(split: Split) -> Audit:
    """Look for what spoils scores: copies, near copies, blank and outlying images, imbalance.

    The test labels are not touched.

    Args:
        split: The rows, as they will be used.

    Returns:
        What was found.
    """
    digests, test_digests = row_digests(split.images), row_digests(split.test.images)
    duplicates = _group_duplicates(digests)
    first_row = {digest: row for row, digest in reversed(list(enumerate(digests)))}
    leaked = tuple(
        (first_row[digest], row) for row, digest in enumerate(test_digests) if digest in first_row
    )
    blank = _find_blank(split.images)
    near = find_near_pairs(
        split.images,
        split.test.images,
        split.image_shape,
        skip=np.array([row for _, row in leaked], dtype=np.int64),
    )
    counts = np.bincount(split.labels, minlength=len(split.class_names))
    return Audit(
        n_development=len(split.images),
        n_test=len(split.test),
        class_counts=tuple(zip(split.class_names, counts.tolist(), strict=True)),
        duplicates=duplicates,
        conflicts=tuple(rows for rows in duplicates if len(set(split.labels[list(rows)])) > 1),
        n_validated=len(np.unique(split.validation_rows)),
        held_copies=_count_held_copies(digests, split),
        leaked=leaked,
        near=near.pairs,
        near_checked=near.checked,
        near_threshold=near.threshold,
        blank=blank,
        outliers=find_outliers(split.images, split.labels, split.image_shape),
        shared_groups=_count_shared(split.groups, split.test.groups),
        test_groups=count_groups(split.test.groups),
    )


def count_groups(groups: Indices | None) -> int | None:
    """Return the number of groups; None where there are none, or each row is one of its own."""
    if groups is None:
        return None
    count = len(np.unique(groups))
    return None if count == len(groups) else count


def warn_of_groups(n_test: int, n_groups: int) -> str:
    """Return what scores on grouped test images do not say, as one sentence."""
    return (
        f"the {n_test:,} test images come in {n_groups:,} groups: intervals and p values take "
        "images as independent, so intervals are too narrow and p values too small."
    )


def _count_held_copies(digests: list[bytes], split: Split) -> int:
    """Count the rows that some round holds out while it learns from the very same image."""
    _, image_of = np.unique(digests, return_inverse=True)
    held = [
        part.held_rows[np.isin(image_of[part.held_rows], image_of[part.fit_rows])]
        for part in split.rounds
    ]
    return len(np.unique(np.concatenate(held))) if held else 0


def _group_duplicates(digests: list[bytes]) -> tuple[tuple[int, ...], ...]:
    rows_of: dict[bytes, list[int]] = {}
    for row, digest in enumerate(digests):
        rows_of.setdefault(digest, []).append(row)
    return tuple(tuple(rows) for rows in rows_of.values() if len(rows) > 1)


def _find_blank(images: Images) -> tuple[int, ...]:
    spread = images.max(axis=1) - images.min(axis=1)
    return tuple(np.flatnonzero(spread < BLANK_RANGE).tolist())


def _count_shared(groups: Indices | None, test_groups: Indices | None) -> int | None:
    if groups is None or test_groups is None:
        return None
    return len(np.intersect1d(groups, test_groups))
