"""The registry and its search spaces."""

import pytest

from tenfold.config import PARAMS
from tenfold.models import SPECS, Choice, Range, get_spec, list_models, registry


def test_the_registry_and_the_schemas_name_the_same_models():
    assert set(list_models()) == set(PARAMS)


def test_titles_are_those_of_the_leaderboard_contract():
    titles = {spec.name: spec.title for spec in SPECS}
    assert titles == {
        "logistic_regression": "Logistic Regression",
        "knn": "KNN",
        "svm": "SVM",
        "random_forest": "Random Forest",
        "keras_cnn": "CNN",
        "mlp": "MLP",
        "xgboost": "XGBoost",
        "sgd": "SGD",
        "cnn": "Small CNN",
        "fcnn": "FCNN",
        "simple_conv_net": "SimpleConvNet",
        "bn_cnn": "BN-CNN",
        "pca_cnn": "PCA-CNN",
        "deep_cnn": "Deep CNN",
        "vit": "ViT",
    }


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_search_space_lies_inside_the_bounds_of_the_schema(spec):
    assert spec.summary.endswith(".")
    assert spec.search_space
    for name, values in spec.search_space.items():
        ends = values.values if isinstance(values, Choice) else (values.low, values.high)
        for value in ends:
            spec.params.model_validate({name: value})
        if isinstance(values, Range):
            assert values.low < values.high
            assert not values.log or values.low > 0


def test_two_models_of_one_name_are_refused():
    with pytest.raises(ValueError, match="Two models are named 'knn'"):
        registry.index_specs([get_spec("knn"), get_spec("knn")])
