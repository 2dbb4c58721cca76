"""A bundle of a small model of the embedded digits, made without a training."""

import pytest

from bundle_facts import make_facts
from linear_graph import answer, fit_weights, make_graph
from tenfold.bundle import write_bundle
from tenfold.data import load_dataset, make_split
from tenfold.imaging import measure_style


@pytest.fixture(scope="session")
def digits_bundle(tmp_path_factory):
    """Return the path of the bundle."""
    dataset = load_dataset("digits")
    split = make_split(dataset, cv_folds=3, cv_repeats=1)
    model = make_graph(weights=fit_weights(split.images, split.labels, 10))
    labels, probabilities = answer(model, split.images[:100])
    facts = make_facts(
        name="digits-linear",
        title="Linear",
        class_names=dataset.class_names,
        image_shape=dataset.image_shape,
        style=measure_style(split.images, dataset.image_shape),
        thresholds={"outlier": -0.3},
        fingerprint=dataset.fingerprint,
        split=split.key,
    )
    path = tmp_path_factory.mktemp("bundles") / "digits"
    return write_bundle(
        path,
        model=model.SerializeToString(),
        facts=facts,
        images=split.images[:100],
        labels=labels,
        probabilities=probabilities,
        learned=split.images,
    ).path
