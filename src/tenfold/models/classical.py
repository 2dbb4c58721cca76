"""The classical models: scikit-learn's and XGBoost's estimators behind one shell."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier as _RandomForest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDClassifier as _Sgd
from threadpoolctl import threadpool_limits

from tenfold._optional import require
from tenfold.config.params import (
    RandomForestParams,
    SgdParams,
    XgboostParams,
)
from tenfold.errors import ModelInputError
from tenfold.models.base import Codes, Floats, ImageClassifier, OnReady, check_labels
from tenfold.models.calibration import Calibrator
from tenfold.models.spec import TREES_PER_REPORT
from tenfold.pixels import Images, check_images

logger = logging.getLogger(__name__)

OnTrees = Callable[[int, Mapping[str, float]], None]

_BLOCK_ROWS = 10_000
_LEAST_LIKELIHOOD = 1e-15


class ClassicalClassifier(ImageClassifier):
    """Base of the models that learn from pixels of 0..1, or their principal components.

    A subclass says by `_make` what to fit, and by `dtype` in which precision.

    Attributes:
        model_: The fitted inner estimator.
        pca_: The fitted reduction, or None.
    """

    dtype: ClassVar[type[np.floating[Any]]] = np.float32

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Learn from images and their labels; see `ImageClassifier.fit`."""
        params = self._checked_params()
        images, codes = self._start_fit(X, y)
        with threadpool_limits(limits=self.threads), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.pca_ = None
            if params.pca is not None:
                self.pca_ = fit_pca(self._scaled(images), params.pca)
            self.model_ = self._make(params)
            self._fit_model(self._features(images), codes)
        if np.max(getattr(self.model_, "n_iter_", 0)) >= getattr(params, "max_iter", np.inf):
            logger.info("%s stopped at max_iter=%d", type(self).__name__, params.max_iter)
        return self

    def predict_proba(self, X: npt.ArrayLike) -> Floats:
        """Return the probability of each class; see `ImageClassifier.predict_proba`."""
        return self._by_blocks(self._probabilities, X)

    def _make(self, params: Any) -> Any:
        """Return the inner estimator, not fitted."""
        raise NotImplementedError

    def _fit_model(self, features: Floats, codes: Codes) -> None:
        """Fit the inner estimator."""
        self.model_.fit(features, codes)

    def _probabilities(self, features: Floats) -> Floats:
        """Return the inner estimator's probabilities."""
        probabilities: Floats = self.model_.predict_proba(features)
        return probabilities

    def _scaled(self, images: Images) -> Floats:
        """Return the pixels as 0..1."""
        return np.divide(images, self.dtype(255), dtype=self.dtype)

    def _features(self, images: Images) -> Floats:
        """Return what the inner estimator sees of the images."""
        scaled = self._scaled(images)
        if self.pca_ is None:
            return scaled
        # In double precision, then rounded: so the order in which a machine sums up does not show,
        # and a tree, which compares with bounds, takes the same way everywhere.
        centred = scaled - self.pca_.mean_.astype(np.float64)
        reduced: Floats = centred @ self.pca_.components_.astype(np.float64).T
        return reduced.astype(self.dtype)

    def _by_blocks(self, function: Callable[[Floats], Floats], X: npt.ArrayLike) -> Floats:
        """Apply a function to the features of some rows at a time, to bound the memory."""
        images = self._seen_images(X)
        with threadpool_limits(limits=self.threads):
            parts = [
                function(self._features(images[start : start + _BLOCK_ROWS]))
                for start in range(0, len(images), _BLOCK_ROWS)
            ]
        return np.concatenate(parts)


class MarginClassifier(ClassicalClassifier):
    """Base of the models that give scores, which a calibrator turns into probabilities.

    Attributes:
        calibrator_: Plain sigmoid or softmax until a fitted one is put in its place.
    """

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Learn from images and their labels; see `ImageClassifier.fit`."""
        super().fit(X, y)
        self._start_calibration()
        return self

    def decision_function(self, X: npt.ArrayLike) -> Floats:
        """Return the score of each class, larger is likelier.

        Args:
            X: ``(n, height * width)`` pixels, whole numbers 0 to 255.

        Returns:
            ``(n, n_classes)``; for two classes ``(n,)``, above zero for the second.
        """
        return self._by_blocks(self._scores, X)

    def predict_proba(self, X: npt.ArrayLike) -> Floats:
        """Return the probability of each class; see `ImageClassifier.predict_proba`."""
        scores = self.decision_function(X)
        return self.calibrator_.probabilities(scores)

    def _start_calibration(self) -> None:
        self.calibrator_ = Calibrator("platt" if len(self.classes_) == 2 else "temperature")

    def _scores(self, features: Floats) -> Floats:
        """Return the inner estimator's scores."""
        scores: Floats = self.model_.decision_function(features)
        return scores


class TreesClassifier(ClassicalClassifier):
    """Base of the models that add one tree after the other: the first are a smaller model's."""

    n_estimators: int

    def fit_path(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        smaller: Sequence[Self],
        *,
        on_ready: OnReady,
        **options: Any,
    ) -> Self:
        """Fit all trees, and share the first of them out; see `ImageClassifier.fit_path`."""
        self.fit(X, y, **options)
        for estimator in smaller:
            self._teach(estimator)
            estimator.model_ = self._first_trees(estimator.n_estimators)
        on_ready([*smaller, self])
        return self

    def _first_trees(self, n_estimators: int) -> Any:
        """Return the inner estimator that a fit of so many trees would have made."""
        raise NotImplementedError


