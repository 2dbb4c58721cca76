"""The memory of finished trials: MLflow, or a tracker that forgets."""

from tenfold.tracking.mlflow_tracker import (
    BEAT_TAG,
    KEY_TAG,
    LOCK_TAG,
    WORKSPACE_TAG,
    MlflowTracker,
)
from tenfold.tracking.null_tracker import NullTracker
from tenfold.tracking.run_files import RunFiles
from tenfold.tracking.tracker import RunStatus, Tracker

__all__ = [
    "BEAT_TAG",
    "KEY_TAG",
    "LOCK_TAG",
    "WORKSPACE_TAG",
    "MlflowTracker",
    "NullTracker",
    "RunFiles",
    "RunStatus",
    "Tracker",
]
