"""The docs say what the program is."""

import re
import sys
from pathlib import Path

import pytest
import typer

from tenfold.cli.app import app
from tenfold.config import PARAMS, load_config
from tenfold.data import list_datasets

ROOT = Path(__file__).parents[1]
DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_reference_is_what_the_schemas_say(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    sys.modules.pop("generate", None)
    from generate import TARGET, reference

    assert TARGET.read_text(encoding="utf-8") == reference(), "run: make docs"


def test_every_model_and_every_parameter_is_in_the_reference():
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    for model, schema in PARAMS.items():
        assert f"### `{model}`" in text
        for name in schema.model_fields:
            assert f"| `{name}` |" in text


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_to_files_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_command_that_is_shown_exists(path):
    group = typer.main.get_command(app)
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = path.read_text(encoding="utf-8")
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for line in re.findall(r"^\$ (.*)$", block, re.MULTILINE):
            words = re.sub(r"^(\w+=\S+ )+", "", line).split()
            if words[0] == "make":
                assert set(words[1:2]) <= targets, line
            if words[0] == "tenfold" and not words[1].startswith("-"):
                assert words[1] in group.commands, line


@pytest.mark.parametrize("path", [*DOCS[:1], ROOT / "docs" / "how-to.md"], ids=lambda p: p.name)
def test_what_a_model_is_evaluated_on_fits_it(path):
    known = {entry.name: entry for entry in list_datasets()}
    text = path.read_text(encoding="utf-8")
    bundles = re.findall(r"^\$ tenfold models export \S+-(\S+) --out (\S+)", text, re.MULTILINE)
    learned_from = {bundle: known[name] for name, bundle in bundles if name in known}
    lines = re.findall(r"^\$ tenfold evaluate --model (\S+) --dataset (.*)$", text, re.MULTILINE)
    assert lines
    for bundle, rest in lines:
        dataset, _, options = rest.partition("#")[0].strip().partition(" ")
        height, width = learned_from[bundle].shape
        if dataset in known:
            assert known[dataset].shape == (height, width)
            assert known[dataset].class_names == learned_from[bundle].class_names
        else:
            assert options == f"--image-shape {height}x{width}"


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_configuration_that_is_shown_is_valid(path, tmp_path):
    text = path.read_text(encoding="utf-8")
    for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL):
        shown = tmp_path / "shown.yaml"
        shown.write_text(block)
        assert load_config(shown).models
