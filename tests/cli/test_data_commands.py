import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tenfold.cli.data import app
from tenfold.data import load_dataset, make_split
from tenfold.errors import (
    ConfigError,
    DownloadError,
    StorageError,
    UnknownDatasetError,
    UsageError,
)


@pytest.fixture
def run():
    """Return a function that runs a command and gives its output, or raises its error."""

    def _run(*arguments):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return _run


@pytest.fixture
def table(tmp_path):
    """Return a table with one image twice and one class that is rare."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (120, 12))
    images[1] = images[0]
    labels = np.where(np.arange(120) % 15 == 7, "rare", "often")
    path = tmp_path / "own.csv"
    rows = [",".join([label, *map(str, row)]) for label, row in zip(labels, images, strict=True)]
    path.write_text("\n".join(["label," + ",".join(f"p{i}" for i in range(12)), *rows]))
    return path


def test_list_names_every_data_set_and_what_to_do(run, tmp_path):
    lines = run("list").stdout.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == [
        *("digits", "mnist", "mnist-small", "fashion-mnist", "kmnist", "usps")
    ]
    assert lines[0].endswith(" ready")
    assert lines[1].endswith("`tenfold data fetch mnist`")
    assert str(tmp_path / "data") in lines[-1]


def test_list_as_json_is_one_document(run, tmp_path):
    found = json.loads(run("list", "--json", "--data-dir", tmp_path).stdout)
    assert found["data_dir"] == str(tmp_path)
    digits = found["datasets"][0]
    assert (digits["name"], digits["ready"], digits["height"]) == ("digits", True, 8)


def test_fetch_says_what_was_here(run):
    assert "was here and is intact: scikit-learn" in run("fetch", "digits").stdout
    found = json.loads(run("fetch", "digits", "--json").stdout)
    assert found == {
        "name": "digits",
        "fetched": False,
        "fingerprint": load_dataset("digits").fingerprint,
        "files": [],
    }


def test_fetch_of_an_unknown_name_lists_the_names(run):
    with pytest.raises(UnknownDatasetError, match="Did you mean 'mnist'"):
        run("fetch", "mnits")


def test_fetch_shows_how_far_it_is(run, monkeypatch, capsys):
    def fetch_dataset(entry, data_dir, *, on_progress):
        for done in (10, 20):
            on_progress("a.gz", done * 2**20, 20 * 2**20)
        on_progress("b.gz", 5, None)
        raise DownloadError("no mirror gave c.gz")

    monkeypatch.setattr("tenfold.data.fetch_dataset", fetch_dataset)
    result = CliRunner().invoke(app, ["fetch", "mnist"])
    assert isinstance(result.exception, DownloadError)
    assert result.stderr.splitlines() == ["fetching a.gz", "fetching b.gz"]
    assert result.stdout == ""


def test_the_meter_writes_in_place_on_a_terminal(monkeypatch, capsys):
    from tenfold.cli.data import _Meter

    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    meter = _Meter()
    meter.show("a.gz", 2**20, 2**21)
    meter.show("a.gz", 2**21, None)
    meter.close()
    assert capsys.readouterr().err.split("\r")[1:] == [
        "a.gz: 1.0 of 2.0 MiB \x1b[K",
        "a.gz: 2.0 MiB \x1b[K\n",
    ]


def test_show_writes_the_image_of_a_row(run, tmp_path):
    path = tmp_path / "digit.png"
    output = run("show", "digits", "--index", 22, "--out", path).stdout
    split = make_split(load_dataset("digits"))
    label = split.class_names[split.labels[22]]
    assert f"digits train image 22: label {label}, 8x8 pixels" in output
    np.testing.assert_array_equal(np.asarray(Image.open(path)), split.images[22].reshape(8, 8))
    run("show", "digits", "--index", 22, "--out", path, "--scale", 20)
    assert Image.open(path).size == (160, 160)


def test_show_keeps_the_labels_of_the_test_sealed(run):
    assert "label (sealed)" in run("show", "digits", "--split", "test").stdout
    found = json.loads(run("show", "digits", "--split", "test", "--json").stdout)
    assert found["label"] is None
    assert np.array(found["pixels"]).shape == (8, 8)


def test_show_of_a_row_that_is_not_there_says_which_are(run):
    with pytest.raises(UsageError, match=r"--index is 5000.*1,438 train images: .* 0 to 1437"):
        run("show", "digits", "--index", 5000)


def test_samples_writes_a_picture(run, tmp_path):
    path = tmp_path / "samples.png"
    assert f"written to {path}" in run("samples", "digits", "--out", path, "--per-class", 3).stdout
    assert Image.open(path).height > 500


def test_check_prints_a_table_and_draws_a_picture(run, tmp_path):
    path = tmp_path / "check.png"
    output = run("check", "digits", "--out", path).stdout
    assert output.startswith("Of 1,438 development images")
    assert "copies between development and test              0" in output
    assert "nothing that would make scores wrong was found" in output
    assert Image.open(path).width > 500


def test_check_of_own_data_warns(run, table):
    output = run("check", table, "--image-shape", "3x4").stdout
    assert "warning: class 'rare' has" in output
    found = json.loads(run("check", table, "--image-shape", "3x4", "--json").stdout)
    copies = len(found["duplicates"]) + len(found["leaked"])
    assert copies == 1
    assert found["file"] is None
    assert any("rare" in warning for warning in found["warnings"])


@pytest.mark.parametrize("small", [1, 2, 5])
def test_a_class_of_a_few_images_can_be_looked_at(run, tmp_path, small):
    labels = np.array([0] * 40 + [1] * small)
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 3, 4), np.uint8)
    path, out = tmp_path / "few.npz", tmp_path / "out.png"
    np.savez(path, x=images, y=labels)
    assert "train image 0: label 0" in run("show", path).stdout
    assert "written to" in run("samples", path, "--out", out).stdout
    output = run("check", path, "--out", out).stdout
    assert "An experiment with default settings refuses these data: few: class '1' has" in output
    assert "largest class" in output
    assert "default settings" in json.loads(run("check", path, "--json").stdout)["split"]


def test_options_reach_the_reader(run, table):
    with pytest.raises(ConfigError, match="label_column is 'digit'"):
        run("check", table, "--label-column", "digit")
    with pytest.raises(ConfigError, match="group_column is 'writer'"):
        run("samples", table, "--group-column", "writer")
    found = json.loads(
        run("show", table, "--image-shape", "4x3", "--target", "rare", "--json").stdout
    )
    assert found["label"] in ("rare", "not rare")
    assert (found["height"], found["width"]) == (4, 3)


@pytest.mark.parametrize("shape", ["28", "0x3", "axb", "28x28x1", "-1x2", "60000x60000"])
def test_a_shape_that_is_none_is_wrong_usage(run, shape):
    result = run("check", "digits", f"--image-shape={shape}")
    assert result.exit_code == 2
    assert "28x28" in result.stderr


@pytest.mark.parametrize("command", ["show", "samples", "check"])
@pytest.mark.parametrize("out", ["my.csv", "x.jpg", ""])
def test_a_picture_has_the_name_of_one(run, tmp_path, monkeypatch, command, out):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.csv").write_text("precious")
    result = run(command, "digits", "--out", out)
    assert result.exit_code == 2
    assert "ends in .png" in " ".join(result.stderr.split())
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir() if path.is_file()] == [
        ("my.csv", "precious")
    ]


@pytest.mark.parametrize("folder", ["", "~nobody.here"])
def test_a_data_folder_that_is_none_is_refused(run, folder):
    try:
        result = run("list", "--data-dir", folder)
    except UsageError as error:
        assert "'~nobody.here' is the home of no known user" in str(error)  # noqa: PT017
    else:
        assert result.exit_code == 2
        assert "is no path" in result.stderr


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_warnings_are_coloured_unless_the_user_wants_no_colours(table, no_color, coloured):
    result = CliRunner().invoke(
        app, ["check", str(table), "--image-shape", "3x4"], color=True, env={"NO_COLOR": no_color}
    )
    assert ("\x1b[" in result.stdout) == coloured
    assert "warning: class 'rare' has" in result.stdout


def test_a_picture_that_cannot_be_written_is_a_storage_error(run, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="digit.png"):
        run("show", "digits", "--out", tmp_path / "file" / "digit.png")
