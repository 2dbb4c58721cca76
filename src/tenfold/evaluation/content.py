"""What a report is made from: plain values and arrays, gathered by whoever ran the experiment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tenfold.errors import ScoreInputError
from tenfold.evaluation.confusion import IntArray
from tenfold.evaluation.curves import OperatingPoint, at_threshold, threshold_for
from tenfold.evaluation.cv_results import CvTable
from tenfold.evaluation.intervals import FloatArray
from tenfold.evaluation.leaderboard import Leaderboard
from tenfold.evaluation.probabilities import Verdict, list_verdicts
from tenfold.evaluation.sheets import Pixels, pick_samples
from tenfold.histories import StudyHistory
from tenfold.records import Views

TARGETS = tuple(
    (target, wanted) for target in ("precision", "recall") for wanted in (0.9, 0.95, 0.99)
)
"""What a two-class report chooses thresholds for, unless it is told."""

_MOST_SHOWN = 40


@dataclass(frozen=True, eq=False)
class Inside:
    """What a network shows of itself, and the images that it was shown.

    Args:
        views: Filters and attention.
        images: ``(n, height * width)``, 0 to 255, the development rows ``views.rows``.
        labels: ``(n,)`` their class indices.
    """

    views: Views
    images: Pixels
    labels: IntArray


@dataclass(frozen=True, eq=False)
class ReportInput:
    """Everything that a report shows.

    Args:
        name: The experiment's name.
        leaderboard: Its rows, with the winner.
        image_shape: Height and width of every image in pixels.
        dataset: Facts about the data set in the order to show them, for example name and source.
        split: One sentence on how the images were divided.
        fingerprint: SHA-256 of the data set.
        class_counts: Development images of each class.
        config_yaml: The resolved configuration.
        seed: The experiment's seed.
        environment: Versions and machine in the order to show them.
        created: When, as text.
        description: What the experiment is about, in the user's words.
        warnings: What makes the numbers doubtful, one sentence each.
        test_groups: Groups that the test images come in; None where each stands alone.
        audit_rows: The data check: what was looked for, how many were found, what it means.
        sample_images: ``(s, height * width)``, 0 to 255, from the development images.
        sample_labels: ``(s,)`` class indices.
        test_images: ``(n_test, height * width)``, 0 to 255; None without a winner.
        test_labels: ``(n_test,)`` class indices; None without a winner.
        test_probabilities: ``(n_test, k)``, the winner's; None without a winner.
        calibrate_labels: ``(c,)`` class indices of the rows that thresholds are chosen on; read
            for two classes only.
        calibrate_probabilities: ``(c, k)``, given to them by the winner's train fit.
        calibrate_repeats: How often each image is among those rows: once for each repeat of
            cross-validation.
        targets: ``("precision", 0.9)`` and the like: what thresholds are chosen for.
        insides: What networks show of themselves, by the key of the fit that is tested.
        studies: The studies that the rows come from.
        tables: The grid searches that they come from.
    """

    name: str
    leaderboard: Leaderboard
    image_shape: tuple[int, int]
    dataset: Mapping[str, object]
    split: str
    fingerprint: str
    class_counts: Sequence[int]
    config_yaml: str
    seed: int
    environment: Mapping[str, object]
    created: str
    description: str = ""
    warnings: Sequence[str] = ()
    test_groups: int | None = None
    audit_rows: Sequence[tuple[str, int, str]] = ()
    sample_images: Pixels | None = field(default=None, repr=False)
    sample_labels: IntArray | None = field(default=None, repr=False)
    test_images: Pixels | None = field(default=None, repr=False)
    test_labels: IntArray | None = field(default=None, repr=False)
    test_probabilities: FloatArray | None = field(default=None, repr=False)
    calibrate_labels: IntArray | None = field(default=None, repr=False)
    calibrate_probabilities: FloatArray | None = field(default=None, repr=False)
    calibrate_repeats: int = 1
    targets: Sequence[tuple[str, float]] = TARGETS
    insides: Mapping[str, Inside] = field(default_factory=dict, repr=False)
    studies: Sequence[StudyHistory] = ()
    tables: Sequence[CvTable] = ()

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in index order."""
        return self.leaderboard.class_names

    @property
    def predicted(self) -> tuple[IntArray, FloatArray] | None:
        """Test labels and the winner's probabilities; None without a winner."""
        if self.leaderboard.winner is None or self.test_labels is None:
            return None
        if self.test_probabilities is None:
            return None
        return self.test_labels, self.test_probabilities


def list_shown(labels: IntArray, probabilities: FloatArray) -> tuple[Verdict, ...]:
    """Return what the first images of each class were taken for, class by class.

    Args:
        labels: ``(n,)`` class indices.
        probabilities: ``(n, k)``.
    """
    n_classes = probabilities.shape[1]
    rows = pick_samples(labels, n_classes=n_classes, per_class=_MOST_SHOWN // 2, limit=_MOST_SHOWN)
    return list_verdicts(labels, probabilities, rows)


def name_classes(labels: Iterable[int], n_classes: int) -> str:
    """Say which classes images are of.

    Args:
        labels: Their class indices.
        n_classes: Number of classes.

    >>> name_classes([0, 0, 1], 2), name_classes([0, 0, 1], 3)
    ('every class', '2 of the 3 classes')
    """
    shown = len(set(labels))
    return "every class" if shown == n_classes else f"{shown} of the {n_classes} classes"


@dataclass(frozen=True)
class ChosenThreshold:
    """A threshold for a wanted precision or recall and what it does.

    Args:
        target: ``"precision"`` or ``"recall"``.
        wanted: The value asked for, 0 to 1.
        validation: What it does on the rows that it was chosen on; None when out of reach there.
        test: What it does on the test images.
    """

    target: str
    wanted: float
    validation: OperatingPoint | None
    test: OperatingPoint | None


def choose_thresholds(report: ReportInput) -> tuple[ChosenThreshold, ...]:
    """Choose thresholds on the calibrate rows and report them on the test images.

    Args:
        report: Of a two-class task; without calibrate rows or with more classes, the answer is
            empty.
    """
    labels, probabilities = report.calibrate_labels, report.calibrate_probabilities
    predicted = report.predicted
    if predicted is None or labels is None or probabilities is None or len(report.class_names) != 2:
        return ()
    chosen = []
    for target, wanted in report.targets:
        try:
            threshold = threshold_for(labels, probabilities, **{target: wanted})
        except ScoreInputError:
            chosen.append(ChosenThreshold(target, wanted, None, None))
            continue
        on_validation = at_threshold(
            labels, probabilities, threshold, repeats=report.calibrate_repeats
        )
        on_test = at_threshold(*predicted, threshold)
        chosen.append(ChosenThreshold(target, wanted, on_validation, on_test))
    return tuple(chosen)