class RandomForestClassifier(TreesClassifier, schema=RandomForestParams):
    """Random forest; scikit-learn's own, which is faster here than Intel's."""

    def _make(self, params: Any) -> Any:
        trees = params.model_dump(exclude={"pca"})
        return _RandomForest(random_state=self.seed, n_jobs=self.threads, **trees)

    def _first_trees(self, n_estimators: int) -> Any:
        forest = copy.copy(self.model_).set_params(n_estimators=n_estimators)
        forest.estimators_ = forest.estimators_[:n_estimators]
        return forest

    def _probabilities(self, features: Floats) -> Floats:
        # Rows are shared between the threads, not trees: a sum over trees in the order in which
        # threads happen to finish would differ in the last digit from run to run.
        self.model_.set_params(n_jobs=1)
        with ThreadPoolExecutor(self.threads) as pool:
            parts = pool.map(
                self.model_.predict_proba,
                np.array_split(features, min(self.threads, len(features))),
            )
            return np.concatenate(list(parts))


class XgboostClassifier(TreesClassifier, schema=XgboostParams):
    """Gradient-boosted trees by XGBoost."""

    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        validation: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
        on_trees: OnTrees | None = None,
    ) -> Self:
        """Learn from images and their labels.

        Args:
            X: As for `ImageClassifier.fit`.
            y: As there.
            validation: Images and labels to report on; the trees do not learn from them.
            on_trees: Called after every tenth tree with how many there are (of each class) and the
                validation rows' val_loss and val_accuracy. What it raises ends the fit.

        Returns:
            The estimator itself.

        Raises:
            ModelInputError: The images or the labels break a rule.
            ConfigError: A parameter breaks a rule.
        """
        self._watched = None
        if validation is not None and on_trees is not None:
            images = check_images(validation[0])
            self._watched = images, check_labels(validation[1], len(images)), on_trees
        try:
            return super().fit(X, y)
        finally:
            del self._watched

    def _fit_model(self, features: Floats, codes: Codes) -> None:
        if self._watched is not None:
            self.model_.set_params(callbacks=[self._reporter(*self._watched)])
        self.model_.fit(features, codes)
        self.model_.set_params(callbacks=None)

    def _reporter(self, images: Images, labels: npt.NDArray[Any], on_trees: OnTrees) -> Any:
        """Return the callback of XGBoost that reports on validation rows."""
        xgboost: Any = require("xgboost")
        rows = xgboost.DMatrix(self._features(images), nthread=self.threads)

        class Reporter(xgboost.callback.TrainingCallback):
            def after_iteration(_, model: Any, epoch: int, __: Any) -> bool:  # noqa: N805
                trees = epoch + 1
                if trees % TREES_PER_REPORT == 0:
                    on_trees(trees, self._report(model.predict(rows), labels))
                return False

        return Reporter()

    def _report(self, given: Floats, labels: npt.NDArray[Any]) -> dict[str, float]:
        """Return mean log loss and accuracy of the probabilities of some rows."""
        probabilities = given if given.ndim == 2 else np.column_stack([1 - given, given])
        right = labels[:, None] == self.classes_
        likelihood = np.where(right, probabilities, 0).sum(axis=1).clip(min=_LEAST_LIKELIHOOD)
        return {
            "val_loss": float(-np.log(likelihood).mean()),
            "val_accuracy": float(
                right[np.arange(len(labels)), probabilities.argmax(axis=1)].mean()
            ),
        }

    def _make(self, params: Any) -> Any:
        booster = params.model_dump(exclude={"pca"})
        return require("xgboost").XGBClassifier(
            random_state=self.seed, n_jobs=self.threads, verbosity=0, **booster
        )

    def _first_trees(self, n_estimators: int) -> Any:
        # Not by set_params, which would reach into the booster that both have until the last line.
        boosted = copy.copy(self.model_)
        boosted.n_estimators = n_estimators
        boosted._Booster = self.model_.get_booster()[:n_estimators]  # noqa: SLF001  # no setter
        return boosted


class SgdClassifier(MarginClassifier, schema=SgdParams):
    """Linear classifier by stochastic gradient descent, one against the rest."""

    def _make(self, params: Any) -> Any:
        linear = params.model_dump(exclude={"pca"})
        return _Sgd(random_state=self.seed, n_jobs=self.threads, **linear)


def fit_pca(pixels: Floats, pca: float) -> PCA:
    """Return the principal components of the training rows.

    Args:
        pixels: ``(n, n_pixels)`` values 0..1.
        pca: Fraction of the variance to keep (below 1), or number of components.

    Raises:
        ModelInputError: More components than rows or pixels, or images that are all equal.
    """
    if pca > min(pixels.shape):
        raise ModelInputError(
            f"pca={pca!r} asks for more components than the {pixels.shape[0]} training rows of "
            f"{pixels.shape[1]} pixels have; at most {min(pixels.shape)}, or a fraction below 1."
        )
    if np.array_equal(pixels.min(axis=0), pixels.max(axis=0)):
        raise ModelInputError("pca needs images that differ; all training images are equal.")
    solver = "covariance_eigh" if len(pixels) >= pixels.shape[1] else "full"
    return PCA(n_components=pca, svd_solver=solver).fit(pixels)
