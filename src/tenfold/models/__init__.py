"""Models: a registry of scikit-learn estimators, and calibration of what they say."""

from tenfold.models.building import build_model
from tenfold.models.calibration import (
    Calibrator,
    calibrate,
    fit_calibrator,
    gives_margins,
    raw_scores,
)
from tenfold.models.registry import SPECS, get_spec, list_models
from tenfold.models.size import model_bytes
from tenfold.models.sources import source_sha256
from tenfold.models.spec import Choice, FitPath, ModelSpec, Range, Space, When

__all__ = [
    "SPECS",
    "Calibrator",
    "Choice",
    "FitPath",
    "ModelSpec",
    "Range",
    "Space",
    "When",
    "build_model",
    "calibrate",
    "fit_calibrator",
    "get_spec",
    "gives_margins",
    "list_models",
    "model_bytes",
    "raw_scores",
    "source_sha256",
]
