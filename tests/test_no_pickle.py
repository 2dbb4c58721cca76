"""Nothing that tenfold leaves behind is a pickle, by its content and not by its name."""

import io
import pickle
import pickletools
import sqlite3
import zipfile
import zlib
from datetime import UTC, datetime

import joblib
import numpy as np
import pytest
import torch

from tenfold.bundling import export_bundle
from tenfold.config import load_settings, parse_config
from tenfold.data import load_dataset
from tenfold.experiment import run_experiment
from tenfold.models import build_model


def pickles_in(content, name):
    """Return the names of what is, or holds, a pickle."""
    if content[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            inner = [(entry, archive.read(entry)) for entry in archive.namelist()]
        return [found for entry, data in inner for found in pickles_in(data, f"{name}/{entry}")]
    if content[:6] == b"\x93NUMPY":
        file = io.BytesIO(content)
        version = np.lib.format.read_magic(file)
        reader = np.lib.format.read_array_header_1_0
        if version != (1, 0):
            reader = np.lib.format.read_array_header_2_0
        return [name] if reader(file)[2].hasobject else []
    if content[:16] == b"SQLite format 3\0":
        return [f"{name}: {where}" for where, blob in blobs_in(content) if pickles_in(blob, name)]
    for decompress in (zlib.decompress, lambda data: zlib.decompress(data, 31)):
        try:
            return pickles_in(decompress(content), name)
        except zlib.error:
            continue
    return [name] if is_pickle(content) else []


def is_pickle(content):
    """Say whether opcodes begin here and reach an end, whatever follows."""
    if content[:1] != b"\x80" and len(content) > 100_000:
        content = content[:100_000]  # a pickle of text opcodes would show by then
    try:
        return sum(1 for _ in pickletools.genops(io.BytesIO(content))) > 1
    except (ValueError, IndexError, KeyError, OverflowError, UnicodeDecodeError):
        return False


def blobs_in(content):
    database = sqlite3.connect(":memory:")
    # In memory there is no write-ahead log, so a database that had one is told to do without.
    database.deserialize(content[:18] + b"\1\1" + content[20:])
    tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (table,) in tables:
        for row in database.execute(f"SELECT * FROM {table}"):
            yield from ((table, cell) for cell in row if isinstance(cell, bytes))
    database.close()


def saved(save):
    file = io.BytesIO()
    save(file)
    return file.getvalue()


OBJECTS = np.array([{}, None], dtype=object)
HARM = {"weights": [1.5, 2], "name": "x"}


@pytest.mark.parametrize(
    "content",
    [
        *(pickle.dumps(HARM, protocol) for protocol in range(6)),
        saved(lambda file: joblib.dump(HARM, file)),
        saved(lambda file: joblib.dump(HARM, file, compress=3)),
        saved(lambda file: np.save(file, OBJECTS, allow_pickle=True)),
        saved(lambda file: np.savez(file, fine=np.zeros(2), bad=OBJECTS)),
        saved(lambda file: np.savez_compressed(file, bad=OBJECTS)),
        saved(lambda file: torch.save({"w": torch.zeros(2)}, file)),
    ],
)
def test_every_kind_of_pickle_is_found(content):
    assert pickles_in(content, "x")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        b'{"a": 1}',
        saved(lambda file: np.save(file, np.zeros(3))),
        saved(lambda file: np.savez_compressed(file, a=np.zeros(3), b=np.array(["x"]))),
    ],
)
def test_what_is_none_is_let_be(content):
    assert pickles_in(content, "x") == []


def test_a_pickle_in_a_database_is_found():
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE t (a, b)")
    database.execute("INSERT INTO t VALUES (1, ?)", [pickle.dumps(HARM)])
    database.commit()
    assert pickles_in(database.serialize(), "x") == ["x: t"]


@pytest.mark.filterwarnings("ignore:invalid escape sequence")  # of what pickletools tries to read
def test_a_finished_workspace_holds_no_pickle(workspace, tmp_path):
    models = ["sgd", "random_forest", {"model": "mlp", "params": {"epochs": 1}}]
    config = {"name": "all", "models": models, "units_at_once": 0, "threads": 1}
    dataset = {"cv_repeats": 1, "cv_folds": 2}
    run_experiment(parse_config({**config, "dataset": dataset}))
    for place in ("bundle", "bundle.zip"):
        settings, now = load_settings(), datetime(2026, 11, 3, tzinfo=UTC)
        export_bundle("all", workspace.home / place, created=now, settings=settings)
    leave_a_checkpoint(workspace.checkpoints / "key")
    paths = [path for path in workspace.home.rglob("*") if path.is_file()]
    suffixes = {path.suffix for path in paths}
    assert {".db", ".npz", ".onnx", ".json", ".html", ".png", ".zip", ".safetensors"} <= suffixes
    found = [pickles_in(path.read_bytes(), str(path)) for path in paths]
    assert [name for names in found for name in names] == []


def leave_a_checkpoint(folder):
    """Train a network for one epoch of two, as a process that is killed then."""

    def end(epoch, metrics):
        raise KeyboardInterrupt

    digits = load_dataset("digits")
    model = build_model("mlp", {"epochs": 2}, image_shape=(8, 8), threads=1)
    images, labels = digits.images[:200], digits.labels[:200]
    with pytest.raises(KeyboardInterrupt):
        model.fit(images, labels, checkpoints=folder, checkpoint_every_s=0, on_epoch=end)
