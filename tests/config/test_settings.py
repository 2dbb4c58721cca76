"""Settings come from the environment, and a wrong variable is named."""

from pathlib import Path

import pytest

from tenfold.config import load_settings
from tenfold.errors import SettingError, UsageError


def test_defaults_need_no_variable():
    settings = load_settings({})
    assert settings.home == Path("tenfold-workspace")
    assert settings.data_dir is None
    assert settings.device == "auto"


def test_variables_are_read_and_home_is_expanded():
    settings = load_settings(
        {"TENFOLD_HOME": "~/w", "TENFOLD_DATA_DIR": "/d", "TENFOLD_DEVICE": ""}
    )
    assert settings.home == Path.home() / "w"
    assert settings.data_dir == Path("/d")
    assert settings.device == "auto"


def test_a_home_of_nobody_is_refused():
    with pytest.raises(UsageError, match="TENFOLD_DATA_DIR is '~nobody.here/d': .* no known user"):
        load_settings({"TENFOLD_DATA_DIR": "~nobody.here/d"})


def test_an_unknown_variable_is_refused_with_the_nearest():
    with pytest.raises(SettingError, match="TENFOLD_DATADIR is unknown.*TENFOLD_DATA_DIR"):
        load_settings({"TENFOLD_DATADIR": "/d"})


def test_a_wrong_value_is_refused_with_what_is_allowed():
    with pytest.raises(SettingError, match="TENFOLD_DEVICE is 'gpu'.*'cpu', 'cuda'"):
        load_settings({"TENFOLD_DEVICE": "gpu"})
