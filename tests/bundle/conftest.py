"""A small bundle made by hand, and parts to make hostile ones from."""

from types import SimpleNamespace

import numpy as np
import pytest

from bundle_facts import make_facts
from linear_graph import answer, make_graph
from tenfold.bundle import write_bundle


@pytest.fixture
def parts():
    """Return everything that `write_bundle` is given."""
    model = make_graph()
    images = np.random.default_rng(1).integers(0, 256, (1000, 12), dtype=np.uint8)
    labels, probabilities = answer(model, images)
    return SimpleNamespace(
        model=model.SerializeToString(),
        facts=make_facts(),
        images=images,
        labels=labels,
        probabilities=probabilities,
        learned=images[:600],
    )


@pytest.fixture
def written(parts, tmp_path):
    """Return the path of a bundle in a folder."""
    return write_bundle(tmp_path / "tiny", **vars(parts)).path
