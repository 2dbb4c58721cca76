"""The house rules that no linter checks."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import tenfold

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PACKAGES = sorted(
    ".".join(path.parent.relative_to(ROOT / "src").parts)
    for path in SOURCES
    if path.name == "__init__.py"
)


def name_of(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_module_is_short_says_what_it_owns_and_never_pickles(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400
    tree = ast.parse(text)
    assert ast.get_docstring(tree)
    imported = {
        alias.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {
        (node.module or "").partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
    }
    assert not imported & {"pickle", "joblib", "cloudpickle", "dill", "shelve", "marshal"}


def test_no_module_is_a_drawer_for_everything():
    assert not {path.stem for path in SOURCES} & {"utils", "helpers", "common", "misc"}


@pytest.mark.parametrize("package", PACKAGES)
def test_what_a_package_exports_exists_once(package):
    module = importlib.import_module(package)
    exported = getattr(module, "__all__", [])
    assert len(set(exported)) == len(exported)
    for name in exported:
        assert getattr(module, name) is not None


def test_nobody_inside_imports_from_the_facade():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "tenfold":
                assert [alias.name for alias in node.names] == ["__version__"], name_of(path)


def test_only_the_facade_imports_for_types_alone():
    users = [path for path in SOURCES if "TYPE_CHECKING" in path.read_text(encoding="utf-8")]
    assert [name_of(path) for path in users] == ["src/tenfold/__init__.py"]


def test_only_the_command_line_prints():
    for path in SOURCES:
        if "cli" not in path.parts:
            calls = [
                node.func.id
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            ]
            assert "print" not in calls, name_of(path)


def test_the_facade_lists_what_it_has_and_refuses_the_rest():
    assert set(tenfold.__all__) <= set(dir(tenfold))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tenfold.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import tenfold", ["numpy", "pydantic", "sklearn", "torch", "mlflow", "typer"]),
        ("import tenfold.cli", ["sklearn", "torch", "mlflow", "matplotlib", "prefect"]),
        ("import tenfold.config", ["numpy", "sklearn", "torch", "mlflow"]),
        ("import tenfold.models", ["sklearn", "torch", "mlflow"]),
        ("import tenfold.data", ["sklearn", "torch", "mlflow", "matplotlib"]),
        ("import tenfold.imaging", ["sklearn", "torch", "mlflow"]),
        ("import tenfold.flow", ["prefect", "prefect_dask", "dask", "sklearn", "torch", "mlflow"]),
        ("import tenfold.servers", ["prefect", "mlflow", "numpy", "psutil"]),
        ("import tenfold.bundle", ["onnx", "sklearn", "torch", "mlflow", "matplotlib", "typer"]),
    ],
)
def test_a_light_import_stays_light(statement, heavy):
    script = f"{statement}\nimport sys\nprint([n for n in {heavy!r} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
