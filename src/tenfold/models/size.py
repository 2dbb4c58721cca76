"""How many bytes a fitted estimator has learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

_PROPERTIES = ("support_vectors_", "dual_coef_", "intercept_")


def model_bytes(estimator: Any) -> int:
    """Return the bytes of everything that an estimator learned.

    Counted are arrays, trees, boosters and network weights below the attributes that end in ``_``,
    each once, as they lie in memory or, for boosters, in their binary file.

    Args:
        estimator: Any fitted scikit-learn estimator.
    """
    seen: dict[int, Any] = {}
    return sum(_bytes_of(value, seen) for value in _learned(estimator))


def _learned(estimator: Any) -> list[Any]:
    """Return the values of the public attributes that end in an underscore."""
    names = [name for name in vars(estimator) if name.endswith("_") and name[0] != "_"]
    # Intel's support vector machine keeps these behind properties.
    names += [name for name in _PROPERTIES if name not in names and hasattr(estimator, name)]
    return [getattr(estimator, name) for name in names]


def _bytes_of(value: Any, seen: dict[int, Any]) -> int:
    """Return the bytes of one learned value and of what it holds."""
    if value is None or isinstance(value, str | int | float | type) or id(value) in seen:
        return 0
    seen[id(value)] = value  # held, so that no other value is given its id
    if isinstance(value, np.ndarray) and value.dtype != object:
        return int(value.nbytes)
    if hasattr(value, "state_dict"):
        return sum(int(tensor.nbytes) for tensor in value.state_dict().values())
    if hasattr(value, "save_raw") or hasattr(value, "get_booster"):
        booster = value.get_booster() if hasattr(value, "get_booster") else value
        return len(booster.save_raw("ubj"))
    if isinstance(value, Mapping):
        return sum(_bytes_of(item, seen) for item in value.values())
    if isinstance(value, list | tuple | np.ndarray):
        return sum(_bytes_of(item, seen) for item in value)
    if hasattr(value, "get_params"):
        return sum(_bytes_of(item, seen) for item in _learned(value))
    state = value.__getstate__() if type(value).__name__ == "Tree" else None
    return _bytes_of(state, seen)
