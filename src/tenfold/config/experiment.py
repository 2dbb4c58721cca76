"""The schema of an experiment: what Python, YAML, the command line and HTTP all accept."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from tenfold.config.params import PARAMS, parameter_problems
from tenfold.config.settings import expand_home
from tenfold.config.tuning import SearchedParameter, TuneConfig, space_problems
from tenfold.errors import nearest
from tenfold.schema import FrozenModel

#: The data sets that are known by name; any other source is a path.
DATASETS = ("digits", "mnist", "mnist-small", "fashion-mnist", "kmnist", "usps")

#: The most pixels that a side of an image may be asked to have.
MAX_SIDE = 4096

_MAX_TRIALS = 10_000
_LONGEST_NAME = 64
_DOTTED_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*\Z")

Name = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$",
        description="Lower-case letters, digits, '.', '_' and '-'; 64 at most.",
    ),
]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]


class DatasetConfig(FrozenModel):
    """Which images, and how they are split."""

    source: str = Field(
        default="digits",
        min_length=1,
        max_length=4096,
        description="A data set's name (see `tenfold data list`), or a path to an IDX folder, "
        "an .npz file, a .csv file or a folder of class folders.",
        json_schema_extra={"local_only": "path"},
    )
    target: str | None = Field(
        default=None,
        min_length=1,
        description="A class name: makes the binary task 'this class or another'.",
    )
    label_column: str | None = Field(
        default=None, description="Name of a CSV's label column; default: the first column."
    )
    group_column: str | None = Field(
        default=None,
        description="Name of the column that says who wrote an image; no split cuts a group.",
    )
    image_shape: tuple[Side, Side] | None = Field(
        default=None,
        description="Height and width in pixels, where the files do not say it; each at most "
        f"{MAX_SIDE}.",
    )
    max_images: int | None = Field(
        default=None, ge=40, description="Keep at most so many images, a stratified sample."
    )
    validation_fraction: float = Field(
        default=1 / 6,
        ge=0.02,
        le=0.5,
        description="Share of the rows held out for choosing and calibrating.",
    )
    test_fraction: float = Field(
        default=0.2,
        ge=0.05,
        le=0.5,
        description="Share of the rows sealed for the test, where the data has no test part.",
    )
    cv_below: int = Field(
        default=5000,
        ge=0,
        description="Below so many rows choices are made by repeated cross-validation.",
    )
    cv_folds: int = Field(default=5, ge=2, le=20, description="Folds of the cross-validation.")
    cv_repeats: int = Field(default=2, ge=1, le=20, description="Repeats of it.")


class ModelEntry(FrozenModel):
    """One model of the comparison, with fixed parameters and a grid of others."""

    model: str = Field(
        min_length=1,
        max_length=200,
        description="A registered model's name, or 'package.module:Class' of an own estimator.",
        json_schema_extra={"local_only": "dotted path"},
    )
    params: dict[str, Any] = Field(
        default_factory=dict, description="Parameters that every trial of this entry shares."
    )
    grid: dict[str, list[Any]] = Field(
        default_factory=dict,
        description="Lists of values; each combination is one trial, the last name varying "
        f"fastest. An experiment has at most {_MAX_TRIALS} trials, repeats included.",
    )
    space: dict[str, SearchedParameter | None] = Field(
        default_factory=dict,
        description="What `tenfold tune` searches: by parameter a list of values, a range such as "
        "`{low: 0.001, high: 0.1, log: true}`, or null for none. What is not named is as in the "
        "model's default search space.",
    )
    timeout_s: float | None = Field(
        default=None, gt=0, description="Seconds after which one trial of it is ended."
    )

    @model_validator(mode="before")
    @classmethod
    def _accept_a_name(cls, value: Any) -> Any:
        return {"model": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check_parameters(self) -> Self:
        problems = list(self._problems())
        if problems:
            raise PydanticCustomError(
                "parameters", "the parameters are not valid", {"problems": problems}
            )
        return self

    @property
    def is_own_estimator(self) -> bool:
        """Whether `model` is the dotted path of an estimator that tenfold does not register."""
        return ":" in self.model

    @property
    def n_combinations(self) -> int:
        """How many combinations the grid has; 1 without a grid."""
        return math.prod(map(len, self.grid.values()))

    def combinations(self) -> Iterator[dict[str, Any]]:
        """Yield the grid's combinations in order; one empty one when there is no grid."""
        for values in itertools.product(*self.grid.values()):
            yield dict(zip(self.grid, values, strict=True))

    def _problems(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Yield (path below this entry, message) for each broken rule."""
        for name, values in self.grid.items():
            if not values:
                yield ("grid", name), "is empty; give at least one value"
            if name in self.params:
                yield ("grid", name), "is in 'params' too; keep one of the two"
        if self.is_own_estimator:
            if not _DOTTED_PATH.match(self.model):
                yield ("model",), f"got {self.model!r}; must look like 'package.module:Class'"
            yield from self._space_problems(None)
            return
        schema = PARAMS.get(self.model)
        if schema is None:
            yield (
                ("model",),
                f"got {self.model!r}, which is no model. {nearest(self.model, PARAMS)}",
            )
            return
        yield from _schema_problems(schema, self.params, ("params",))
        for name, values in self.grid.items():
            for index, value in enumerate(values):
                yield from _schema_problems(schema, {name: value}, ("grid",), index=index)
        yield from self._space_problems(schema)

    def _space_problems(
        self, schema: type[FrozenModel] | None
    ) -> Iterator[tuple[tuple[str | int, ...], str]]:
        for place, message in space_problems(schema, self.space, self.params):
            yield ("space", *place), message


class ExperimentConfig(FrozenModel):
    """A whole experiment: the data, the models, and how they are compared."""

    name: Name = Field(default="experiment", description="Names the results and the MLflow runs.")
    description: str = Field(
        default="", max_length=2000, description="A sentence or two for the report."
    )
    dataset: DatasetConfig = Field(
        default_factory=DatasetConfig, description="The images; a plain string is its source."
    )
    models: tuple[ModelEntry, ...] = Field(
        min_length=1, description="What is compared; a plain string is a model with its defaults."
    )
    seed: int = Field(default=42, ge=0, lt=2**31, description="Seed of every fit.")
    repeats: int = Field(
        default=1,
        ge=1,
        le=100,
        description="Trainings of each row with seeds seed, seed+1, …: measures retraining.",
    )
    refit: Literal["winner", "all", "none"] = Field(
        default="winner",
        description="Which recipes are fitted again on train and validation rows together.",
    )
    threads: int | None = Field(
        default=None,
        ge=1,
        le=256,
        description="Threads of one fit; default: all cores, at most 4.",
    )
    units_at_once: int | None = Field(
        default=None,
        ge=0,
        le=256,
        description="Fits at the same time, each in its own process; default: cores over threads. "
        "0 fits inside this process, without time and memory limits.",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        default="auto", description="What networks compute on."
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="Arithmetic of networks; auto asks the hardware's flags."
    )
    processes: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Processes that share the training of each network, slice by slice of every "
        "batch, on one GPU each or on the cores of one fit.",
    )
    timeout_s: float | None = Field(
        default=None, gt=0, description="Seconds after which any one trial is ended."
    )
    time_limit_s: float | None = Field(
        default=None, gt=0, description="Seconds for the whole experiment."
    )
    memory_limit_mb: int | None = Field(
        default=None,
        ge=256,
        description="Memory of one fit's process in MiB, at which it is ended.",
    )
    wanted_precision: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Binary tasks: report the threshold that reaches it on validation rows.",
    )
    wanted_recall: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Binary tasks: report the threshold that reaches it on validation rows.",
    )
    tune: TuneConfig | None = Field(
        default=None, description="How `tenfold tune` searches; null: as it does by default."
    )
    tracking: Literal["mlflow", "none"] = Field(
        default="mlflow",
        description="Where finished trials are remembered; none forgets them at the end.",
    )

    @model_validator(mode="before")
    @classmethod
    def _accept_a_source(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and isinstance(value.get("dataset"), str):
            return {**value, "dataset": {"source": value["dataset"]}}
        return value

    @model_validator(mode="after")
    def _check_trials(self) -> Self:
        n_trials = self.repeats * sum(entry.n_combinations for entry in self.models)
        if n_trials > _MAX_TRIALS:
            line = (
                f"the combinations of the grids, times repeats, make {n_trials:,} trials; at most "
                f"{_MAX_TRIALS:,} are allowed, so shorten the lists or search with `tenfold tune`"
            )
            raise PydanticCustomError(
                "trials", "there are too many trials", {"problems": [(("models",), line)]}
            )
        return self

    @model_validator(mode="after")
    def _check_wanted(self) -> Self:
        wanted = {"wanted_precision": self.wanted_precision, "wanted_recall": self.wanted_recall}
        for name, value in wanted.items():
            if value is not None and self.dataset.target is None:
                raise PydanticCustomError(
                    "wanted",
                    "the parameters are not valid",
                    {
                        "problems": [
                            ((name,), "needs a binary task; set dataset.target to a class name")
                        ]
                    },
                )
        return self


def name_for(text: str) -> str:
    """Return the name that is nearest to a text, for example to a file's stem.

    >>> name_for("My Digits")
    'my-digits'
    """
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")[:_LONGEST_NAME] or "experiment"


def name_on(text: str, source: str) -> str:
    """Return the name of what is done on a data set, another one for each data set.

    Of a path it has the stem and six digits that stand for the whole path; where 64 characters do
    not hold all, the text is cut, and six digits stand for it.

    >>> name_on("compare", "digits")
    'compare-digits'
    """
    on = source
    if source not in DATASETS:
        path = expand_home(Path(source), what="the data set").resolve()
        on = f"{path.stem[:24]}-{_digits_of(str(path))}"
    if len(f"{text}-{on}") > _LONGEST_NAME:
        text = f"{text[: _LONGEST_NAME - len(on) - 8]}-{_digits_of(text)}"
    return name_for(f"{text}-{on}")


def _digits_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def _schema_problems(
    schema: type[FrozenModel],
    values: Mapping[str, Any],
    prefix: tuple[str | int, ...],
    *,
    index: int | None = None,
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    try:
        schema.model_validate(values)
    except ValidationError as error:
        for place, message in parameter_problems(error, schema):
            if index is not None and not place:
                continue  # a rule over several fields is judged on the whole trial
            at = place if index is None else (*place[:1], index, *place[1:])
            yield (*prefix, *at), message
