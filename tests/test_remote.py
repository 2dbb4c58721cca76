"""What a worker elsewhere does: refuses what it must, hands over what it made, starts again."""

import itertools
import json
import os
import sys
import time

import numpy as np
import pytest

from tenfold.config import parse_config
from tenfold.errors import DownloadError, TrialError, TrialStoppedError
from tenfold.fitting import TRIAL_FILES, open_split, read_folder
from tenfold.machine import profile
from tenfold.models import source_sha256
from tenfold.remote import check, run, work
from tenfold.search import expand_grid
from tenfold.tracking import MlflowTracker
from tenfold.workspace import Workspace

OWN = """
import os, threading
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
class Constant(ClassifierMixin, BaseEstimator):
    def __init__(self, label=0):
        self.label = label
    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self
    def predict_proba(self, X):
        share = np.full((len(X), len(self.classes_)), 0.05)
        share[:, self.label] = 0.55
        return share
def whose(payload, on_event):
    return {"pid": os.getpid()}
def wait(payload, on_event):
    on_event({"key": payload["keys"][0], "step": 0, "steps": 1, "metrics": {}})
    threading.Event().wait()
"""
DATASET = {"source": "digits", "cv_below": 0}


@pytest.fixture(scope="module")
def fingerprint():
    config = parse_config({"name": "x", "dataset": DATASET, "models": ["knn"]}, origin="x")
    return open_split(config.dataset, None)[0].fingerprint


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Return an own estimator's file, found by this process and by its workers."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "constants.py").write_text(OWN)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.delitem(sys.modules, "constants", raising=False)  # another test's
    idle = {}
    monkeypatch.setattr("tenfold.remote._idle", idle)
    yield folder / "constants.py"
    for process in itertools.chain.from_iterable(idle.values()):
        process.close()


def ignore(event):
    """Take no notice of an event."""


def payload_of(fingerprint, *models, threads=1):
    config = parse_config({"name": "x", "dataset": DATASET, "models": list(models)}, origin="x")
    trials = expand_grid(config)
    return {
        "dataset": config.dataset.model_dump(mode="json"),
        "data_dir": None,
        "fingerprint": fingerprint,
        "trials": [{**vars(trial), "params": dict(trial.params)} for trial in trials],
        "keys": [f"key-{number}" for number in range(len(trials))],
        "numerics": {"device": "cpu", "precision": "float32", "threads": threads, "processes": 1},
        "bases": [],
        "profile": profile(),
        "sources": {},
    }


def test_a_machine_of_the_same_kind_refuses_nothing(fingerprint):
    assert check(payload_of(fingerprint, "knn"), ignore) == {}


def test_another_version_of_a_library_that_computes_is_refused(fingerprint):
    payload = payload_of(fingerprint, "knn")
    payload["profile"] = {**profile(), "torch": "1.4", "numpy": "1.2"}
    refused = check(payload, ignore)["refused"]
    assert refused.startswith("its profile differs: numpy ")
    assert " instead of 1.2, torch " in refused
    assert "install the same versions" in refused


def test_fewer_cores_than_threads_are_refused(fingerprint):
    refused = check(payload_of(fingerprint, "knn", threads=4096), ignore)["refused"]
    assert "threads is 4096" in refused
    assert "lower threads" in refused


@pytest.mark.parametrize(
    ("numerics", "reason"),
    [
        ({"device": "mps", "precision": "float32"}, "device is 'mps'"),
        ({"device": "cpu", "precision": "bfloat16"}, "has no bfloat16"),
    ],
)
def test_hardware_that_computes_otherwise_is_refused(fingerprint, monkeypatch, numerics, reason):
    monkeypatch.setattr("tenfold.models.torch.device.cpu_flags", frozenset)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    payload = payload_of(fingerprint, "mlp")
    payload["numerics"] |= numerics
    assert reason in check(payload, ignore)["refused"]


def test_other_data_are_refused_with_what_to_do(fingerprint):
    refused = check(payload_of("0" * 64, "knn"), ignore)["refused"]
    assert "data set digits has other content" in refused
    assert "TENFOLD_DATA_DIR" in refused


