"""YAML as text: the one module that needs its parser, and is imported where there is some."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tenfold.errors import ConfigError

MAX_FILE_BYTES = 1_000_000
#: What the parser raises: its own, and what comes of a value that its type cannot have.
_REFUSED = (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError)


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a file that holds keys and values.

    Raises:
        ConfigError: It cannot be read, or is no YAML, or holds something else.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(
                [f"{path}: is larger than {MAX_FILE_BYTES:,} bytes, the most a configuration has"]
            )
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError([f"{path}: no such file; see experiments/ for ones to copy"]) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: cannot be read as text: {error}"]) from error
    try:
        raw = yaml.load(text, Loader=_OneOfEachKey)  # noqa: S506 a SafeLoader
    except _REFUSED as error:
        raise ConfigError([f"{path}: is not valid YAML: {_one_line(error)}"]) from error
    if not isinstance(raw, dict):
        raise ConfigError(
            [f"{path}: must hold keys and values, got {type(raw).__name__}; see experiments/"]
        )
    return raw


def read_value(text: str, *, origin: str) -> Any:
    """Return the value that a short text stands for, for example a number.

    Raises:
        ConfigError: It is no YAML; the line starts with `origin`.
    """
    try:
        return yaml.load(text, Loader=_OneOfEachKey)  # noqa: S506 a SafeLoader
    except _REFUSED as error:
        raise ConfigError([f"{origin}: is not valid YAML: {_one_line(error)}"]) from error


def write_mapping(mapping: Mapping[str, Any]) -> str:
    """Return a mapping as YAML, its keys in their order."""
    text: str = yaml.safe_dump(dict(mapping), sort_keys=False, allow_unicode=True)
    return text


class _OneOfEachKey(yaml.SafeLoader):
    """A safe loader that refuses a key given twice, which YAML would silently drop.

    It refuses keys that are lists or mappings, too: ``{{ name }}`` of a template is one.
    """

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be a name, no list or mapping", key.start_mark
                )
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key.value!r} is given twice", key.start_mark
                )
            seen.add(key.value)
        return typing.cast("dict[Any, Any]", super().construct_mapping(node, deep=deep))


def _one_line(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, ValueError):
        return f"a value is none of its type: {str(error).partition(';')[0]}"
    if not isinstance(error, yaml.YAMLError):
        return "a value does not fit the type that its tag names"
    mark = getattr(error, "problem_mark", None)
    where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{getattr(error, 'problem', None) or error}{where}"
