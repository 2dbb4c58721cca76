"""The schema of a tuning: what is searched, for how long, and by what it is judged."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    PlainSerializer,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from tenfold.config.params import parameter_problems
from tenfold.errors import nearest
from tenfold.schema import FrozenModel


def _as_written(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """Check a number, and keep whether it was written as a whole one: 1 is not 1.0."""
    number = check(value)
    return value if type(value) is int else number


Number = Annotated[float, WrapValidator(_as_written), PlainSerializer(lambda number: number)]
Objective = Literal["accuracy", "log_loss", "latency"]
Problem = tuple[tuple[str | int, ...], str]


class SearchedParameter(FrozenModel):
    """The values of one parameter to search: a list of them, or a range of numbers."""

    values: tuple[Any, ...] | None = Field(
        default=None, description="Values to choose from; a plain list stands for this key alone."
    )
    low: Number | None = Field(
        default=None,
        description="Smallest number; default: that of the model's own space. Of an own estimator "
        "whole numbers alone are searched where low and high are both written as such, 1 and not "
        "1.0.",
    )
    high: Number | None = Field(
        default=None, description="Largest number; default: that of the model's own space."
    )
    log: bool | None = Field(
        default=None,
        description="Whether the logarithm is searched evenly; default: as in the model's own "
        "space, else no.",
    )
    when: dict[str, tuple[Any, ...]] = Field(
        default_factory=dict,
        max_length=1,
        description="Another parameter and its values: with those alone this one is searched.",
    )

    @model_validator(mode="before")
    @classmethod
    def _accept_a_list(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return {"values": value}
        if not isinstance(value, Mapping | SearchedParameter):
            raise PydanticCustomError(
                "space",
                "a list of values, a range such as {low: 0.1, high: 10, log: true}, or null",
            )
        return value

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        if self.values is not None and (self.low, self.high, self.log) != (None, None, None):
            raise PydanticCustomError(
                "space", "either values or a range (low, high, log), not both"
            )
        return self

    @property
    def is_range(self) -> bool:
        """Whether it is a range."""
        return self.values is None


class TuneConfig(FrozenModel):
    """How `tenfold tune` searches; `tenfold compare` leaves it alone."""

    n_trials: int = Field(
        default=20,
        ge=1,
        le=100_000,
        description="Trials of each study when it is done, those of earlier calls included.",
    )
    objectives: tuple[Objective, ...] = Field(
        default=("accuracy",),
        min_length=1,
        max_length=2,
        description="What a trial is judged by on the select rows: accuracy or log_loss; with "
        "latency as the second, both are weighed, none is pruned, and a process runs one trial at "
        "a time.",
    )
    pruner: Literal["asha", "hyperband", "median", "none"] = Field(
        default="asha",
        description="What ends hopeless trials early: successive halving, several of it with "
        "different patience, the median of the others, or nothing.",
    )
    reduction_factor: int = Field(
        default=4,
        ge=2,
        le=16,
        description="asha and hyperband: of so many trials one goes on at each rung.",
    )
    startup_trials: int = Field(
        default=5, ge=1, le=1000, description="Trials before the sampler learns from them."
    )
    default_space: bool = Field(
        default=True,
        description="Whether the model's own space is searched where 'space' says nothing.",
    )
    study_name: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="The study's name; default: the experiment's, without a file "
        "tune-MODEL-DATASET. With several models each name is this one and the model's.",
    )
    storage: str | None = Field(
        default=None,
        min_length=1,
        description="Where studies are kept: sqlite:///FILE, or postgresql://USER@HOST/NAME for "
        "several machines; default: studies.db in the workspace.",
        json_schema_extra={"local_only": "storage"},
    )
    timeout_s: float | None = Field(
        default=None, gt=0, description="Seconds after which no further trial of a study starts."
    )
    cv: int = Field(
        default=3, ge=2, le=20, description="Folds of a grid search's cross-validation."
    )
    n_jobs: int | None = Field(
        default=None,
        ge=-1,
        le=256,
        description="Fits at the same time, each on one core unless threads says otherwise; -1: as "
        "many as there are cores. Default: units_at_once.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.n_jobs == 0:
            raise PydanticCustomError("n_jobs", "n_jobs is -1 or at least 1; got 0")
        if "latency" in self.objectives[:1] or self.objectives[1:] not in ((), ("latency",)):
            raise PydanticCustomError(
                "objectives", "accuracy or log_loss, and after it latency or nothing"
            )
        return self

    def unused_by(self, search: Literal["study", "grid"]) -> list[str]:
        """Return what is not the default although the search has no use for it."""
        fields = type(self).model_fields
        used = {"n_jobs", "cv"} if search == "grid" else set(fields) - {"cv"}
        return [
            name
            for name, field in fields.items()
            if name not in used and getattr(self, name) != field.default
        ]


def space_problems(
    schema: type[FrozenModel] | None,
    space: Mapping[str, SearchedParameter | None],
    params: Mapping[str, Any],
) -> Iterator[Problem]:
    """Yield path and message of each broken rule of a search space.

    Args:
        schema: Of the model's parameters; None: an own estimator's, which nobody knows here.
        space: By parameter; None: it is not searched.
        params: What the file fixes.
    """
    for name, searched in space.items():
        if schema is not None and name not in schema.model_fields:
            yield (name,), f"is no parameter. {nearest(name, schema.model_fields)}"
        elif name in params:
            yield (name,), "is in 'params' too; keep one of the two"
        elif searched is not None:
            for place, message in _problems(schema, name, searched):
                yield (name, *place), message


def _problems(
    schema: type[FrozenModel] | None, name: str, searched: SearchedParameter
) -> Iterator[Problem]:
    for other, values in searched.when.items():
        if schema is None and other == name:
            yield ("when", other), "is no other parameter; name the one that this depends on"
        elif schema is not None and (other == name or other not in schema.model_fields):
            yield ("when", other), f"is no other parameter. {nearest(other, schema.model_fields)}"
        else:
            yield from _list_problems(schema, other, values, ("when", other))
    if searched.values is not None:
        yield from _list_problems(schema, name, searched.values, ("values",))
        return
    for end in ("low", "high"):
        value = getattr(searched, end)
        for message in () if value is None else value_problems(schema, name, value):
            yield (end,), message


def _list_problems(
    schema: type[FrozenModel] | None, name: str, values: Sequence[Any], place: tuple[str | int, ...]
) -> Iterator[Problem]:
    if not values:
        yield place, "is empty; give at least one value"
    for index, value in enumerate(values):
        for message in value_problems(schema, name, value):
            yield (*place, index), message


def value_problems(schema: type[FrozenModel] | None, name: str, value: Any) -> tuple[str, ...]:
    """Return what is wrong with one value of one parameter.

    Args:
        schema: Of the model's parameters; None: of an own estimator's, of which no more is known
            here than that they are plain JSON.
        name: The parameter.
        value: A whole float counts as a whole number.
    """
    if schema is None:
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            return (f"got {value!r}; must be a plain JSON value: {error}",)
        return ()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    try:
        schema.model_validate({name: value})
    except ValidationError as error:
        found = parameter_problems(error, schema)
        return tuple(message for place, message in found if place)
    return ()
