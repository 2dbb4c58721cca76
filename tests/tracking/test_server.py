"""Tracking on a server that hands artifacts on, as several machines share it."""

import shutil

import pytest
from mlflow import MlflowClient

from tenfold.errors import TrackingError
from tenfold.records import Trial
from tenfold.servers import Server
from tenfold.tracking import BEAT_TAG, MlflowTracker, RunFiles
from tenfold.workspace import Workspace

TRIAL = Trial("svm", {"C": 1.0}, "SVM", "C=1", seed=3)


@pytest.fixture
def uri(mlflow_server, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.url)
    return mlflow_server.url


@pytest.fixture
def here(tmp_path):
    return Workspace(tmp_path / "here").open()


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "trial"
    made.mkdir()
    for name in ("trial.json", "predictions.npz"):
        (made / name).write_text(name)
    return made


def begin(tracker):
    return tracker.begin("mine", lock="lock", params={"seed": 3}, tags={})


def test_files_of_a_trial_go_to_the_server_and_come_back(uri, here, folder, tmp_path):
    tracker = MlflowTracker(here, "files")
    parent = begin(tracker)
    run_id = tracker.start(TRIAL, "files-1", parent=parent)
    tracker.finish(run_id, folder, {"fit_s": 1.0})
    tracker.end(parent, {}, [])
    graph = tmp_path / "model.onnx"
    graph.write_text("graph")
    tracker.attach(run_id, [graph])
    tracker.report(run_id, {"accuracy": 1.0}, [graph])
    other = MlflowTracker(here, "files")
    assert other.finished()["files-1"] == run_id
    with other.folder(run_id, only=("trial.json", "views.npz")) as kept:
        assert [path.name for path in kept.iterdir()] == ["trial.json"]
    with other.folder(run_id) as kept:
        names = sorted(path.name for path in kept.iterdir())
        assert names == ["model.onnx", "predictions.npz", "trial.json"]
        assert (kept / "model.onnx").read_text() == "graph"
    assert not kept.exists()
    other.drop(run_id, ["model.onnx", "proof.npz"])
    assert sorted(RunFiles(uri).names(run_id)) == ["predictions.npz", "trial.json"]


def test_nothing_is_printed_where_results_are(uri, here, folder, capsys):
    tracker = MlflowTracker(here, "quiet")
    parent = begin(tracker)
    tracker.finish(tracker.start(TRIAL, "quiet-1", parent=parent), folder, {})
    tracker.end(parent, {}, [])
    assert capsys.readouterr().out == ""


def test_what_another_machine_runs_is_left_until_it_is_silent_for_long(uri, here, tmp_path):
    client = MlflowClient(tracking_uri=uri)
    now = [2_000_000_000.0]  # after all that the server saw
    elsewhere = MlflowTracker(Workspace(tmp_path / "there").open(), "beats", clock=lambda: now[0])
    parent = begin(elsewhere)
    run_id = elsewhere.start(TRIAL, "beats-1", parent=parent)
    assert client.get_run(parent).data.tags[BEAT_TAG] == "2000000000"
    now[0] += 599
    MlflowTracker(here, "beats", clock=lambda: now[0])
    assert {client.get_run(run).info.status for run in (parent, run_id)} == {"RUNNING"}
    now[0] += 2
    MlflowTracker(here, "beats", clock=lambda: now[0])
    assert {client.get_run(run).info.status for run in (parent, run_id)} == {"KILLED"}
    elsewhere.end(parent, {}, [])


def test_a_server_that_restarts_is_waited_for(places, here, folder, empty_database, monkeypatch):
    shutil.copy(empty_database, here.home / "server.db")
    plan = places.mlflow_server(here.home, f"sqlite:///{here.home}/server.db")
    with Server(plan) as server:
        server.wait_until_ready()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", plan.url)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
        tracker = MlflowTracker(here, "again")
        parent = begin(tracker)
        run_id = tracker.start(TRIAL, "key-1", parent=parent)
    with Server(plan):  # it takes some seconds to answer, and nobody waits for that here
        tracker.finish(run_id, folder, {"fit_s": 1.0})
        assert tracker.finished() == {"key-1": run_id}
        tracker.end(parent, {}, [])


def test_nobody_at_the_address_is_told_in_a_line(places, here, monkeypatch):
    port = places.free_port()
    monkeypatch.setattr("tenfold.tracking.connection._FIRST_TRIES", 0)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    with pytest.raises(TrackingError, match=f"MLflow at http://127.0.0.1:{port} failed") as caught:
        MlflowTracker(here, "mine")
    assert "\n" not in str(caught.value)


def test_the_password_of_the_address_is_neither_shown_nor_stored(uri, here, monkeypatch):
    with_password = uri.replace("://", "://ann:secret@")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", with_password)
    tracker = MlflowTracker(here, "secret")
    run_id = tracker.start(TRIAL, "secret-1", parent=begin(tracker))
    tracker.fail(run_id, f"request to {with_password}/api/2.0 failed")
    with tracker.folder(run_id) as kept:
        stored = (kept / "traceback.txt").read_text()
    assert stored == f"request to {uri.replace('://', '://ann:***@')}/api/2.0 failed"
    assert "secret@" not in str(MlflowClient(tracking_uri=uri).get_run(run_id).data.tags)
    with pytest.raises(TrackingError, match=r"MLflow at http://ann:\*\*\*@127") as caught:
        tracker.attach("0" * 32, [])
    assert "secret" not in str(caught.value)
