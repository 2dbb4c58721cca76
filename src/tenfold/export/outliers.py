"""How unlike the training images an image is, by two measures, as one number."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.extmath import randomized_svd

from tenfold.errors import ExportError
from tenfold.export.graph import Graph
from tenfold.pixels import Images

Floats = npt.NDArray[np.floating[Any]]

_DIRECTIONS = 32
_MOST_ROWS = 10_000
_BLOCK_ROWS = 1000
_MOST_VALUES = 50_000_000
_LEAST_DOUBT, _LEAST_DISTANCE = 1e-3, 1e-6  # limits of what is 0 for every familiar image
_ROUNDING = 1e-5  # how far a doubt may lie from the graph's, which has single precision
# Of the mean variance. Some directions hold nothing but rounding: layer norm makes such ones.
_LEAST_SHARE = 1e-2
_LEAST_VARIANCE = 1e-12


@dataclass(frozen=True, eq=False)
class Distance:
    """The Mahalanobis distance to the nearest class, with one covariance for all classes.

    Proposed for the features of networks by Lee et al. 2018 ("A simple unified framework for
    detecting out-of-distribution samples and adversarial attacks"). The covariance is that of
    probabilistic principal components (Tipping and Bishop 1999): some directions with a variance
    each, and one variance for all that is left.

    Args:
        centre: ``(d,)`` mean of the features.
        directions: ``(d, r)``; what a squared distance is smaller by along them.
        rate: 1 / the variance that is left.
        towards: ``(d, k)`` inverse covariance times each class's mean.
        offsets: ``(k,)`` squared distance of each class's mean from the centre.
    """

    centre: Floats
    directions: Floats
    rate: float
    towards: Floats
    offsets: Floats

    @classmethod
    def fit(cls, features: Floats, codes: npt.NDArray[np.integer[Any]]) -> Distance:
        """Learn from training images' features, which are changed in place, and class indices."""
        n_rows, n_features = features.shape
        classes, members = np.unique(codes, return_inverse=True)
        means = np.stack(
            [
                features[members == place].mean(axis=0, dtype=np.float64)
                for place in range(len(classes))
            ]
        )
        centre = np.bincount(members) @ means / n_rows
        within = features
        for place, mean in enumerate(means.astype(features.dtype)):
            within[members == place] -= mean
        r = max(0, min(_DIRECTIONS, n_features - 1, n_rows - len(classes)))
        _, lengths, found = randomized_svd(within, max(r, 1), random_state=0)
        variances, directions = lengths[:r].astype(np.float64) ** 2 / n_rows, found[:r].T
        total = float(np.einsum("ij,ij->", within, within, dtype=np.float64)) / n_rows
        left = max((total - variances.sum()) / (n_features - r), _LEAST_SHARE * total / n_features)
        left = max(left, _LEAST_VARIANCE)
        gain = np.maximum(1 / left - 1 / np.maximum(variances, left), 0)
        shifted = (means - centre).T
        towards = shifted / left - directions @ (gain[:, None] * (directions.T @ shifted))
        return cls(
            centre=centre.astype(np.float32),
            directions=(directions * np.sqrt(gain)).astype(np.float32),
            rate=1 / left,
            towards=towards.astype(np.float32),
            offsets=(shifted * towards).sum(axis=0).astype(np.float32),
        )

    def measure(self, features: Floats) -> Floats:
        """Return ``(n,)`` distances, 0 and above."""
        blocks = range(0, len(features), _BLOCK_ROWS)
        return np.concatenate(
            [self._measure(features[start : start + _BLOCK_ROWS]) for start in blocks]
        )

    def _measure(self, features: Floats) -> Floats:
        shifted = features - self.centre
        known = ((shifted @ self.directions) ** 2).sum(axis=1)
        whole = self.rate * (shifted**2).sum(axis=1) - known
        nearest = (self.offsets - 2 * (shifted @ self.towards)).min(axis=1)
        return np.asarray(np.sqrt(np.maximum(whole + nearest, 0)))

    def add(self, graph: Graph, features: str) -> str:
        """Add `measure` to a graph; ``(n,)`` float32."""
        shifted = graph.add("Sub", features, self.centre)
        length = graph.reduce("ReduceSumSquare", shifted, 1)
        known = graph.add("MatMul", shifted, self.directions)
        whole = graph.add(
            "Sub",
            graph.add("Mul", length, np.float32(self.rate)),
            graph.reduce("ReduceSumSquare", known, 1),
        )
        products = graph.add("MatMul", shifted, self.towards)
        to_class = graph.add("Sub", self.offsets, graph.add("Mul", products, np.float32(2)))
        square = graph.add("Add", whole, graph.reduce("ReduceMin", to_class, 1))
        return graph.add("Sqrt", graph.add("Relu", square))


@dataclass(frozen=True, eq=False)
class OutlierRule:
    """When an image counts as none of the classes.

    The score is the larger of two measures, each divided by the limit that most familiar images
    keep: the doubt, 1 minus the largest probability (Hendrycks and Gimpel 2017, "A baseline for
    detecting misclassified and out-of-distribution examples"), and the distance of the features,
    what the last layer of a network sees or the pixels, to the training images. So it is 0 and
    above; about 1 is the limit of the familiar.

    Args:
        threshold: An image with a larger score is an outlier.
        false_alarms: Share of the familiar images that are outliers all the same.
        doubt_limit: Doubt that half of the false alarms exceed.
        distance_limit: Distance that half of the false alarms exceed.
        distance: How the distance is measured.
    """

    threshold: float
    false_alarms: float
    doubt_limit: float
    distance_limit: float
    distance: Distance = field(repr=False)

    def score(self, features: Floats, probabilities: Floats) -> Floats:
        """Return ``(n,)`` scores, as the graph does.

        Args:
            features: ``(n, d)``, from `outlier_features`.
            probabilities: ``(n, k)``.
        """
        return self.combine(self.distance.measure(features), probabilities)

    def combine(self, distances: Floats, probabilities: Floats) -> Floats:
        """Return ``(n,)`` scores from distances that were measured already."""
        doubt = (1 - probabilities.max(axis=1)) / self.doubt_limit
        return np.asarray(np.maximum(doubt, distances / self.distance_limit))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values for people; the rule itself is inside the graph."""
        return {
            "method": "larger of doubt and Mahalanobis distance, each by its limit",
            "threshold": self.threshold,
            "false_alarms": self.false_alarms,
            "doubt_limit": self.doubt_limit,
            "distance_limit": self.distance_limit,
        }


def rule_rows(n_images: int, n_pixels: int) -> npt.NDArray[np.int64]:
    """Return which of many training images the rule is fitted on; all, where they are few."""
    n_rows = min(n_images, _MOST_ROWS, max(1, _MOST_VALUES // n_pixels))
    return np.linspace(0, n_images - 1, n_rows).astype(np.int64)


def fit_outlier_rule(
    estimator: Any,
    images: Images,
    codes: npt.NDArray[np.integer[Any]],
    calibrate_images: Images,
    *,
    probabilities: Floats | None = None,
    distances: Floats | None = None,
    false_alarms: float = 0.01,
) -> OutlierRule:
    """Fit the rule of a model's outlier score.

    Args:
        estimator: A fitted estimator of a registered model.
        images: ``(n, height * width)`` uint8 training images; of many, `rule_rows` are taken.
        codes: ``(n,)`` their class indices.
        calibrate_images: ``(m, height * width)`` uint8 images like those to come, that no choice
            was made by: limits and threshold are chosen on them.
        probabilities: ``(m, k)`` of those images, by fits that had not seen them; by default the
            estimator's own.
        distances: ``(m,)`` of those images, by `held_out_distances`: needed where they are among
            the training images; by default the rule's own.
        false_alarms: Share of familiar images that may be called outliers, above 0, below 1.

    Returns:
        The rule, for `export_onnx`.

    Raises:
        ExportError: There are no images, or the share is out of range.
    """
    if not len(images) or len(images) != len(codes) or not len(calibrate_images):
        raise ExportError(
            "An outlier rule needs training images with one class index each, and images to "
            f"calibrate by; got {len(images)}, {len(codes)} and {len(calibrate_images)}."
        )
    if not 0 < false_alarms < 1:
        raise ExportError(f"false_alarms must lie between 0 and 1; got {false_alarms!r}.")
    rows = rule_rows(*images.shape)
    distance = Distance.fit(outlier_features(estimator, images[rows]), np.asarray(codes)[rows])
    if probabilities is None:
        probabilities = np.asarray(estimator.predict_proba(calibrate_images))
    if distances is None:
        distances = distance.measure(outlier_features(estimator, calibrate_images))
    rule = OutlierRule(
        threshold=1.0,
        false_alarms=false_alarms,
        doubt_limit=max(_limit(1 - probabilities.max(axis=1), false_alarms / 2), _LEAST_DOUBT),
        distance_limit=max(_limit(distances, false_alarms / 2), _LEAST_DISTANCE),
        distance=distance,
    )
    limit = _limit(rule.combine(distances, probabilities), false_alarms)
    # Votes leave few doubts to have: what is equal here must not be beyond it in the graph.
    return replace(rule, threshold=limit + _ROUNDING / rule.doubt_limit)


def held_out_distances(
    estimator: Any,
    images: Images,
    codes: npt.NDArray[np.integer[Any]],
    parts: Iterable[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]],
) -> Floats:
    """Return how far training images are from the others, as images are that nothing learned from.

    Each part's distance is fitted on its other images alone. What a network sees of an image comes
    from weights that did learn from it; on the embedded digits the limits held all the same (200 to
    800 training images: 0.1 to 0.5 % of unseen images beyond a limit of 0.5 %).

    Args:
        estimator: A fitted estimator of a registered model.
        images: ``(n, height * width)`` uint8.
        codes: ``(n,)`` their class indices.
        parts: Indices of the images to learn from, and of those to measure, of each part.

    Returns:
        ``(m,)``, of the parts' measured images in their order.
    """
    found = []
    for learned, held in parts:
        rows = learned[rule_rows(len(learned), images.shape[1])]
        distance = Distance.fit(outlier_features(estimator, images[rows]), codes[rows])
        found.append(distance.measure(outlier_features(estimator, images[held])))
    return np.concatenate(found)


def outlier_features(estimator: Any, images: Images) -> Floats:
    """Return ``(n, d)`` float32: what a network's last layer sees, or for others pixels of 0..1."""
    if hasattr(estimator, "network_"):
        networks = importlib.import_module("tenfold.export.networks")
        features: Floats = networks.network_features(estimator, images)
        return features
    return images.astype(np.float32) / np.float32(255)


def add_outlier_score(
    graph: Graph, features: str, probabilities: str, rule: OutlierRule | None
) -> str:
    """Add the score to a graph; ``(n,)`` float32.

    Args:
        graph: Where to.
        features: Name of ``(n, d)`` float32.
        probabilities: Name of ``(n, k)`` float32.
        rule: None: the doubt alone, 0 to 1.
    """
    largest = graph.reduce("ReduceMax", probabilities, 1)
    doubt = graph.add("Sub", np.float32(1), largest)
    if rule is None:
        return doubt
    distance = graph.add("Div", rule.distance.add(graph, features), np.float32(rule.distance_limit))
    return graph.add("Max", graph.add("Div", doubt, np.float32(rule.doubt_limit)), distance)


def _limit(values: Floats, share: float) -> float:
    """Return what no more than a share of the values exceed."""
    return float(np.quantile(values, 1 - share, method="higher"))
