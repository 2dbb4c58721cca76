"""What every estimator shares: the constructor, the checks of images and labels, `predict`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from tenfold.config.params import explain
from tenfold.config.schema import ModelParams
from tenfold.errors import ConfigError, ModelInputError
from tenfold.pixels import Images, check_images

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating[Any]]
OnReady = Callable[[Sequence[Any]], None]


class ImageClassifier(ClassifierMixin, BaseEstimator):
    """Base of every classifier of grey images.

    A subclass names its parameters by ``schema=``: its constructor takes the schema's fields, with
    the schema's defaults, and the `settings` below, all by keyword. They are stored as they come
    and checked by `fit`, as scikit-learn wants it.

    Attributes:
        classes_: The labels, sorted; columns of `predict_proba` are in this order.
        n_features_in_: Pixels of an image.
        chosen_: Decisions that fit made and a refit repeats, for example ``{"epochs": 7}``.
    """

    schema: ClassVar[type[ModelParams]] = ModelParams
    settings: ClassVar[Mapping[str, Any]] = {"image_shape": None, "seed": 0, "threads": 1}

    image_shape: tuple[int, int] | None
    seed: int
    threads: int

    def __init_subclass__(cls, *, schema: type[ModelParams] | None = None, **rest: Any) -> None:
        """Give the subclass the constructor that its schema describes."""
        if schema is not None:
            cls.schema = schema
            defaults = {name: item.get_default() for name, item in schema.model_fields.items()}
            cls.__init__ = _constructor({**defaults, **cls.settings})  # type: ignore[method-assign]
        super().__init_subclass__(**rest)

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Learn from images and their labels.

        Args:
            X: ``(n, height * width)`` pixels, whole numbers 0 to 255 of any numeric type.
            y: ``(n,)`` labels: whole numbers or strings, at least two different ones.

        Returns:
            The estimator itself.

        Raises:
            ModelInputError: The images or the labels break a rule.
            ConfigError: A parameter breaks a rule.
        """
        raise NotImplementedError

    def fit_path(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        smaller: Sequence[Self],
        *,
        on_ready: OnReady,
    ) -> Self:
        """Learn, and answer with the same work for estimators of smaller values of the path.

        Each ends as a fit of its own would leave it, to the bit. Only models with a
        `ModelSpec.path` can do it, and only under its conditions.

        Args:
            X: As for `fit`.
            y: As for `fit`.
            smaller: Not fitted; they differ from this one in the path's parameter alone, which
                rises from each to the next and then to this one's.
            on_ready: Is given the estimators that are ready, in this order, as soon as they are:
                one after the other, or several that came ready at once. It may take its time.

        Returns:
            The estimator itself.

        Raises:
            ModelInputError: The images or the labels break a rule, or the fit cannot be shared.
            ConfigError: A parameter breaks a rule.
        """
        raise NotImplementedError

    @classmethod
    def predict_proba_each(cls, estimators: Sequence[Self], X: npt.ArrayLike) -> list[Floats]:
        """Return what `predict_proba` of each estimator says of the same images.

        Args:
            estimators: Those that `fit_path` gave out together.
            X: As for `predict_proba`.
        """
        return [estimator.predict_proba(X) for estimator in estimators]

    def predict_proba(self, X: npt.ArrayLike) -> Floats:
        """Return the probability of each class.

        Args:
            X: ``(n, height * width)`` pixels, whole numbers 0 to 255 of any numeric type.

        Returns:
            ``(n, n_classes)``, each row sums to 1, columns in the order of ``classes_``.

        Raises:
            ModelInputError: The images break a rule.
        """
        raise NotImplementedError

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the most probable label of each image.

        Args:
            X: ``(n, height * width)`` pixels, whole numbers 0 to 255 of any numeric type.

        Returns:
            ``(n,)`` labels; the first in ``classes_`` where probabilities tie.

        Raises:
            ModelInputError: The images break a rule.
        """
        best = np.argmax(self.predict_proba(X), axis=1)
        labels: npt.NDArray[Any] = self.classes_[best]
        return labels

    def _checked_params(self) -> Any:
        """Return the parameters as an instance of the schema."""
        values = {name: getattr(self, name) for name in self.schema.model_fields}
        try:
            return self.schema.model_validate(values)
        except ValidationError as error:
            raise ConfigError(explain(error, self.schema, f"{type(self).__name__}.")) from error

    def _start_fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Images, Codes]:
        """Check the training data and learn the classes; return images and class indices."""
        images = check_images(X)
        if self.image_shape is not None:
            _check_width(images, tuple(self.image_shape))
        labels = check_labels(y, len(images))
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ModelInputError(
                f"A classifier needs at least 2 classes; y holds only {self.classes_[0]!r}. "
                "Add rows of another class."
            )
        self.n_features_in_ = images.shape[1]
        self.chosen_: dict[str, Any] = {}
        return images, codes.astype(np.int64)

    def _teach(self, other: Self) -> None:
        """Let another estimator know what this one has learned."""
        learned = {name: value for name, value in vars(self).items() if name.endswith("_")}
        for name, value in (learned | {"chosen_": dict(self.chosen_)}).items():
            setattr(other, name, value)

    def _seen_images(self, X: npt.ArrayLike) -> Images:
        """Return images to predict, checked against those that fit saw."""
        check_is_fitted(self, "classes_")
        images = check_images(X)
        if images.shape[1] != self.n_features_in_:
            raise ModelInputError(
                f"X must have the {self.n_features_in_} columns (height * width) that fit saw; "
                f"got {images.shape[1]}. Resize the images first."
            )
        return images


def check_labels(y: npt.ArrayLike, n_images: int) -> npt.NDArray[Any]:
    """Return labels as a one-dimensional array of whole numbers or strings.

    Args:
        y: ``(n_images,)`` labels.
        n_images: Rows of X.

    Raises:
        ModelInputError: Wrong shape or length, missing labels, or fractions.
    """
    labels = np.asarray(y)
    if labels.shape != (n_images,):
        raise ModelInputError(
            f"y must hold one label for each of the {n_images} images; got shape {labels.shape}."
        )
    if labels.dtype.kind == "O":
        kinds = {type(label) for label in labels.tolist()}
        if kinds != {str}:
            names = ", ".join(sorted(kind.__name__ for kind in kinds))
            raise ModelInputError(f"Labels must be all numbers or all strings; got {names}.")
        labels = labels.astype(str)
    if labels.dtype.kind == "f" and not np.array_equal(labels, np.rint(labels)):
        raise ModelInputError("Labels must be whole numbers or strings; got NaN or fractions.")
    return labels


def _check_width(images: Images, image_shape: tuple[int, ...]) -> None:
    """Refuse images that do not have the pixels of `image_shape`."""
    height, width = image_shape
    if images.shape[1] != height * width:
        raise ModelInputError(
            f"X must have height * width = {height} * {width} = {height * width} columns; "
            f"got {images.shape[1]}. Pass the image_shape that fits the data."
        )


def _constructor(defaults: Mapping[str, Any]) -> Callable[..., None]:
    """Return an ``__init__`` that stores its keyword arguments, with a signature to read."""
    keywords = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
        for name, default in defaults.items()
    ]
    me = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    signature = inspect.Signature([me, *keywords])

    def store(self: Any, /, *args: Any, **given: Any) -> None:
        bound = signature.bind(self, *args, **given)
        bound.apply_defaults()
        for name in defaults:
            setattr(self, name, bound.arguments[name])

    store.__name__ = "__init__"
    store.__signature__ = signature  # type: ignore[attr-defined]
    return store
