"""Reading experiments: round trips, overrides, and a line for every broken rule."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.config import DATASETS, dump_config, load_config, parse_config
from tenfold.data import list_datasets
from tenfold.errors import ConfigError

EXPERIMENTS = sorted((Path(__file__).parents[2] / "experiments").glob("*.yaml"))


def problems(raw: dict, **extra: object) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_config(raw, **extra)
    return caught.value.problems


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_shipped_experiment_loads_and_survives_the_round_trip(path, tmp_path):
    config = load_config(path)
    copy = tmp_path / "copy.yaml"
    copy.write_text(dump_config(config))
    assert load_config(copy) == config
    assert config.name == path.stem


def test_the_mnist_grid_has_its_eighteen_rows():
    config = load_config(next(path for path in EXPERIMENTS if path.stem == "mnist-18"))
    assert sum(len(list(entry.combinations())) for entry in config.models) == 18


@given(
    seed=st.integers(0, 2**31 - 1),
    repeats=st.integers(1, 100),
    refit=st.sampled_from(["winner", "all", "none"]),
    fraction=st.floats(0.02, 0.5),
    limit=st.none() | st.floats(0.001, 1e9),
)
def test_any_valid_configuration_survives_the_round_trip(seed, repeats, refit, fraction, limit):
    import yaml

    config = parse_config(
        {
            "models": ["knn", {"model": "svm", "grid": {"C": [1, 2]}}],
            "seed": seed,
            "repeats": repeats,
            "refit": refit,
            "dataset": {"validation_fraction": fraction},
            "time_limit_s": limit,
        }
    )
    assert parse_config(yaml.safe_load(dump_config(config))) == config


def test_overrides_reach_any_depth():
    config = parse_config(
        {"models": ["knn", "svm"], "dataset": "mnist"},
        overrides=["models.1.params.C=3", "dataset.target='5'", "seed=9", "refit=none"],
    )
    assert config.models[1].params == {"C": 3}
    assert (config.dataset.source, config.dataset.target) == ("mnist", "5")
    assert (config.seed, config.refit) == (9, "none")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seed", "must look like key=value"),
        ("models.7.params.C=1", "position from 0 to 0"),
        ("name.deeper=1", "nothing lies below it"),
        ("dataset.image_shape.0.x=3", "'0' holds 8, nothing lies below it"),
        ("seed={{ n }}", "a key must be a name"),
        ("seed=[1", "not valid YAML"),
        ("description=2024-13-45", "not valid YAML: a value is none of its type: month must be"),
        ("seed=0x_", "not valid YAML: a value is none of its type"),
        ('seed=!!int ""', "not valid YAML: a value does not fit the type that its tag names"),
    ],
)
def test_a_wrong_override_says_what_is_allowed(override, expected):
    raw = {"models": ["knn"], "name": "x", "dataset": {"image_shape": [8, 8]}}
    (line,) = problems(raw, overrides=[override])
    assert line.startswith(f"--set {override}")
    assert expected in line


@pytest.mark.parametrize(
    ("raw", "where", "expected"),
    [
        ({"models": ["knn"], "modles": ["knn"]}, "modles", "Did you mean 'models'"),
        ({}, "models", "is required"),
        ({"models": []}, "models", "at least 1"),
        ({"models": ["knn"], "seed": -1}, "seed", "got -1"),
        ({"models": ["knn"], "seed": "x"}, "seed", "got 'x'"),
        ({"models": ["knn"], "refit": "yes"}, "refit", "'winner', 'all' or 'none'"),
        ({"models": ["knn"], "name": "Not Good"}, "name", "got 'Not Good'"),
        ({"models": ["kn"]}, "models.0.model", "Did you mean 'knn'"),
        ({"models": ["a b:C"]}, "models.0.model", "package.module:Class"),
        ({"models": ["knn"], "dataset": {"sorce": "x"}}, "dataset.sorce", "Did you mean 'source'"),
        (
            {"models": [{"model": "knn", "pramas": {}}]},
            "models.0.pramas",
            "Did you mean 'params'",
        ),
        (
            {"models": [{"model": "knn", "params": {"n_neighbours": 3}}]},
            "models.0.params.n_neighbours",
            "Did you mean 'n_neighbors'",
        ),
        (
            {"models": [{"model": "svm", "grid": {"C": [1, -2]}}]},
            "models.0.grid.C.1",
            "got -2",
        ),
        ({"models": [{"model": "svm", "grid": {"C": []}}]}, "models.0.grid.C", "at least one"),
        (
            {"models": [{"model": "svm", "params": {"C": 1}, "grid": {"C": [1]}}]},
            "models.0.grid.C",
            "keep one of the two",
        ),
        ({"models": ["knn"], "wanted_recall": 0.9}, "wanted_recall", "binary"),
        (
            {"models": ["knn"], "dataset": {"image_shape": [0, -3]}},
            "dataset.image_shape.0",
            "got 0; must be greater than or equal to 1",
        ),
        (
            {"models": ["knn"], "dataset": {"image_shape": [28, 60000]}},
            "dataset.image_shape.1",
            "got 60000; must be less than or equal to 4096",
        ),
        (
            {"models": [{"model": "mine:X", "grid": {f"p{i}": [*range(10)] for i in range(12)}}]},
            "models",
            "1,000,000,000,000 trials; at most 10,000 are allowed",
        ),
        (
            {"models": [{"model": "svm", "grid": {"C": [*range(1, 102)]}}], "repeats": 100},
            "models",
            "10,100 trials",
        ),
    ],
)
def test_a_broken_rule_names_path_value_and_what_is_allowed(raw, where, expected):
    lines = problems(raw, origin="mine.yaml")
    assert lines[0].startswith(f"mine.yaml: {where}: ")
    assert expected in lines[0]


def test_every_key_of_the_schema_misspelt_is_found_and_guessed():
    from tenfold.config import DatasetConfig, ExperimentConfig, ModelEntry

    places = {
        ExperimentConfig: lambda key: {"models": ["knn"], key: 1},
        DatasetConfig: lambda key: {"models": ["knn"], "dataset": {key: 1}},
        ModelEntry: lambda key: {"models": [{"model": "knn", key: 1}]},
    }
    for schema, place in places.items():
        for name in schema.model_fields:
            typo = name[:-1] + "zz"
            assert any(f"Did you mean {name!r}" in line for line in problems(place(typo)))


def test_all_problems_are_told_at_once():
    assert len(problems({"models": ["kn", "svn"], "seed": -1, "reeft": 1})) == 4


def test_a_misspelt_key_that_is_required_is_told_once():
    (line,) = problems({"modles": ["knn"]})
    assert "Did you mean 'models'?" in line
    assert len(problems({"nonsense": 1})) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("models: [knn", "not valid YAML"),
        (f"seed: {'1' * 5000}", "not valid YAML: a value is none of its type: Exceeds the limit"),
        (f"seed: {'[' * 3000}", "not valid YAML: it is nested too deeply"),
        ("- knn", "must hold keys and values"),
        ("models: [knn]\nseed: 1\nseed: 2\n", "'seed' is given twice"),
        ("models: !!python/object:os.system {}", "not valid YAML"),
        ("name: {{ name }}\nmodels: [knn]\n", "a key must be a name, no list or mapping"),
        ("? [a, b]\n: knn\n", "a key must be a name, no list or mapping"),
        ("models: !!map [knn]\n", "expected a mapping"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_in_a_line(text, expected, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=expected) as caught:
        load_config(path)
    (line,) = caught.value.problems
    assert line.startswith(str(path))
    assert "\n" not in line


def test_a_missing_huge_or_binary_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "none.yaml")
    huge = tmp_path / "huge.yaml"
    huge.write_bytes(b"#" * 1_000_001)
    with pytest.raises(ConfigError, match="larger than"):
        load_config(huge)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read as text"):
        load_config(binary)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)


def test_local_powers_are_marked_in_the_schema():
    from tenfold.config import ExperimentConfig

    schema = ExperimentConfig.model_json_schema()
    source = schema["$defs"]["DatasetConfig"]["properties"]["source"]
    model = schema["$defs"]["ModelEntry"]["properties"]["model"]
    assert source["local_only"]
    assert model["local_only"]


def test_another_data_set_keeps_the_rest_and_has_a_name_of_its_own(tmp_path):
    path = tmp_path / "Fives & Co.yaml"
    path.write_text("dataset: {source: mnist, target: '5'}\nmodels: [sgd]\n")
    assert load_config(path).name == "fives-co"
    other = load_config(path, dataset="fashion-mnist")
    assert (other.dataset.source, other.dataset.target) == ("fashion-mnist", "5")
    assert other.name == "fives-co-fashion-mnist"


def test_each_data_set_has_a_name_of_its_own_and_built_in_ones_their_plain_one(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    config = tmp_path / "compare.yaml"
    config.write_text("models: [sgd]\n")
    long = tmp_path / f"{'x' * 70}.yaml"
    long.write_text("models: [sgd]\n")
    assert load_config(config, dataset="digits").name == "compare-digits"
    paths = ["a/train.csv", "b/train.csv", "./digits", "Train.csv", f"{'y' * 80}/z", f"{'y' * 80}"]
    names = [load_config(one, dataset=path).name for one in (config, long) for path in paths]
    names += [load_config(long, dataset=name).name for name in ("mnist", "mnist-small")]
    assert len(set(names)) == len(names)
    assert re.fullmatch("compare-train-[0-9a-f]{6}", names[0])
    assert load_config(config, dataset=str(tmp_path / "a" / "train.csv")).name == names[0]
    assert load_config(long, dataset="mnist-small").name.endswith("-mnist-small")


def test_the_names_of_the_data_sets_are_those_of_the_catalogue():
    assert [entry.name for entry in list_datasets()] == list(DATASETS)
