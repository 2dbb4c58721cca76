"""Search spaces: a model's own, narrowed or replaced by a file, and values drawn from them."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from tenfold.config import (
    PARAMS,
    ExperimentConfig,
    ModelEntry,
    SearchedParameter,
    TuneConfig,
    canonical_params,
)
from tenfold.config.tuning import value_problems
from tenfold.errors import ConfigError
from tenfold.models import Choice, Range, Space, When, get_spec
from tenfold.records import canonical_json

Dimension = Range | Choice


class Drawer(Protocol):
    """Draws values; an `optuna.Trial` is one."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        """Draw a number."""
        ...

    def suggest_int(self, name: str, low: int, high: int, *, log: bool) -> int:
        """Draw a whole number."""
        ...

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """Draw one of some plain values."""
        ...


@dataclass(frozen=True)
class Start:
    """Where a search begins: the recipe without tuning, or what is nearest to it in the space.

    Args:
        drawn: By parameter the value to draw, in the space.
        instead: Values that no range holds, such as ``"scale"``, used in place of what is drawn.
        is_untuned: Whether this is the recipe without tuning: the space holds all its values.
    """

    drawn: Mapping[str, Any]
    instead: Mapping[str, Any]
    is_untuned: bool = True


def resolve_spaces(config: ExperimentConfig) -> tuple[Space, ...]:
    """Return what is searched for each model of a configuration.

    Raises:
        ConfigError: As `resolve_space`, or a model has a grid.
    """
    tune = config.tune or TuneConfig()
    problems = [
        f"models.{index}.grid: a study searches a space; use `tenfold tune --grid`, or write "
        "'space' in place of 'grid'"
        for index, entry in enumerate(config.models)
        if entry.grid
    ]
    counts = Counter(entry.model for entry in config.models)
    problems += [
        f"models: {name} stands there {count} times; a search takes each once: put what differs "
        "into one space, with 'when' where it has an effect only beside some value"
        for name, count in counts.items()
        if count > 1
    ]
    if config.repeats > 1:
        problems.append(
            f"repeats: {config.repeats} is for `tenfold compare`; a study fits each recipe once, "
            "leave it out"
        )
    problems += [
        f"tune.{name}: only a grid search has a use for it; leave it out, or use `tenfold tune "
        "--grid`. A study cross-validates where dataset.cv_below says so"
        for name in tune.unused_by("study")
    ]
    if problems:
        raise ConfigError(problems)
    return tuple(
        resolve_space(entry, default_space=tune.default_space, place=f"models.{index}")
        for index, entry in enumerate(config.models)
    )


def resolve_space(
    entry: ModelEntry, *, default_space: bool = True, place: str = "models.0"
) -> Space:
    """Return what is searched for a model.

    Args:
        entry: Its ``space`` narrows, widens and adds to the model's own; a parameter that
            ``params`` fixes is not searched.
        default_space: Whether the model's own space is searched where the entry says nothing.
        place: What error lines start with.

    Raises:
        ConfigError: A range is empty or lacks an end, or nothing is left to search.
    """
    own = {} if entry.is_own_estimator else get_spec(entry.model).search_space
    kept = {name: own[name] for name in own if default_space and name not in entry.params}
    space: dict[str, Dimension] = dict(kept)
    problems: list[str] = []
    for name, asked in entry.space.items():
        space.pop(name, None)
        if asked is None:
            continue
        try:
            space[name] = _dimension(entry, name, asked, own.get(name))
        except ValueError as error:
            problems.append(f"{place}.space.{name}: {error}")
    for name, reason in _never_met(space, entry).items():
        if name in entry.space:
            problems.append(f"{place}.space.{name}.when: {reason}")
        else:  # the model's own, which what the entry fixes has put out of use
            del space[name]
    if not problems and not space:
        problems.append(
            f"{place}.space: nothing is searched; give a range or values of a parameter"
        )
    problems += _circles(space, place)
    if problems:
        raise ConfigError(problems)
    return MappingProxyType(_ordered(space))


def draw(space: Space, base: Mapping[str, Any], drawer: Drawer) -> dict[str, Any]:
    """Return values for the parameters of a space; those without effect are left out.

    Args:
        space: What to draw from.
        base: The other parameters, on which conditions may depend.
        drawer: Draws.
    """
    drawn: dict[str, Any] = {}
    for name, dimension in space.items():
        if is_searched(dimension, {**base, **drawn}):
            drawn[name] = _draw_one(name, dimension, drawer)
    return drawn


def is_searched(dimension: Dimension, params: Mapping[str, Any]) -> bool:
    """Say whether a parameter has an effect beside these others."""
    when = dimension.when
    return when is None or params.get(when.parameter) in when.values


def start_of(space: Space, params: Mapping[str, Any]) -> Start:
    """Return where a search begins: at the parameters given, or as near as the space allows.

    Args:
        space: What is searched.
        params: Complete parameters, such as a model's defaults.

    >>> start_of({"C": Range(1.0, 10.0)}, {"C": 99, "gamma": "auto"}).drawn
    {'C': 10.0}
    """
    drawn: dict[str, Any] = {}
    instead: dict[str, Any] = {}
    is_untuned = True
    for name, dimension in space.items():
        if not is_searched(dimension, {**params, **drawn}):
            continue
        value = params[name]
        if isinstance(dimension, Choice):
            # One value alone is fixed, as it would be among the parameters.
            is_untuned &= value in dimension.values or len(dimension.values) == 1
            drawn[name] = encoded(value if value in dimension.values else dimension.values[0])
        elif isinstance(value, int | float):
            nearest = min(max(value, dimension.low), dimension.high)
            is_untuned &= nearest == value
            drawn[name] = int(nearest) if dimension.whole else float(nearest)
        else:
            drawn[name], instead[name] = _middle(dimension), value
    return Start(drawn, instead, is_untuned)


def combinations(space: Space, base: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield everything that can be drawn from a space of choices and whole numbers.

    Args:
        space: For which `size_of` gives a number.
        base: As for `draw`.
    """
    names = list(space)
    seen: set[str] = set()
    for values in itertools.product(*map(_values, space.values())):
        drawn: dict[str, Any] = {}
        for name, value in zip(names, values, strict=True):
            if is_searched(space[name], {**base, **drawn}):
                drawn[name] = value
        text = canonical_json(drawn)
        if text not in seen:
            seen.add(text)
            yield drawn


