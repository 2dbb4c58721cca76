"""What MLflow remembers, and that no run stays RUNNING."""

import sqlite3

import pytest
from mlflow import MlflowClient

from tenfold.errors import TrackingError
from tenfold.records import Trial
from tenfold.tracking import LOCK_TAG, MlflowTracker
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


def test_a_run_that_ends_while_others_look_whether_it_lives_stays_finished(
    tracker, client, folder, workspace
):
    run_id = tracker.start(TRIAL, "key-1", parent=begin(tracker))

    class Late(Workspace):
        """Another process's, which looks at a lock when its holder has just ended."""

        def is_held(self, name):
            if name == "key-1":
                tracker.finish(run_id, folder, {})
            return super().is_held(name)

    MlflowTracker(Late(workspace.home), "mine")
    assert client.get_run(run_id).info.status == "FINISHED"


@pytest.mark.parametrize("name", ["another-machine:{home}", "{machine}:/before-it-was-moved"])
def test_runs_of_this_workspace_under_an_earlier_name_are_closed(tracker, client, workspace, name):
    machine = workspace.identity.partition(":")[0]
    left = begin(tracker, "gone")
    earlier = name.format(home=workspace.home, machine=machine)
    client.set_tag(left, "tenfold.workspace", earlier)
    MlflowTracker(workspace, "mine")
    assert client.get_run(left).info.status == "KILLED"


def test_what_a_worker_kept_with_the_run_is_not_kept_again(tracker, folder):
    run_id = tracker.start(TRIAL, "key-1", parent=begin(tracker))
    tracker.attach(run_id, [folder / "trial.json"])
    tracker.finish(run_id, None, {"fit_s": 1.0})
    with tracker.folder(run_id, only=("trial.json",)) as kept:
        assert (kept / "trial.json").read_text() == "{}"
    assert tracker.finished() == {"key-1": run_id}


def test_only_a_finished_run_that_is_there_is_finished(tracker, client, folder):
    parent = begin(tracker)
    done = tracker.start(TRIAL, "key-1", parent=parent)
    tracker.finish(done, folder, {})
    assert tracker.is_finished(done)
    assert not tracker.is_finished(parent)
    assert not tracker.is_finished("0" * 32)
    client.delete_run(done)
    assert not tracker.is_finished(done)


def test_a_run_that_goes_on_tells_its_parameters_and_metrics_after_a_while(workspace, client):
    now = [100.0]
    tracker = MlflowTracker(workspace, "mine", clock=lambda: now[0])
    run_id = tracker.start(TRIAL, "key-1", parent=begin(tracker))
    tracker.step(run_id, 1, {"val_loss": 0.5})
    assert client.get_run(run_id).data.metrics == {}
    now[0] += 3
    tracker.step(run_id, 2, {"val_loss": 0.25})
    assert client.get_run(run_id).data.metrics == {"val_loss": 0.25}
    assert client.get_run(run_id).data.params["kernel"] == "rbf"


def test_a_long_history_is_written_whole(tracker, client, folder):
    run_id = tracker.start(TRIAL, "key-1", parent=begin(tracker))
    for step in range(950):
        tracker.step(run_id, step, {"val_loss": 1.0})
    tracker.finish(run_id, folder, {"fit_s": 1.0})
    assert len(client.get_metric_history(run_id, "val_loss")) == 950
    assert client.get_run(run_id).data.metrics["fit_s"] == 1.0


def test_files_of_a_finished_trial_are_dropped_where_they_are_there(tracker, folder):
    run_id = tracker.start(TRIAL, "key-1", parent=begin(tracker))
    (folder / "model.onnx").write_text("graph")
    tracker.finish(run_id, folder, {})
    tracker.drop(run_id, ["model.onnx", "proof.npz"])
    with tracker.folder(run_id) as kept:
        assert [path.name for path in kept.iterdir()] == ["trial.json"]


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


def test_many_runs_are_asked_for_reports_in_parts(tracker, monkeypatch):
    monkeypatch.setattr("tenfold.tracking.mlflow_tracker._ASKED_AT_ONCE", 2)
    parent = begin(tracker)
    runs = [tracker.start(TRIAL, f"key-{number}", parent=parent) for number in range(5)]
    tracker.report(runs[2], {}, [])
    assert tracker.unreported(runs) == [*runs[:2], *runs[3:]]


def test_a_parent_ends_finished_with_its_files(tracker, client, folder):
    parent = begin(tracker)
    assert client.get_run(parent).data.tags[LOCK_TAG] == "lock"
    tracker.end(parent, {"accuracy": 0.5}, [folder / "trial.json"])
    run = client.get_run(parent)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"accuracy": 0.5})


def test_a_parent_names_the_trials_that_are_nested_elsewhere(tracker, client):
    parent, other, alone = begin(tracker), begin(tracker), begin(tracker)
    tracker.end(parent, {}, [], reused=["a" * 32, "b" * 32])
    tracker.end(other, {}, [], reused=[f"{number:032}" for number in range(999)])
    tracker.end(alone, {}, [])
    assert client.get_run(parent).data.tags["tenfold.reused"] == f"{'a' * 32} {'b' * 32}"
    *named, last = client.get_run(other).data.tags["tenfold.reused"].split()
    assert {len(run_id) for run_id in named} == {32}
    assert last == "…"
    assert "tenfold.reused" not in client.get_run(alone).data.tags


def test_a_deleted_experiment_is_used_again(tracker, client, workspace):
    client.delete_experiment(client.get_experiment_by_name("mine").experiment_id)
    assert begin(MlflowTracker(workspace, "mine"))


def test_the_database_of_a_workspace_writes_each_change_once(tracker, workspace):
    with sqlite3.connect(workspace.home / "mlflow.db") as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


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
