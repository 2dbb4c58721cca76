"""A model's parameters as options of a command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tenfold.config.yaml_text import read_value
from tenfold.errors import UsageError


def read_model_options(arguments: list[str]) -> tuple[Path | None, dict[str, Any]]:
    """Read ``--n-neighbors 3`` or ``--n-neighbors=3`` as a parameter, the rest as a file.

    Args:
        arguments: What the command's own options left.

    Raises:
        UsageError: There are two files, or an option lacks its value.
        ConfigError: A value is no YAML.

    >>> read_model_options(["--n-neighbors", "3", "--weights=distance"])
    (None, {'n_neighbors': 3, 'weights': 'distance'})
    """
    config: Path | None = None
    params: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        option, equals, value = rest.pop(0).partition("=")
        if not option.startswith("--"):
            if config is not None:
                raise UsageError(f"got {option!r} after {str(config)!r}; give one file")
            config = Path(option + equals + value)
            continue
        if not equals:
            if not rest:
                raise UsageError(f"option {option} needs a value")
            value = rest.pop(0)
        name = option[2:].replace("-", "_")
        params["C" if name == "c" else name] = read_value(value, origin=f"{option} {value}")
    return config, params
