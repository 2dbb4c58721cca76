"""Own estimators: what is fitted is made of the source whose hash was taken."""

import hashlib
import os
import sys

import pytest
from sklearn.base import BaseEstimator
from sklearn.neighbors import KNeighborsClassifier

from tenfold.errors import ModelInputError
from tenfold.models import build_model, source_sha256

SOURCE = """
from sklearn.base import BaseEstimator
WORD = "first"
class Own(BaseEstimator):
    def say(self):
        return WORD
"""


class Here(BaseEstimator):
    """In a module that the test runner imports in its own way."""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Return a function that writes the module and returns the hash of its source."""
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "my_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("")

    def write(source):
        path = folder / "spoken.py"
        path.write_text(source)
        os.utime(path, (1e9, 1e9))  # Python's own import sees no difference between equal sizes
        return hashlib.sha256(source.encode()).hexdigest()

    yield write
    for name in [name for name in sys.modules if name.startswith("my_package")]:
        del sys.modules[name]


def said(sha256=None):
    return build_model("my_package.spoken:Own", source_sha256=sha256).say()


def test_another_source_is_made_anew_and_the_same_is_not(own):
    first = own(SOURCE)
    assert source_sha256("my_package.spoken:Own") == first
    assert said(first) == "first"
    module = sys.modules["my_package.spoken"]
    kept = module.Own
    second = own(SOURCE.replace("first", "other"))
    assert said(first) == "first", "as long as the first is wanted, it is not read again"
    assert module.Own is kept
    assert said(second) == "other"
    assert sys.modules["my_package"].spoken is module, "whoever has it sees the new one"


def test_what_was_imported_before_is_made_anew(own):
    own(SOURCE)
    assert said() == "first"
    assert said(own(SOURCE.replace("first", "other"))) == "other"


def test_a_source_that_is_gone_is_never_fitted_as_another(own):
    first = own(SOURCE)
    own(SOURCE.replace("first", "other"))
    with pytest.raises(ModelInputError, match=r"spoken.py changed while the .* run it again"):
        said(first)


def test_nothing_is_left_of_an_earlier_source(own):
    said(own(SOURCE))
    with pytest.raises(ModelInputError, match="has no attribute 'Own'"):
        said(own("WORD = 1"))
    with pytest.raises(NameError):
        said(own(SOURCE.replace("WORD =", "WORDS =")))


def test_a_source_that_cannot_be_run_is_not_taken_for_imported(own):
    broken = own("import this is no Python")
    for _ in range(2):
        with pytest.raises(SyntaxError):
            said(broken)


def test_a_package_and_what_is_no_python_source_are_their_own(own):
    for path in ("sklearn.neighbors:KNeighborsClassifier", f"{__name__}:Here"):
        wanted = source_sha256(path)
        assert build_model(path, source_sha256=wanted) is not None
        assert build_model(path, source_sha256=wanted) is not None
    assert sys.modules["sklearn.neighbors"].KNeighborsClassifier is KNeighborsClassifier
    assert sys.modules["sklearn"].neighbors._base is not None


@pytest.mark.parametrize("dotted", ["nowhere_at_all:X", "sys:X"])
def test_an_own_estimator_without_source_is_refused(dotted):
    with pytest.raises(ModelInputError, match="source file|cannot find"):
        source_sha256(dotted)
