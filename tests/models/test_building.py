"""Building estimators by name."""

import os
import subprocess
import sys

import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.naive_bayes import GaussianNB

from tenfold.errors import ConfigError, MissingExtraError, ModelInputError, UnknownModelError
from tenfold.models import build_model


class OwnClassifier(ClassifierMixin, BaseEstimator):
    def __init__(self, strength=1.0, *, image_shape=None, random_state=None, seed=None):
        self.strength = strength
        self.image_shape = image_shape
        self.random_state = random_state
        self.seed = seed


def not_a_class():
    pass


def test_an_unknown_name_lists_the_names_and_the_nearest():
    with pytest.raises(UnknownModelError, match=r"Did you mean 'xgboost'\? Valid: .*dotted path"):
        build_model("xgbost")


def test_a_wrong_parameter_is_refused_before_anything_is_built():
    with pytest.raises(ConfigError, match=r"knn\.n_neighbors: got 0"):
        build_model("knn", {"n_neighbors": 0})


def test_settings_reach_the_estimator():
    model = build_model(
        "mlp", {"epochs": 2}, image_shape=(8, 6), seed=3, threads=2, precision="bfloat16"
    )
    assert model.get_params() | {"hidden_layers": None} == model.get_params() | {
        "epochs": 2,
        "image_shape": (8, 6),
        "seed": 3,
        "threads": 2,
        "device": "cpu",
        "precision": "bfloat16",
        "hidden_layers": None,
    }


def test_an_own_estimator_gets_the_settings_that_its_constructor_takes():
    model = build_model(f"{__name__}:OwnClassifier", {"strength": 2}, image_shape=(4, 5), seed=7)
    assert (model.strength, model.image_shape) == (2, (4, 5))
    assert (model.random_state, model.seed) == (7, 7)
    assert isinstance(build_model("sklearn.naive_bayes:GaussianNB"), GaussianNB)


def test_an_own_estimators_unknown_parameter_is_named():
    with pytest.raises(ModelInputError, match="'strenght'.*Did you mean 'strength'"):
        build_model(f"{__name__}:OwnClassifier", {"strenght": 2})


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no_such_package.module:Thing", "No estimator can be imported"),
        ("sklearn.naive_bayes:NoSuchThing", "No estimator can be imported"),
        (":Thing", "No estimator can be imported"),
        (f"{__name__}:not_a_class", "derives from sklearn.base.BaseEstimator"),
        ("collections:OrderedDict", "derives from sklearn.base.BaseEstimator"),
    ],
)
def test_a_dotted_path_that_leads_to_no_estimator_is_refused(path, message):
    with pytest.raises(ModelInputError, match=message):
        build_model(path)


def test_a_missing_library_is_named_with_the_extra_that_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingExtraError, match=r"tenfold\[train\]"):
        build_model("knn")


def test_importing_the_models_imports_no_heavy_library():
    code = (
        "import sys, tenfold.models; "
        "print([m for m in ('sklearn', 'torch', 'xgboost', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "None 10000"),
        ({"GOMP_SPINCOUNT": "7"}, "None 7"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE None"),
    ],
)
def test_idle_threads_soon_sleep_unless_the_user_says_otherwise(given, expected):
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    code = f"import os, tenfold.models; print(*(os.environ.get(name) for name in {names}))"
    rest = {key: value for key, value in os.environ.items() if key not in names}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=rest | given, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected


LIGHT = """
import sys
from importlib.machinery import PathFinder

class Sparse(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        missing = "PIL cv2 yaml onnx onnxruntime mlflow psutil filelock matplotlib typer xgboost"
        return None if name.partition(".")[0] in missing.split() else super().find_spec(name, path)

sys.meta_path = [Sparse if finder is PathFinder else finder for finder in sys.meta_path]

from tenfold.data import load_dataset, make_split
from tenfold.models import build_model

split = make_split(load_dataset("digits", max_images=300))
model = build_model("mlp", {"epochs": 1}).fit(split.images, split.labels)
print(len(model.predict(split.images)) == len(split.images))
"""


def test_networks_need_torch_scikit_learn_pydantic_and_safetensors_alone():
    command = [sys.executable, "-c", LIGHT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