def test_data_that_were_put_right_are_seen_by_a_process_that_lives_on(fingerprint, tmp_path):
    images = np.arange(60 * 16, dtype=np.uint32).reshape(60, 4, 4).astype(np.uint8)
    source = tmp_path / "data.npz"
    dataset = {**DATASET, "source": str(source)}
    config = parse_config({"name": "x", "dataset": dataset, "models": ["knn"]}, origin="x")

    def write(images):
        np.savez(source, images=images, labels=np.arange(60) % 3)
        return open_split(config.dataset, None)[0].fingerprint

    wanted = write(images)
    write(images[::-1])
    payload = payload_of(wanted, "knn")
    payload["dataset"] = config.dataset.model_dump(mode="json")
    assert "has other content" in check(payload, ignore)["refused"]
    write(images)
    assert check(payload, ignore) == {}


def test_missing_data_are_refused(fingerprint):
    payload = payload_of(fingerprint, "knn")
    payload["dataset"] |= {"source": "/nowhere/digits.npz"}
    assert "/nowhere/digits.npz" in check(payload, ignore)["refused"]


def test_a_download_that_fails_is_refused_for_now(fingerprint, monkeypatch):
    def fail(payload, on_event):
        raise DownloadError("no mirror gave mnist:\nno network")

    monkeypatch.setattr("tenfold.remote.prepare", fail)
    found = check(payload_of(fingerprint, "knn"), ignore)
    assert found == {"refused": "no mirror gave mnist: no network", "passing": True}


def test_an_own_estimator_must_be_there_and_the_same(fingerprint, own):
    payload = payload_of(fingerprint, "constants:Constant")
    payload["sources"] = {"constants:Constant": source_sha256("constants:Constant")}
    assert check(payload, ignore) == {}
    own.write_text(OWN.replace("0.55", "0.54"))
    assert "is another one" in check(payload, ignore)["refused"]
    payload["sources"] = {"not_there:Constant": "0" * 64}
    assert "not_there" in check(payload, ignore)["refused"]


class Asker:
    """Starts runs as an experiment does, and asks this process to fit."""

    def __init__(self, uri, home, payload, parent_of="remote"):
        self.tracker = MlflowTracker(Workspace(home).open(), parent_of)
        self.payload, self.uri, self.events = payload, uri, []

    def request(self, trials):
        parent = self.tracker.begin("remote", lock="lock", params={}, tags={})
        runs = {
            key: self.tracker.start(trial, key, parent=parent)
            for trial, key in zip(trials, self.payload["keys"], strict=True)
        }
        self.asked = {
            "function": "tenfold.fitting:fit_unit",
            "payload": {**{k: v for k, v in self.payload.items() if k != "profile"}, "runs": runs},
            "timeout_s": None,
            "memory_limit_bytes": None,
            "profile": self.payload["profile"],
            "sources": self.payload["sources"],
            "tracking_uri": self.uri,
            "topic": "topic",
            "call": "call",
        }
        return self.asked

    def label(self, key="key-0"):
        """Return the label that a trial gives every image."""
        with self.tracker.folder(self.asked["payload"]["runs"][key], only=TRIAL_FILES) as kept:
            (label,) = set(read_folder(kept)[1].test.argmax(axis=1))
        return label

    def done(self):
        return [event["key"] for event in self.events if event.get("done")]


def test_a_warm_process_fits_the_source_that_is_there_now(
    mlflow_server, tmp_path, monkeypatch, fingerprint, own
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.url)
    config = parse_config({"name": "x", "dataset": DATASET, "models": ["constants:Constant"]})
    pids = set()
    for label in (0, 3):
        own.write_text(OWN.replace("label=0", f"label={label}"))
        payload = payload_of(fingerprint, "constants:Constant")
        payload["keys"] = [f"warm-{label}"]
        payload["sources"] = {"constants:Constant": source_sha256("constants:Constant")}
        asker = Asker(mlflow_server.url, tmp_path / "asker", payload)
        request = asker.request(expand_grid(config))
        asked = {**request, "function": "constants:whose", "payload": dict(request["payload"])}
        pids.add(run(asked, tell=ignore, is_wanted=lambda: True)["answer"]["pid"])
        run(request, tell=ignore, is_wanted=lambda: True)
        assert asker.label(f"warm-{label}") == label
    assert len(pids) == 1, "the second is fitted by the process of the first"


