"""Small data sets in every format, written to a test's own folder."""

import gzip

import numpy as np
import pytest
from PIL import Image

IDX_TYPES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D}
IDX_TYPES["float64"] = 0x0E


def to_idx(array):
    """Return an array in the IDX format."""
    array = np.asarray(array)
    head = bytes([0, 0, IDX_TYPES[array.dtype.name], array.ndim])
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return head + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.fixture(scope="session", name="idx_bytes")
def _idx_bytes():
    return to_idx


@pytest.fixture
def draw():
    """Return a function that draws ``n`` images of each class, all of them different."""

    def _draw(n=12, classes=3, shape=(4, 6), seed=0):
        rng = np.random.default_rng(seed)
        labels = np.tile(np.arange(classes), n)
        images = rng.integers(0, 200, (len(labels), *shape), dtype=np.uint8)
        images[:, 0, :] = (labels * 20)[:, None]
        images[:, -1, -1] = 255
        return images, labels

    return _draw


@pytest.fixture
def idx_folder(tmp_path, draw):
    """Return a function that writes a folder like MNIST's."""

    def _write(*, test=True, packed=True, **kwargs):
        folder = tmp_path / "idx"
        folder.mkdir()
        for part, seed in (("train", 1), ("t10k", 2)) if test else (("train", 1),):
            images, labels = draw(seed=seed, **kwargs)
            for name, array in (
                (f"{part}-images-idx3-ubyte", images),
                (f"{part}-labels-idx1-ubyte", labels.astype(np.uint8)),
            ):
                content = to_idx(array)
                path = folder / (f"{name}.gz" if packed else name)
                path.write_bytes(gzip.compress(content) if packed else content)
        return folder

    return _write


@pytest.fixture
def class_folders(tmp_path, draw):
    """Return a function that writes one folder of PNGs per class."""

    def _write(names=("cat", "dog"), *, n=12, shape=(4, 6), parts=("",), folder="pictures"):
        root = tmp_path / folder
        for seed, part in enumerate(parts):
            images, labels = draw(n=n, classes=len(names), shape=shape, seed=seed)
            for row, (image, label) in enumerate(zip(images, labels, strict=True)):
                path = root / part / names[label] / f"w{row % 6}_{row:03}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(path)
        return root

    return _write


@pytest.fixture
def npz(tmp_path):
    """Return a function that writes arrays into an archive."""

    def _write(**arrays):
        path = tmp_path / "data.npz"
        np.savez_compressed(path, **arrays)
        return path

    return _write


@pytest.fixture
def csv(tmp_path):
    """Return a function that writes lines into a table."""

    def _write(*lines, name="data.csv"):
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return _write
