"""What trackers remember, and that no run stays RUNNING."""

import sqlite3

import pytest
from mlflow import MlflowClient

from tenfold.errors import TrackingError
from tenfold.records import Trial
from tenfold.tracking import LOCK_TAG, MlflowTracker, NullTracker
from tenfold.workspace import Workspace

TRIAL = Trial("svm", {"C": 1.0, "kernel": "rbf"}, "SVM", "C=1", seed=3)


@pytest.fixture
def tracker(workspace):
    return MlflowTracker(workspace, "mine")


@pytest.fixture
def client(workspace):
    return MlflowClient(tracking_uri=workspace.tracking_uri)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "trial"
    made.mkdir()
    (made / "trial.json").write_text("{}")
    return made


def begin(tracker, lock="lock"):
    return tracker.begin("mine", lock=lock, params={"seed": 3}, tags={"a": "b"})


def test_a_trial_is_a_nested_run_with_parameters_metrics_and_files(tracker, client, folder):
    parent = begin(tracker)
    run_id = tracker.start(TRIAL, "key-1", parent=parent)
    for epoch in (1, 2):
        tracker.step(run_id, epoch, {"val_loss": 1 / epoch})
    tracker.finish(run_id, folder, {"fit_s": 2.5})
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "SVM C=1"
    assert run.data.tags["mlflow.parentRunId"] == parent
    assert run.data.params == {"C": "1.0", "kernel": "rbf", "seed": "3", "model": "svm"}
    assert run.data.metrics["fit_s"] == 2.5
    history = [(m.step, m.value) for m in client.get_metric_history(run_id, "val_loss")]
    assert history == [(1, 1.0), (2, 0.5)]
    with tracker.folder(run_id) as kept:
        assert (kept / "trial.json").read_text() == "{}"


def test_only_finished_trials_are_found(tracker, folder):
    parent = begin(tracker)
    done = tracker.start(TRIAL, "key-1", parent=parent)
    failed = tracker.start(TRIAL, "key-2", parent=parent)
    tracker.start(TRIAL, "key-3", parent=parent)
    tracker.finish(done, folder, {})
    tracker.fail(failed, "no luck")
    assert tracker.finished() == {"key-1": done}


def test_another_experiment_of_the_workspace_finds_them_too(tracker, folder, workspace):
    done = tracker.start(TRIAL, "key-1", parent=begin(tracker))
    tracker.finish(done, folder, {})
    assert MlflowTracker(workspace, "other").finished() == {"key-1": done}


def test_more_finished_trials_than_a_page_are_all_found(tracker, monkeypatch):
    # What MLflow gives back in one page is larger than is quick to make; so make pages small.
    search = tracker._client.search_runs
    monkeypatch.setattr(
        tracker._client,
        "search_runs",
        lambda *args, **keywords: search(*args, **{**keywords, "max_results": 2}),
    )
    parent = begin(tracker)
    for number in range(5):
        run_id = tracker.start(TRIAL, f"key-{number}", parent=parent)
        tracker._client.set_terminated(run_id, "FINISHED")
    assert len(tracker.finished()) == 5


def test_a_failed_run_keeps_its_reason(tracker, client):
    run_id = tracker.start(TRIAL, "key-1", parent=begin(tracker))
    tracker.fail(run_id, "ValueError: no luck\nTraceback …")
    run = client.get_run(run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags["tenfold.reason"].startswith("ValueError: no luck")
    assert [item.path for item in client.list_artifacts(run_id)] == ["traceback.txt"]


def test_runs_whose_process_is_gone_are_closed_and_others_are_left(tracker, client, workspace):
    with workspace.locked("alive"):
        alive = begin(tracker, "alive")
        stale = tracker.start(TRIAL, "key-1", parent=alive)
        foreign = tracker.start(TRIAL, "key-2", parent=alive)
        client.set_tag(foreign, "tenfold.workspace", "another machine:/w")
        MlflowTracker(workspace, "mine")
        assert client.get_run(alive).info.status == "RUNNING"
        assert client.get_run(stale).info.status == "KILLED"
        assert client.get_run(foreign).info.status == "RUNNING"
    MlflowTracker(workspace, "mine")
    assert client.get_run(alive).info.status == "KILLED"


def test_files_are_attached_to_a_finished_trial_and_replaced(tracker, folder, tmp_path):
    run_id = tracker.start(TRIAL, "key-1", parent=begin(tracker))
    tracker.finish(run_id, folder, {})
    more = tmp_path / "model.onnx"
    for content in ("old", "new"):
        more.write_text(content)
        tracker.attach(run_id, [more])
    with tracker.folder(run_id) as kept:
        assert (kept / "model.onnx").read_text() == "new"
        assert (kept / "trial.json").exists()
    assert tracker.finished() == {"key-1": run_id}


def test_a_report_is_added_once(tracker, folder):
    run_id = tracker.start(TRIAL, "key-1", parent=begin(tracker))
    tracker.finish(run_id, folder, {})
    assert tracker.unreported([run_id]) == [run_id]
    tracker.report(run_id, {"accuracy": 0.9}, [folder / "trial.json"])
    assert tracker.unreported([run_id]) == []


def test_a_parent_ends_finished_with_its_files(tracker, client, folder):
    parent = begin(tracker)
    assert client.get_run(parent).data.tags[LOCK_TAG] == "lock"
    tracker.end(parent, {"accuracy": 0.5}, [folder / "trial.json"])
    run = client.get_run(parent)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"accuracy": 0.5})


def test_a_deleted_experiment_is_used_again(tracker, client, workspace):
    client.delete_experiment(client.get_experiment_by_name("mine").experiment_id)
    assert begin(MlflowTracker(workspace, "mine"))


def test_a_broken_database_is_told_in_a_line(tmp_path):
    workspace = Workspace(tmp_path / "w").open()
    (workspace.home / "mlflow.db").write_text("this is no database, but long enough to be read")
    with pytest.raises(TrackingError, match="check that it can be reached") as caught:
        MlflowTracker(workspace, "mine")
    assert "\n" not in str(caught.value)


def test_an_error_later_on_is_told_too(tracker, workspace):
    with sqlite3.connect(workspace.home / "mlflow.db") as database:
        database.execute("DROP TABLE runs")
    with pytest.raises(TrackingError, match="finished trials are not run again"):
        tracker.finished()


def test_the_null_tracker_keeps_files_but_remembers_nothing(folder):
    tracker = NullTracker()
    run_id = tracker.start(TRIAL, "key-1", parent=begin(tracker))
    tracker.step(run_id, 1, {"loss": 1.0})
    tracker.finish(run_id, folder, {})
    tracker.attach(run_id, [folder / "trial.json"])
    with tracker.folder(run_id) as kept:
        assert (kept / "trial.json").exists()
    assert tracker.finished() == {}
    assert tracker.unreported([run_id]) == ()
    tracker.fail(tracker.start(TRIAL, "key-2", parent=""), "no luck")
    tracker.report(run_id, {}, [])
    tracker.end("", {}, [])
