"""Experiments as files: reading YAML, `--set a.b=c`, and one line for each broken rule."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tenfold.config.compat import from_four_keys, has_four_keys
from tenfold.config.experiment import ExperimentConfig, name_for, name_on
from tenfold.config.params import describe_error
from tenfold.errors import ConfigError
from tenfold.schema import FrozenModel


def load_config(
    path: Path | str, *, overrides: Iterable[str] = (), dataset: str | None = None
) -> ExperimentConfig:
    """Read an experiment from a YAML file.

    Args:
        path: The file. Its stem is the experiment's name where the file gives none.
        overrides: Assignments such as ``"seed=7"`` or ``"models.0.params.C=10"``.
        dataset: Another source of images than the file's; the name then says so, so that one data
            set's results never replace another's.

    Returns:
        The checked configuration.

    Raises:
        ConfigError: The file cannot be read or breaks a rule; one line per problem.
    """
    from tenfold.config.yaml_text import read_mapping

    path = Path(path)
    raw = read_mapping(path)
    if has_four_keys(raw):
        raw = from_four_keys(raw, origin=str(path))
    raw.setdefault("name", name_for(path.stem))
    if dataset is not None:
        given = raw.get("dataset", {})
        raw["dataset"] = {**(given if isinstance(given, dict) else {}), "source": dataset}
        raw["name"] = name_on(str(raw["name"]), dataset)
    return parse_config(raw, overrides=overrides, origin=str(path))


def parse_config(
    raw: Mapping[str, Any], *, overrides: Iterable[str] = (), origin: str = "configuration"
) -> ExperimentConfig:
    """Check a plain mapping and make it an experiment.

    Args:
        raw: The keys of `ExperimentConfig`.
        overrides: As in `load_config`.
        origin: What error lines start with, for example a file's name.

    Raises:
        ConfigError: One line per problem.

    >>> parse_config({"models": ["knn"]}, overrides=["seed=7"]).seed
    7
    """
    tree = dict(raw)
    for assignment in overrides:
        _assign(tree, assignment)
    try:
        return ExperimentConfig.model_validate(tree)
    except ValidationError as error:
        told = _without_misspelt(error.errors())
        raise ConfigError(f"{origin}: {line}" for item in told for line in _lines(item)) from error


def dump_config(config: ExperimentConfig) -> str:
    """Return the YAML text that `load_config` reads back to an equal configuration."""
    from tenfold.config.yaml_text import write_mapping

    return write_mapping(config.model_dump(mode="json"))


def without_passwords(config: ExperimentConfig) -> ExperimentConfig:
    """Return a configuration that may be shown: the password of the studies' storage is hidden."""
    if config.tune is None or config.tune.storage is None:
        return config
    tune = config.tune.model_copy(update={"storage": without_password(config.tune.storage)})
    return config.model_copy(update={"tune": tune})


def without_password(address: str) -> str:
    """Return a database's address with ``***`` for its password.

    >>> without_password("postgresql://ann:secret@host/studies")
    'postgresql://ann:***@host/studies'
    >>> without_password("postgresql://ann:se/cret@host/studies?sslpassword=secret")
    'postgresql://ann:***@host/studies?sslpassword=***'
    """
    hidden = re.sub(r"(://[^/@:]*:)[^@]*@", r"\1***@", address)
    return re.sub(r"([?&](?:ssl)?password=)[^&]*", r"\1***", hidden)


def _assign(tree: dict[str, Any], assignment: str) -> None:
    """Set one value of a nested mapping in place, copying what it walks through."""
    dotted, equals, text = assignment.partition("=")
    if not equals or not dotted.strip():
        raise ConfigError([f"--set {assignment}: must look like key=value or a.b=value"])
    from tenfold.config.yaml_text import read_value

    value = read_value(text, origin=f"--set {assignment}") if text else ""
    *parents, last = dotted.strip().split(".")
    at: Any = tree
    for name in parents:
        at = _step(at, name, assignment)
    _put(at, last, value, assignment)


def _step(at: Any, name: str, assignment: str) -> Any:
    if isinstance(at, list):
        index = _index(at, name, assignment)
        inner = at[index]
        at[index] = inner = {"model": inner} if isinstance(inner, str) else _copied(inner)
    else:
        inner = at.get(name, {})
        if name == "dataset" and isinstance(inner, str):
            inner = {"source": inner}
        at[name] = inner = _copied(inner)
    if not isinstance(inner, dict | list):
        raise ConfigError([f"--set {assignment}: {name!r} holds {inner!r}, nothing lies below it"])
    return inner


def _put(at: Any, name: str, value: Any, assignment: str) -> None:
    if isinstance(at, list):
        at[_index(at, name, assignment)] = value
    else:
        at[name] = value


def _index(at: list[Any], name: str, assignment: str) -> int:
    if not name.isdecimal() or int(name) >= len(at):
        raise ConfigError(
            [f"--set {assignment}: {name!r} must be a position from 0 to {len(at) - 1}"]
        )
    return int(name)


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, list | tuple) else value


def _without_misspelt(items: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the errors, but not of a missing key that an unknown one is taken for."""
    items = list(items)
    guesses = {
        (item["loc"][:-1], describe_error(item, _schema_at(item["loc"])))
        for item in items
        if item["type"] == "extra_forbidden"
    }

    def is_misspelt(loc: tuple[str | int, ...]) -> bool:
        guess = f"Did you mean {loc[-1]!r}?"
        return any(guess in line for parent, line in guesses if parent == loc[:-1])

    return [item for item in items if item["type"] != "missing" or not is_misspelt(item["loc"])]


def _lines(item: Mapping[str, Any]) -> Iterable[str]:
    """Yield ``path: message`` for one pydantic error, with the problems it may carry."""
    loc = tuple(item["loc"])
    problems = item.get("ctx", {}).get("problems")
    if item["type"] == "too_short" and item["input"]:
        return  # every item was refused, and each has its own line
    if problems is not None:
        for path, message in problems:
            yield f"{_dotted((*loc, *path))}: {message}"
    else:
        yield f"{_dotted(loc)}: {describe_error(item, _schema_at(loc))}"


def _dotted(loc: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in loc) or "top level"


def _schema_at(loc: tuple[str | int, ...]) -> type[FrozenModel]:
    """Return the schema whose keys were valid at the parent of a path."""
    schema: type[FrozenModel] = ExperimentConfig
    for part in loc[:-1]:
        field = schema.model_fields.get(str(part))
        if field is not None:
            schema = _model_in(field.annotation) or schema
    return schema


def _model_in(annotation: Any) -> type[FrozenModel] | None:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, FrozenModel) else None
    found = (_model_in(inner) for inner in typing.get_args(annotation))
    return next((model for model in found if model is not None), None)