def size_of(space: Space) -> int | None:
    """Return how many combinations of values there are at most; None: without end."""
    sizes = [_n_values(part) for part in space.values()]
    return None if None in sizes else math.prod(size for size in sizes if size is not None)


def describe_dimension(dimension: Dimension) -> str:
    """Return the values of one parameter for people.

    >>> describe_dimension(Range(0.001, 0.1, log=True))
    '0.001 to 0.1, log scale'
    """
    if isinstance(dimension, Choice):
        text = ", ".join(_shown(value) for value in dimension.values)
    else:
        text = f"{dimension.low:g} to {dimension.high:g}"
        text += ", whole numbers" if dimension.whole else ""
        text += ", log scale" if dimension.log else ""
    if dimension.when is None:
        return text
    values = " or ".join(_shown(value) for value in dimension.when.values)
    return f"{text}, when {dimension.when.parameter} is {values}"


def encoded(value: Any) -> Any:
    """Return a value as Optuna can keep it: a list as its JSON text."""
    return canonical_json(value) if isinstance(value, list | tuple | dict) else value


def _dimension(
    entry: ModelEntry, name: str, asked: SearchedParameter, own: Dimension | None
) -> Dimension:
    when = own.when if own is not None and not asked.when else None
    for other, values in asked.when.items():
        when = When(other, values)
    if asked.values is not None:
        return Choice(asked.values, when)
    known = own if isinstance(own, Range) else None
    low = asked.low if known is None or asked.low is not None else known.low
    high = asked.high if known is None or asked.high is not None else known.high
    if low is None or high is None:
        raise ValueError("needs both low and high: the model's own space has no range of it")
    if low >= high:
        raise ValueError(f"the range {low:g} to {high:g} is empty; low must be less than high")
    log = asked.log if asked.log is not None else bool(known and known.log)
    if log and low <= 0:
        raise ValueError(f"low is {low:g}; a range on a log scale begins above 0")
    whole = bool(known and known.whole) or _is_whole(entry.model, name, low, high)
    return Range(low, high, log=log, whole=whole, when=when)


