"""Building an estimator by its registered name or its dotted path."""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Mapping
from typing import Any

from tenfold._optional import require
from tenfold.config.params import canonical_params
from tenfold.errors import ModelInputError, nearest
from tenfold.models.registry import get_spec
from tenfold.models.sources import import_source
from tenfold.models.spec import ModelSpec

# OpenMP's threads spin for milliseconds while they wait for each other. Where another process wants
# the core as well, that made the training of small networks 3 to 10 times slower; asleep at once
# (OMP_WAIT_POLICY=PASSIVE) they make it half again as slow on a quiet machine, where a step is
# hundreds of short waits. So they spin for a short while, about the longest of these waits.
# The libraries read this when they are loaded, so it must stand before the first of them.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")


def build_model(
    name: str,
    params: Mapping[str, Any] | None = None,
    *,
    image_shape: tuple[int, int] | None = None,
    seed: int = 0,
    threads: int = 1,
    device: str = "cpu",
    precision: str = "float32",
    processes: int = 1,
    source_sha256: str | None = None,
) -> Any:
    """Return an estimator, not fitted.

    Args:
        name: A registered name, or the dotted path ``package.module:Class`` of an own
            scikit-learn estimator, which is imported here and nowhere before.
        params: Some or all of the model's parameters.
        image_shape: Height and width in pixels.
        seed: Seed of everything random, 0 to 2**31 - 1.
        threads: Threads of one fit, at least 1.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``; networks alone use it.
        precision: ``"auto"``, ``"float32"`` or ``"bfloat16"``; networks alone use it.
        processes: Processes that share a fit, on one GPU each or on the processor, at least 1;
            networks alone use it.
        source_sha256: SHA-256 that the source file of an own estimator must have; None: any.

    Returns:
        An estimator with the parameters set. An own one is given those of the settings that its
        constructor takes (``random_state`` is the seed too).

    Raises:
        UnknownModelError: No model has this name.
        ConfigError: A parameter breaks a rule.
        ModelInputError: The dotted path leads to nothing, to no estimator, or to another source.
        MissingExtraError: The model's library is not installed.
    """
    if ":" in name:
        cls = load_estimator(name, source_sha256=source_sha256)
    else:
        cls = _registered_estimator(get_spec(name))
    chosen = canonical_params(name, params or {})
    settings = {
        "image_shape": image_shape,
        "seed": seed,
        "random_state": seed,
        "threads": threads,
        "device": device,
        "precision": precision,
        "processes": processes,
    }
    taken = inspect.signature(cls).parameters
    for parameter in chosen:
        if parameter not in taken:
            raise ModelInputError(
                f"{name} takes no parameter {parameter!r}. {nearest(parameter, taken)}"
            )
    return cls(**{key: value for key, value in settings.items() if key in taken} | chosen)


def _registered_estimator(spec: ModelSpec) -> type[Any]:
    """Import a registered model's class, after the libraries that it needs."""
    for library in spec.needs:
        require(library)
    return load_estimator(spec.estimator)


def load_estimator(path: str, *, source_sha256: str | None = None) -> type[Any]:
    """Import an estimator class.

    Args:
        path: ``package.module:Class``.
        source_sha256: SHA-256 that its source file must have; None: any, and what is imported
            already is taken as it is.

    Raises:
        ModelInputError: Nothing is there, it is no subclass of scikit-learn's BaseEstimator, or
            its source is another one.
    """
    module_name, _, class_name = path.partition(":")
    try:
        if source_sha256 is None:
            module = importlib.import_module(module_name)
        else:
            module = import_source(path, source_sha256)
        found = getattr(module, class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ModelInputError(
            f"No estimator can be imported from {path!r}: {error}. "
            "Write package.module:Class and install the package, or run beside it."
        ) from error
    base = require("sklearn.base").BaseEstimator
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ModelInputError(
            f"{path!r} is {found!r}; an own model must be a class that derives from "
            "sklearn.base.BaseEstimator."
        )
    return found
