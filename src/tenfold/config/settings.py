"""The settings of a machine: environment variables named `TENFOLD_*`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from tenfold.errors import SettingError, UsageError, nearest
from tenfold.schema import FrozenModel

PREFIX = "TENFOLD_"
#: Read by the test suite alone, and so no setting.
_RESERVED = frozenset({"TENFOLD_TEST_REQUIRE"})


class Settings(FrozenModel):
    """Where tenfold keeps its things on this machine, and what it computes on."""

    home: Path = Field(
        default=Path("tenfold-workspace"),
        description="The workspace: databases, artifacts, locks and results.",
    )
    data_dir: Path | None = Field(
        default=None,
        description="Where data sets lie or are fetched to; default: the user's cache folder.",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        default="auto", description="What networks compute on, where the configuration says auto."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="warning", description="The least severe log line that is shown on stderr."
    )


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from environment variables.

    Args:
        environ: The variables; default: those of this process. Empty values count as unset.

    Returns:
        The settings, paths with ``~`` expanded.

    Raises:
        SettingError: A variable that starts with ``TENFOLD_`` is unknown or its value not allowed.
        UsageError: A path starts with the ``~name`` of an unknown user.

    >>> load_settings({"TENFOLD_DEVICE": "cpu"}).device
    'cpu'
    """
    environ = os.environ if environ is None else environ
    given = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environ.items()
        if name.startswith(PREFIX) and name not in _RESERVED and value
    }
    names = {PREFIX + field.upper() for field in Settings.model_fields}
    for field in given:
        if field not in Settings.model_fields:
            name = PREFIX + field.upper()
            raise SettingError(f"environment variable {name} is unknown. {nearest(name, names)}")
    try:
        settings = Settings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + str(first["loc"][0]).upper()
        raise SettingError(
            f"environment variable {name} is {first['input']!r}: {first['msg']}"
        ) from error
    paths = {"home": settings.home, "data_dir": settings.data_dir}
    return settings.model_copy(
        update={
            field: expand_home(path, what=PREFIX + field.upper())
            for field, path in paths.items()
            if path is not None
        }
    )


def expand_home(path: Path, *, what: str) -> Path:
    """Return a path with ``~`` or ``~name`` expanded.

    Args:
        path: As the user gave it.
        what: Names it in the error.

    Raises:
        UsageError: Nobody knows that user's home.

    >>> expand_home(Path("data"), what="--data-dir").name
    'data'
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise UsageError(
            f"{what} is {str(path)!r}: {path.parts[0]!r} is the home of no known user; "
            "write the path out"
        ) from error
