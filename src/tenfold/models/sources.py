"""The source of an own estimator: its hash, and a module that is made of that very source."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from importlib.abc import SourceLoader
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from tenfold.errors import ModelInputError

#: Of a module made here: the hash of the source that it runs.
_HASH = "__tenfold_sha256__"


def source_sha256(dotted: str) -> str:
    """Return the SHA-256 of the source file of an own estimator, as it is now.

    Args:
        dotted: ``package.module:Class``.

    Raises:
        ModelInputError: The file cannot be found.
    """
    return hashlib.sha256(_read(dotted)[1]).hexdigest()


def import_source(dotted: str, sha256: str) -> ModuleType:
    """Return an own estimator's module, made of the source with this hash.

    Where this process has imported another source, the module is made anew.

    Args:
        dotted: ``package.module:Class``.
        sha256: What `source_sha256` returned when the experiment began.

    Raises:
        ModelInputError: The file cannot be found, or holds another source by now.
    """
    name = dotted.partition(":")[0]
    imported = sys.modules.get(name)
    if imported is not None and getattr(imported, _HASH, None) == sha256:
        return imported
    spec, source = _read(dotted)
    if hashlib.sha256(source).hexdigest() != sha256:
        raise ModelInputError(
            f"model {dotted!r}: {spec.origin} changed while the experiment ran; run it again"
        )
    if not isinstance(spec.loader, SourceLoader):
        return _import_other(name, sha256)
    module = importlib.util.module_from_spec(spec) if imported is None else imported
    _run(module, spec.loader, source)
    setattr(module, _HASH, sha256)
    return module


def _read(dotted: str) -> tuple[ModuleSpec, bytes]:
    """Find an own estimator's file and read it."""
    name = dotted.partition(":")[0]
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError) as error:
        raise ModelInputError(f"model {dotted!r}: cannot find module {name!r}: {error}") from error
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise ModelInputError(
            f"model {dotted!r}: no source file for module {name!r} on the Python path; "
            "install the package, or run from the folder that holds it"
        )
    return spec, Path(spec.origin).read_bytes()


def _run(module: ModuleType, loader: SourceLoader, source: bytes) -> None:
    """Let a module hold what the source makes of it, and nothing of an earlier one.

    Python's own import may take a compiled file that is left of another source: it tells sources
    apart by their size and the second in which they were written.
    """
    held = vars(module)
    for name in [name for name, value in held.items() if not _stays(name, value)]:
        del held[name]
    parent, _, child = module.__name__.rpartition(".")
    sys.modules[module.__name__] = module
    try:
        exec(loader.source_to_code(source, str(module.__file__)), held)  # noqa: S102 as an import does
    except BaseException:
        del sys.modules[module.__name__]
        raise
    if parent:
        setattr(sys.modules[parent], child, module)


def _stays(name: str, value: object) -> bool:
    """Say whether a module keeps a name when it is made anew: its own facts and its submodules."""
    return isinstance(value, ModuleType) or (name.startswith("__") and name != _HASH)


def _import_other(name: str, sha256: str) -> ModuleType:
    """Import what is no Python source, a compiled extension for example: once in a process."""
    module = importlib.import_module(name)
    if vars(module).setdefault(_HASH, sha256) != sha256:
        raise ModelInputError(f"module {name!r} changed since this process imported it; start anew")
    return module