def _is_whole(model: str, name: str, low: float, high: float) -> bool:
    """Say whether only whole numbers are allowed, by asking the schema about one that is not.

    An own estimator has none: there both ends are written as whole numbers, 1 and not 1.0.
    """
    if model not in PARAMS:
        return isinstance(low, int) and isinstance(high, int)
    between = math.floor(low) + 0.5
    return bool(value_problems(PARAMS[model], name, between)) and between < high


def _circles(space: Space, place: str) -> list[str]:
    return [
        f"{place}.space.{name}.when: {dimension.when.parameter!r} has a condition itself; "
        "it must always be searched, or be fixed"
        for name, dimension in space.items()
        if dimension.when is not None
        and (other := space.get(dimension.when.parameter)) is not None
        and other.when is not None
    ]


def _never_met(space: Space, entry: ModelEntry) -> dict[str, str]:
    """Return by parameter why its condition is met by nothing that can be drawn."""
    unmet: dict[str, str] = {}
    for name, dimension in space.items():
        when = dimension.when
        other = None if when is None else space.get(when.parameter)
        if when is None or isinstance(other, Range):
            continue
        if isinstance(other, Choice):
            found = other.values
        else:
            known = canonical_params(entry.model, entry.params)
            if when.parameter not in known:  # an own estimator's defaults, nobody knows here
                unmet[name] = (
                    f"{when.parameter} is neither searched nor in 'params'; so {name} is never "
                    "searched"
                )
                continue
            found = (known[when.parameter],)
        if not set(map(canonical_json, found)) & set(map(canonical_json, when.values)):
            only = " or ".join(_shown(value) for value in found)
            unmet[name] = (
                f"{when.parameter} is never "
                f"{' or '.join(_shown(value) for value in when.values)}, only {only}; "
                f"so {name} is never searched"
            )
    return unmet


def _ordered(space: Mapping[str, Dimension]) -> dict[str, Dimension]:
    """Return the parameters with conditions after those that they depend on."""
    return dict(sorted(space.items(), key=lambda item: item[1].when is not None))


def _draw_one(name: str, dimension: Dimension, drawer: Drawer) -> Any:
    if isinstance(dimension, Choice):
        known = {canonical_json(encoded(value)): value for value in dimension.values}
        drawn = drawer.suggest_categorical(name, [encoded(value) for value in dimension.values])
        return known[canonical_json(drawn)]
    if dimension.whole:
        return drawer.suggest_int(name, int(dimension.low), int(dimension.high), log=dimension.log)
    return drawer.suggest_float(name, dimension.low, dimension.high, log=dimension.log)


def _middle(dimension: Range) -> float:
    low, high = dimension.low, dimension.high
    middle = math.sqrt(low * high) if dimension.log else (low + high) / 2
    return round(middle) if dimension.whole else round(middle, 12)


def _n_values(dimension: Dimension) -> int | None:
    """Return how many values there are; None: without end."""
    if isinstance(dimension, Choice):
        return len(dimension.values)
    return int(dimension.high) - int(dimension.low) + 1 if dimension.whole else None


def _values(dimension: Dimension) -> Sequence[Any]:
    """Return the values of a choice or of a range of whole numbers."""
    if isinstance(dimension, Choice):
        return dimension.values
    return range(int(dimension.low), int(dimension.high) + 1)


def _shown(value: Any) -> str:
    return (
        "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )
