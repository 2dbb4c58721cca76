"""The support vector machine: who solves it, and what its pairs say of each class."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from tenfold.config.params import SvmParams
from tenfold.models.base import Codes, Floats, OnReady
from tenfold.models.classical import MarginClassifier
from tenfold.models.pairs import PairwiseSvc, fit_together, most_pair_rows
from tenfold.pixels import Images

PAIR_SLOPE = 4.0  # validation rows of MNIST like 8 best, of Fashion-MNIST 2; between them little
# The kernel of so many rows takes 1.6 GB; two classes of MNIST have up to 13,007.
_MOST_PAIR_ROWS = 14_000


class SvmClassifier(MarginClassifier, schema=SvmParams):
    """Support vector machine, one class against one.

    Learns from pixels what scikit-learn's ``SVC`` learns from them, by `PairwiseSvc`. From
    principal components, or where the kernel of two classes would be too large, Intel's solver
    learns, and scikit-learn's where that is not installed.
    """

    C: float

    def fit_path(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        smaller: Sequence[Self],
        *,
        on_ready: OnReady,
    ) -> Self:
        """Solve for each C on kernels that are made once; see `ImageClassifier.fit_path`."""
        params = self._checked_params()
        images, codes = self._start_fit(X, y)
        every = [*smaller, self]
        models = [self._make(params.model_copy(update={"C": one.C})) for one in every]
        if not isinstance(models[0], PairwiseSvc):
            for one in every:
                on_ready([one.fit(X, y)])
            return self
        fit_together(models, images, codes)
        self.pca_ = None
        self._start_calibration()
        for one, model in zip(every, models, strict=True):
            self._teach(one)
            one.model_ = model
        on_ready(every)
        return self

    def _start_fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Images, Codes]:
        images, codes = super()._start_fit(X, y)
        self._pair_rows = most_pair_rows(codes)
        return images, codes

    def _make(self, params: Any) -> Any:
        machine = params.model_dump(exclude={"pca"})
        if params.pca is None and self._pair_rows <= _MOST_PAIR_ROWS:
            return PairwiseSvc(threads=self.threads, **machine)
        cls, threads = _intel_or_stock(self.threads)
        return cls(decision_function_shape="ovo", random_state=self.seed, **machine, **threads)

    def _features(self, images: Images) -> Any:
        return images if isinstance(self.model_, PairwiseSvc) else super()._features(images)

    def _scores(self, features: Floats) -> Floats:
        margins = super()._scores(features)
        return margins if margins.ndim == 1 else pairwise_scores(margins, len(self.classes_))


def pairwise_scores(margins: Floats, n_classes: int) -> Floats:
    """Return one score per class from the margins of all pairs of classes.

    The score is the logarithm of the product of the pairs' sigmoids (Price et al. 1995, "Pairwise
    neural network classifiers with probabilistic outputs"), which calibrates far better than
    counted votes. Where the two disagree on the first place, the scores of both classes are
    exchanged: the label is always the one with most votes, the lowest class where votes tie, as
    libsvm and so scikit-learn's ``SVC.predict`` decide it.

    Args:
        margins: ``(n, n_classes * (n_classes - 1) / 2)``; pair (i, j), i < j, is above zero for i.
        n_classes: 3 or more.

    Returns:
        ``(n, n_classes)`` scores, larger is likelier.
    """
    n = len(margins)
    scores, votes = np.zeros((n, n_classes)), np.zeros((n, n_classes), dtype=np.int64)
    first, second = np.triu_indices(n_classes, k=1)
    for column, (i, j) in enumerate(zip(first, second, strict=True)):
        margin = margins[:, column].astype(np.float64)
        votes[:, i] += margin > 0
        votes[:, j] += margin <= 0
        scores[:, i] -= np.logaddexp(0.0, -PAIR_SLOPE * margin)
        scores[:, j] -= np.logaddexp(0.0, PAIR_SLOPE * margin)
    rows, voted, best = np.arange(n), votes.argmax(axis=1), scores.argmax(axis=1)
    scores[rows, voted], scores[rows, best] = scores[rows, best], scores[rows, voted]
    return scores


def _intel_or_stock(threads: int) -> tuple[Any, dict[str, int]]:
    """Return ``SVC`` of scikit-learn-intelex, or scikit-learn's own without it.

    Args:
        threads: Threads of one fit.

    Returns:
        The class, and the keyword argument that sets its threads where it takes one.
    """
    try:
        return importlib.import_module("sklearnex.svm").SVC, {"n_jobs": threads}
    except ImportError:
        return importlib.import_module("sklearn.svm").SVC, {}
