"""What the tests of the benchmarks share: their modules, which lie beside each other as scripts."""

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    """Return a function from the name of a module of benchmarks/ to the module."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module
