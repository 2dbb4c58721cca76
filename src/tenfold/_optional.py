"""Importing what an extra installs, with an error that says how to install it."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from tenfold.errors import MissingExtraError

_EXTRA_OF = {
    "sklearn": "train",
    "torch": "train",
    "xgboost": "train",
    "mlflow": "train",
    "matplotlib": "train",
    "jinja2": "train",
    "psutil": "train",
    "filelock": "train",
    "threadpoolctl": "train",
    "prefect": "flow",
    "prefect_dask": "cluster",
    "distributed": "cluster",
}


def require(module: str) -> ModuleType:
    """Import a module that one of tenfold's extras installs.

    Args:
        module: Dotted name, for example ``"sklearn.datasets"``.

    Returns:
        The imported module.

    Raises:
        MissingExtraError: The package is not installed.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise _missing(package) from error


def check_installed(package: str) -> None:
    """Raise as `require` does where a package is missing, without importing it.

    Raises:
        MissingExtraError: The package is not installed.
    """
    if importlib.util.find_spec(package) is None:
        raise _missing(package)


def _missing(package: str) -> MissingExtraError:
    extra = _EXTRA_OF.get(package, "all")
    return MissingExtraError(
        f"{package} is needed for this and is not installed; "
        f"install it with: pip install 'tenfold[{extra}]'"
    )
