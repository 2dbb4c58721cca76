"""What a user may ask for: schemas of parameters, experiments and settings."""

from tenfold.config.experiment import (
    DATASETS,
    MAX_SIDE,
    DatasetConfig,
    ExperimentConfig,
    ModelEntry,
    name_for,
    name_on,
)
from tenfold.config.loading import (
    dump_config,
    load_config,
    parse_config,
    without_password,
    without_passwords,
)
from tenfold.config.params import PARAMS, canonical_params
from tenfold.config.schema import ModelParams
from tenfold.config.settings import Settings, expand_home, load_settings
from tenfold.config.tuning import SearchedParameter, TuneConfig

__all__ = [
    "DATASETS",
    "MAX_SIDE",
    "PARAMS",
    "DatasetConfig",
    "ExperimentConfig",
    "ModelEntry",
    "ModelParams",
    "SearchedParameter",
    "Settings",
    "TuneConfig",
    "canonical_params",
    "dump_config",
    "expand_home",
    "load_config",
    "load_settings",
    "name_for",
    "name_on",
    "parse_config",
    "without_password",
    "without_passwords",
]