@pytest.fixture
def asker(mlflow_server, tmp_path, monkeypatch, fingerprint, own):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.url)
    entry = {"model": "knn", "grid": {"n_neighbors": [1, 9]}}
    payload = payload_of(fingerprint, entry)
    asker = Asker(mlflow_server.url, tmp_path / "asker", payload)
    config = parse_config({"name": "x", "dataset": DATASET, "models": [entry]}, origin="x")
    asker.request(expand_grid(config))
    return asker


def test_files_are_handed_over_row_by_row_and_the_workers_folder_is_left_clean(asker, tmp_path):
    answer = run(asker.asked, tell=asker.events.append, is_wanted=lambda: True)
    assert "folders" in answer["answer"]
    assert asker.done() == ["key-0", "key-1"]
    assert all(event["kept"] for event in asker.events if event.get("done"))
    sure = []
    for run_id in asker.asked["payload"]["runs"].values():
        assert set(asker.tracker._files.names(run_id)) >= {"model.onnx", "proof.npz"}
        with asker.tracker.folder(run_id, only=TRIAL_FILES) as kept:
            _, predictions, _ = read_folder(kept)
        sure.append(len(set(predictions.test.max(axis=1).round(6).tolist())))
    assert sure[0] == 1  # one neighbour is always as sure, nine are not
    assert sure[1] > 1
    home = tmp_path / "workspace"
    assert [path for name in ("jobs", "graphs") for path in (home / name).glob("*")] == []


def test_what_a_killed_worker_had_handed_over_is_not_fitted_again(asker):
    run(asker.asked, tell=ignore, is_wanted=lambda: True)
    asker.asked["function"] = "tenfold.nothing:fits"
    answer = run(asker.asked, tell=asker.events.append, is_wanted=lambda: True)
    assert answer == {"answer": {}}
    assert asker.done() == ["key-0", "key-1"]


def test_what_nobody_waits_for_is_ended_and_the_next_call_has_a_process(asker, monkeypatch):
    monkeypatch.setattr("tenfold.remote._LOOK_S", 0.05)
    asker.asked["function"] = "constants:wait"
    with pytest.raises(TrialStoppedError):
        run(asker.asked, tell=asker.events.append, is_wanted=lambda: not asker.events)
    asker.asked["function"] = "tenfold.fitting:fit_unit"
    assert "answer" in run(asker.asked, tell=ignore, is_wanted=lambda: True)


def test_checkpoints_that_nobody_goes_on_with_are_dropped_after_a_week(asker, tmp_path):
    workspace = Workspace(tmp_path / "workspace")
    elsewhere = workspace.checkpoints / "of-an-experiment-here"
    names = ("pruned", "of-another-worker", "recent", "key-1")
    folders = [elsewhere, *(workspace.checkpoints / "remote" / name for name in names)]
    long_ago = time.time() - 8 * 24 * 3600
    for folder in folders:
        (folder / "fold-1").mkdir(parents=True)
        (folder / "fold-1" / "weights").write_text("")
        for path in (folder / "fold-1" / "weights", folder / "fold-1", folder):
            if folder.name != "recent" or path.is_dir():
                os.utime(path, (long_ago, long_ago))
    asker.asked["function"] = "constants:missing"
    with workspace.locked("remote-of-another-worker"), pytest.raises(TrialError):
        run(asker.asked, tell=ignore, is_wanted=lambda: True)
    assert [folder.name for folder in folders if not folder.exists()] == ["pruned"]
    asker.asked["function"] = "tenfold.fitting:fit_unit"
    run(asker.asked, tell=ignore, is_wanted=lambda: True)
    left = [folder.name for folder in folders if folder.exists()]
    assert left == ["of-an-experiment-here", "recent"]


def test_an_error_is_the_answer(asker):
    asker.asked["function"] = "constants:missing"
    answer = json.loads(work(json.dumps(asker.asked)))
    assert answer["error"][0] == "TrialError"
    assert "missing" in answer["error"][1].splitlines()[0]


def test_a_refusal_is_the_answer(asker):
    asker.asked["profile"] = {"numpy": "0.1"}
    answer = json.loads(work(json.dumps(asker.asked)))
    assert answer["worker"] == "here"
    assert "numpy" in answer["refused"]
