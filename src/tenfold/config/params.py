"""The parameters of every registered model: their types, bounds, defaults and descriptions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError

from tenfold.config.network_params import (
    BnCnnParams,
    CnnParams,
    DeepCnnParams,
    FcnnParams,
    KerasCnnParams,
    MlpParams,
    PcaCnnParams,
    SimpleConvNetParams,
    VitParams,
)
from tenfold.config.schema import ModelParams
from tenfold.errors import ConfigError, UnknownModelError, nearest

Pca = Annotated[
    Annotated[int, Field(ge=1, strict=True)] | Annotated[float, Field(gt=0, lt=1)] | None,
    Field(
        description="Principal components to reduce the pixels to before the fit: a fraction of "
        "the variance to keep (between 0 and 1), a number of components (1 or more), or null "
        "for none. Fitted on the training rows only."
    ),
]


class LogisticRegressionParams(ModelParams):
    """Multinomial logistic regression, L2 penalty, L-BFGS."""

    max_iter: int = Field(100, ge=1, le=100_000, description="Most iterations of the solver.")
    C: float = Field(1.0, gt=0, le=1e9, description="Inverse strength of the L2 penalty.")
    pca: Pca = None


class KnnParams(ModelParams):
    """The k nearest training images by Euclidean distance."""

    n_neighbors: int = Field(5, ge=1, le=10_000, description="Neighbours that vote.")
    weights: Literal["uniform", "distance"] = Field(
        "uniform", description="Whether votes count equally or by inverse distance."
    )
    pca: Pca = None


class SvmParams(ModelParams):
    """Support vector machine."""

    C: float = Field(10.0, gt=0, le=1e9, description="Inverse strength of the penalty.")
    gamma: Literal["scale", "auto"] | Annotated[float, Field(gt=0, le=1e6)] = Field(
        "scale",
        description="Width of the kernel on pixels of 0..1: scale is 1 / (n_pixels * variance), "
        "auto is 1 / n_pixels.",
    )
    kernel: Literal["rbf", "linear", "poly"] = Field("rbf", description="Kernel function.")
    degree: int = Field(3, ge=1, le=10, description="Degree of the poly kernel.")
    pca: Pca = None


class RandomForestParams(ModelParams):
    """Random forest of fully grown trees."""

    n_estimators: int = Field(100, ge=1, le=10_000, description="Trees.")
    max_depth: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None, description="Most levels of a tree; null: until the leaves are pure."
    )
    min_samples_split: int = Field(
        2, ge=2, le=1_000_000, description="Fewest rows that a node must hold to be split."
    )
    min_samples_leaf: int = Field(
        1, ge=1, le=1_000_000, description="Fewest rows that a leaf must hold."
    )
    criterion: Literal["gini", "entropy"] = Field("gini", description="Measure of impurity.")
    max_features: Literal["sqrt", "log2"] | Annotated[float, Field(gt=0, le=1)] | None = Field(
        "sqrt", description="Pixels tried at each split: a rule, a fraction, or null for all."
    )
    bootstrap: bool = Field(
        True,
        description="Give each tree rows drawn with replacement; without, each has all rows, which "
        "helps where there are few.",
    )
    pca: Pca = None


class XgboostParams(ModelParams):
    """Gradient-boosted trees by XGBoost."""

    n_estimators: int = Field(100, ge=1, le=10_000, description="Rounds of boosting.")
    max_depth: int = Field(6, ge=1, le=64, description="Most levels of a tree.")
    learning_rate: float = Field(0.3, gt=0, le=1, description="Shrinkage of each tree.")
    tree_method: Literal["hist", "approx", "exact"] = Field(
        "hist", description="How splits are found; hist is by far the fastest."
    )
    max_bin: int = Field(
        32,
        ge=2,
        le=256,
        description="Steps of a pixel's values between which hist and approx split; "
        "with 256, XGBoost's own default, fits take three times as long.",
    )
    subsample: float = Field(1.0, gt=0, le=1, description="Fraction of the rows for each tree.")
    colsample_bytree: float = Field(
        1.0, gt=0, le=1, description="Fraction of the pixels for each tree."
    )
    min_child_weight: float = Field(
        1.0, ge=0, le=1e6, description="Smallest sum of weights that a leaf must hold."
    )
    reg_lambda: float = Field(1.0, ge=0, le=1e6, description="L2 penalty on leaf values.")
    pca: Pca = None


class SgdParams(ModelParams):
    """Linear classifier by stochastic gradient descent, one against the rest."""

    loss: Literal["hinge", "log_loss", "modified_huber"] = Field(
        "hinge", description="Loss; hinge is a linear SVM, log_loss logistic regression."
    )
    alpha: float = Field(1e-4, gt=0, le=1e3, description="Strength of the L2 penalty.")
    max_iter: int = Field(100, ge=1, le=100_000, description="Most passes over the data.")
    tol: float = Field(
        1e-3, ge=0, le=1, description="Stop when the loss falls by less than this; 0: never."
    )
    average: bool = Field(False, description="Average the weights over all steps.")
    pca: Pca = None


PARAMS: Mapping[str, type[ModelParams]] = MappingProxyType(
    {
        "logistic_regression": LogisticRegressionParams,
        "knn": KnnParams,
        "svm": SvmParams,
        "random_forest": RandomForestParams,
        "xgboost": XgboostParams,
        "sgd": SgdParams,
        "mlp": MlpParams,
        "keras_cnn": KerasCnnParams,
        "cnn": CnnParams,
        "fcnn": FcnnParams,
        "simple_conv_net": SimpleConvNetParams,
        "bn_cnn": BnCnnParams,
        "pca_cnn": PcaCnnParams,
        "deep_cnn": DeepCnnParams,
        "vit": VitParams,
    }
)


def describe_error(problem: Mapping[str, Any], schema: type[BaseModel]) -> str:
    """Return the value got and what is allowed, from one problem that pydantic found.

    Args:
        problem: An item of ``ValidationError.errors()``.
        schema: The model whose fields are the valid names where the key is unknown.
    """
    if problem["type"] == "extra_forbidden":
        return f"is no known key. {nearest(str(problem['loc'][-1]), schema.model_fields)}"
    if problem["type"] == "missing":
        return "is required"
    message = problem["msg"].removeprefix("Input should be ")
    if problem["type"] == "value_error":
        rule = message.removeprefix("Value error, ")
        # A rule over several keys names them itself; what it got is all of them.
        return rule if isinstance(problem["input"], dict) else f"got {problem['input']!r}: {rule}"
    return f"got {problem['input']!r}; must be {message[:1].lower()}{message[1:]}"


def parameter_problems(
    error: ValidationError, schema: type[BaseModel]
) -> tuple[tuple[tuple[str | int, ...], str], ...]:
    """Return the place and the message of each problem with a model's parameters, each once.

    Args:
        error: What pydantic raised.
        schema: The model that refused the values.
    """
    found: dict[tuple[tuple[str | int, ...], str], None] = {}
    for problem in error.errors(include_url=False):
        # Behind a field's name stand places in a list, and names of a union's members: left out.
        tail = (part for part in problem["loc"][1:] if isinstance(part, int))
        found[(*problem["loc"][:1], *tail), describe_error(problem, schema)] = None
    return tuple(found)


def explain(error: ValidationError, schema: type[BaseModel], prefix: str = "") -> tuple[str, ...]:
    """Return one line per problem: its path, the value got, the rule, the nearest valid name.

    Args:
        error: What pydantic raised.
        schema: The model that refused the values; its fields are the valid names.
        prefix: Put before each path, for example ``"svm."``.
    """
    problems = parameter_problems(error, schema)
    named = ((prefix + ".".join(map(str, place)), message) for place, message in problems)
    return tuple(f"{name.removesuffix('.')}: {message}" for name, message in named)


def canonical_params(model: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's complete parameters in their one JSON form.

    Args:
        model: A registered name, or the dotted path ``package.module:Class`` of an own estimator,
            whose parameters are only checked to be plain JSON values: nothing is imported.
        params: Some or all parameters; what is missing takes its default.

    Returns:
        Plain values in the schema's order: tuples as lists, whole numbers as floats where the
        schema says float, so that equal recipes give equal texts.

    Raises:
        UnknownModelError: No model has this name.
        ConfigError: A parameter is unknown, of a wrong type or out of bounds.

    >>> canonical_params("svm", {"C": 1})
    {'C': 1.0, 'gamma': 'scale', 'kernel': 'rbf', 'degree': 3, 'pca': None}
    """
    if ":" in model:
        return _plain_json(model, params)
    schema = PARAMS.get(model)
    if schema is None:
        raise UnknownModelError(f"No model is named {model!r}. {nearest(model, PARAMS)}")
    try:
        return schema.model_validate(dict(params)).model_dump(mode="json")
    except ValidationError as error:
        raise ConfigError(explain(error, schema, f"{model}.")) from error


def _plain_json(model: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters as JSON gives them back."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(params), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ConfigError(
            [f"{model}: parameters of an own estimator must be plain JSON values: {error}."]
        ) from error
    return plain
