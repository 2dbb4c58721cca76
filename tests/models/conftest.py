"""Real digits, small enough that every model learns them in an instant."""

import numpy as np
import pytest
from sklearn.datasets import load_digits


@pytest.fixture(scope="session")
def digits():
    """Return 300 images of 8×8 pixels, 0..255, and their labels."""
    bunch = load_digits()
    images = np.rint(bunch.data[:300] * 255 / 16).astype(np.uint8)
    images.setflags(write=False)
    return images, bunch.target[:300]
