"""The registered models, in one literal tuple."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from tenfold.errors import UnknownModelError, nearest
from tenfold.models.spec import (
    TREES_PER_REPORT,
    Choice,
    FitPath,
    ModelSpec,
    Range,
    Space,
    When,
)

_NETWORK_SPACE: Space = {
    "learning_rate": Range(1e-4, 3e-2, log=True),
    "batch_size": Choice((64, 128, 256)),
}
# Where nothing that a step does depends on how many are still to come.
_EPOCHS = FitPath("epochs", where={"schedule": "constant", "patience": None})
_TREES = FitPath("n_estimators")

SPECS: tuple[ModelSpec, ...] = (
    ModelSpec(
        name="logistic_regression",
        title="Logistic Regression",
        estimator="tenfold.models.logistic:LogisticRegressionClassifier",
        family="linear",
        summary="Multinomial logistic regression on the pixels.",
        version=2,
        path=FitPath("max_iter"),
        search_space={"C": Range(1e-3, 1e2, log=True)},
    ),
    ModelSpec(
        name="knn",
        title="KNN",
        estimator="tenfold.models.knn:KnnClassifier",
        family="neighbors",
        summary="Vote of the k nearest training images, by exact distances.",
        path=FitPath("n_neighbors"),
        search_space={
            "n_neighbors": Range(1, 15, whole=True),
            "weights": Choice(("uniform", "distance")),
        },
    ),
    ModelSpec(
        name="svm",
        title="SVM",
        estimator="tenfold.models.svm:SvmClassifier",
        family="kernel",
        summary="Support vector machine with calibrated probabilities.",
        version=2,
        path=FitPath("C", where={"pca": None}),
        search_space={"C": Range(0.1, 100, log=True), "gamma": Range(1e-3, 1e-1, log=True)},
    ),
    ModelSpec(
        name="random_forest",
        title="Random Forest",
        estimator="tenfold.models.classical:RandomForestClassifier",
        family="trees",
        summary="Forest of fully grown trees on random pixels.",
        path=_TREES,
        search_space={
            "n_estimators": Range(50, 300, whole=True),
            "criterion": Choice(("gini", "entropy")),
            "min_samples_split": Range(2, 10, whole=True),
        },
    ),
    ModelSpec(
        name="xgboost",
        title="XGBoost",
        estimator="tenfold.models.classical:XgboostClassifier",
        family="trees",
        summary="Gradient-boosted trees.",
        needs=("sklearn", "xgboost"),
        path=_TREES,
        steps="n_estimators",
        report_every=TREES_PER_REPORT,
        search_space={
            "n_estimators": Range(50, 300, whole=True),
            "max_depth": Range(3, 8, whole=True),
            "learning_rate": Range(0.05, 0.5, log=True),
        },
    ),
    ModelSpec(
        name="sgd",
        title="SGD",
        estimator="tenfold.models.classical:SgdClassifier",
        family="linear",
        summary="Linear classifier by stochastic gradient descent.",
        search_space={
            "alpha": Range(1e-6, 1e-2, log=True),
            "loss": Choice(("hinge", "log_loss", "modified_huber")),
        },
    ),
    ModelSpec(
        name="mlp",
        title="MLP",
        estimator="tenfold.models.torch.classifier:MlpClassifier",
        family="network",
        summary="Multi-layer perceptron in PyTorch.",
        needs=("sklearn", "torch"),
        runs_on="torch",
        steps="epochs",
        version=3,
        path=_EPOCHS,
        search_space={**_NETWORK_SPACE, "dropout": Range(0.0, 0.5)},
    ),
    ModelSpec(
        name="keras_cnn",
        title="CNN",
        estimator="tenfold.models.torch.classifier:KerasCnnClassifier",
        family="network",
        summary="The classic Keras network: two convolutions, two pools, one dense layer.",
        needs=("sklearn", "torch"),
        runs_on="torch",
        steps="epochs",
        path=_EPOCHS,
        search_space=_NETWORK_SPACE,
    ),
    ModelSpec(
        name="cnn",
        title="Small CNN",
        estimator="tenfold.models.torch.classifier:CnnClassifier",
        family="network",
        summary="Small, fast convolutional network with batch norm: the default network.",
        needs=("sklearn", "torch"),
        runs_on="torch",
        steps="epochs",
        path=_EPOCHS,
        search_space={**_NETWORK_SPACE, "width": Choice((16, 24, 32, 48))},
    ),
    ModelSpec(
        name="fcnn",
        title="FCNN",
        estimator="tenfold.models.torch.classifier:FcnnClassifier",
        family="network",
        summary="Two dense layers of 128 units with dropout.",
        needs=("sklearn", "torch"),
        runs_on="torch",
        steps="epochs",
        version=4,
        path=_EPOCHS,
        search_space={
            **_NETWORK_SPACE,
            "optimizer": Choice(("adam", "rmsprop")),
            "momentum": Range(0.0, 0.95, when=When("optimizer", ("rmsprop",))),
        },
    ),
    ModelSpec(
        name="simple_conv_net",
        title="SimpleConvNet",
        estimator="tenfold.models.torch.classifier:SimpleConvNetClassifier",
        family="network",
        summary="The classic PyTorch network: two convolutions, one pool, one dense layer.",
        needs=("sklearn", "torch"),
        runs_on="torch",
        steps="epochs",
        version=3,
        path=_EPOCHS,
        search_space=_NETWORK_SPACE,
    ),
    ModelSpec(
        name="bn_cnn",
        title="BN-CNN",
        estimator="tenfold.models.torch.classifier:BnCnnClassifier",
        family="network",
        summary="Two convolutions with batch norm, one pool, one dense layer, by SGD.",
        needs=("sklearn", "torch"),
        runs_on="torch",
        steps="epochs",
        version=3,
        path=_EPOCHS,
        search_space={"learning_rate": Range(1e-4, 1e-1, log=True), "momentum": Range(0.5, 0.99)},
    ),
    ModelSpec(
        name="pca_cnn",
        title="PCA-CNN",
        estimator="tenfold.models.torch.classifier:PcaCnnClassifier",
        family="network",
        summary="The small convolutional network on images rebuilt from principal components.",
        needs=("sklearn", "torch"),
        runs_on="torch",
        steps="epochs",
        path=_EPOCHS,
        search_space={**_NETWORK_SPACE, "pca": Range(0.8, 0.99)},
    ),
    ModelSpec(
        name="deep_cnn",
        title="Deep CNN",
        estimator="tenfold.models.torch.classifier:DeepCnnClassifier",
        family="network",
        summary="Residual convolutional network with augmentation, for the highest accuracy.",
        needs=("sklearn", "torch"),
        runs_on="torch",
        steps="epochs",
        version=3,
        path=_EPOCHS,
        search_space={**_NETWORK_SPACE, "dropout": Range(0.0, 0.5)},
    ),
    ModelSpec(
        name="vit",
        title="ViT",
        estimator="tenfold.models.torch.classifier:VitClassifier",
        family="network",
        summary="Vision transformer on square patches.",
        needs=("sklearn", "torch"),
        runs_on="torch",
        steps="epochs",
        version=3,
        path=_EPOCHS,
        search_space={**_NETWORK_SPACE, "depth": Range(2, 8, whole=True)},
    ),
)


def index_specs(specs: Iterable[ModelSpec]) -> Mapping[str, ModelSpec]:
    """Return the specs by name.

    Raises:
        ValueError: Two specs share a name.
    """
    index: dict[str, ModelSpec] = {}
    for spec in specs:
        if spec.name in index:
            raise ValueError(f"Two models are named {spec.name!r}; rename one in SPECS.")
        index[spec.name] = spec
    return MappingProxyType(index)


_INDEX = index_specs(SPECS)


def list_models() -> tuple[str, ...]:
    """Return the names of the registered models, in the order of the registry."""
    return tuple(_INDEX)


def get_spec(name: str) -> ModelSpec:
    """Return what is known of a registered model.

    Raises:
        UnknownModelError: No model has this name; the message lists the names.
    """
    if name not in _INDEX:
        raise UnknownModelError(
            f"No model is named {name!r}. {nearest(name, _INDEX)} "
            "An own estimator is named by its dotted path, package.module:Class."
        )
    return _INDEX[name]
