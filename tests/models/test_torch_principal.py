"""Principal components inside a network."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from tenfold.models import build_model
from tenfold.models.torch.networks import PrincipalComponents


@pytest.mark.parametrize("keep", [0.95, 0.5, 20, 64])
def test_pictures_are_rebuilt_as_scikit_learn_does_it(digits, keep):
    images, _ = digits
    layer = PrincipalComponents((8, 8), keep)
    layer.fit(torch.tensor(images))
    reference = PCA(keep, svd_solver="full").fit(images / 255)
    assert len(layer.components) == reference.n_components_
    expected = reference.inverse_transform(reference.transform(images / 255))
    assert layer(torch.tensor(images)).view(-1, 64).numpy() == pytest.approx(expected, abs=1e-5)


def test_more_components_than_pixels_are_all_pixels(digits):
    images, _ = digits
    layer = PrincipalComponents((8, 8), 500)
    layer.fit(torch.tensor(images))
    assert layer.components.shape == (64, 64)
    assert layer(torch.tensor(images)).view(-1, 64).numpy() == pytest.approx(images / 255, abs=1e-5)


def test_images_without_any_variance_do_not_break_it():
    layer = PrincipalComponents((2, 2), 0.95)
    layer.fit(torch.full((5, 4), 51, dtype=torch.uint8))
    assert layer(torch.full((1, 4), 51, dtype=torch.uint8)).numpy() == pytest.approx(0.2)


def test_components_come_from_the_training_rows_alone(digits):
    images, labels = digits
    settings = {"epochs": 1, "batch_size": 64, "pca": 5}
    alone = build_model("pca_cnn", settings).fit(images[:200], labels[:200])
    watched = build_model("pca_cnn", settings).fit(
        images[:200], labels[:200], validation=(images[200:], labels[200:])
    )
    assert torch.equal(alone.network_[0].components, watched.network_[0].components)
    own = PrincipalComponents((8, 8), 5)
    own.fit(torch.tensor(images[:200]))
    assert torch.equal(alone.network_[0].mean, own.mean)
    assert not np.allclose(own.mean.numpy(), images.mean(axis=0) / 255, atol=1e-4)
