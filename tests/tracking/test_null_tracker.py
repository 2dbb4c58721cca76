"""The tracker that forgets."""

import pytest

from tenfold.records import Trial
from tenfold.tracking import NullTracker

TRIAL = Trial("svm", {"C": 1.0, "kernel": "rbf"}, "SVM", "C=1", seed=3)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "trial"
    made.mkdir()
    (made / "trial.json").write_text("{}")
    return made


def test_the_null_tracker_keeps_files_but_remembers_nothing(folder):
    tracker = NullTracker()
    run_id = tracker.start(TRIAL, "key-1", parent="")
    tracker.step(run_id, 1, {"loss": 1.0})
    tracker.finish(run_id, folder, {})
    tracker.attach(run_id, [folder / "trial.json"])
    (folder / "model.onnx").write_text("graph")
    tracker.attach(run_id, [folder / "model.onnx"])
    tracker.drop(run_id, ["model.onnx", "proof.npz"])
    with tracker.folder(run_id) as kept:
        assert (kept / "trial.json").exists()
        assert not (kept / "model.onnx").exists()
    assert tracker.finished() == {}
    assert not tracker.is_finished(run_id)
    assert tracker.unreported([run_id]) == ()
    tracker.fail(tracker.start(TRIAL, "key-2", parent=""), "no luck")
    tracker.report(run_id, {}, [])
    tracker.end("", {}, [])
