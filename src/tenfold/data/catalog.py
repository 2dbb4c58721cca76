"""The data sets that are known by name: where their files come from and what must be in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tenfold.errors import UnknownDatasetError, nearest

Role = Literal["train_images", "train_labels", "test_images", "test_labels", "train", "test"]

_DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class CatalogFile:
    """One file of a data set.

    Args:
        role: What it holds. Files of one role are alternatives: the first that is found counts.
        name: Its name in the data set's folder; unpacked, without ``.gz``, it may lie there too.
        urls: Mirrors, tried in turn.
        sha256: Sum of the unpacked content, checked whenever the file is read; None: not known.
        packed_sum: ``"sha256:…"`` or ``"md5:…"`` of the packed file, checked after a download
            where ``sha256`` is not known. What else lies there is checked by its shape alone.
    """

    role: Role
    name: str
    urls: tuple[str, ...]
    sha256: str | None = None
    packed_sum: str | None = None


@dataclass(frozen=True)
class CatalogEntry:
    """One data set.

    Args:
        name: Its name here.
        title: Its name elsewhere.
        description: One line.
        shape: Height and width in pixels.
        class_names: In the order of the labels.
        n_train: Rows to learn from.
        n_test: Official test rows; 0: the split carves some out.
        citation: Whom to cite, and the licence where the source names one.
        folder: Where the files lie below the data folder; empty: nothing to fetch.
        files: The files.
    """

    name: str
    title: str
    description: str
    shape: tuple[int, int]
    class_names: tuple[str, ...]
    n_train: int
    n_test: int
    citation: str
    folder: str = ""
    files: tuple[CatalogFile, ...] = ()

    @property
    def roles(self) -> tuple[Role, ...]:
        """What the files must hold, each once."""
        return tuple(dict.fromkeys(file.role for file in self.files))

    def find(self, data_dir: Path) -> dict[Role, tuple[CatalogFile, Path]]:
        """Find the files that already lie on this machine.

        Args:
            data_dir: The folder of all data sets.

        Returns:
            The file and its path for every role that was found.
        """
        found: dict[Role, tuple[CatalogFile, Path]] = {}
        for file in self.files:
            for name in (file.name, file.name.removesuffix(".gz").removesuffix(".bz2")):
                path = data_dir / self.folder / name
                if file.role not in found and path.is_file():
                    found[file.role] = (file, path)
        return found

    def is_ready(self, data_dir: Path) -> bool:
        """Tell whether nothing has to be fetched."""
        return len(self.find(data_dir)) == len(self.roles)


_IDX_FILES: tuple[tuple[Role, str], ...] = (
    ("train_images", "train-images-idx3-ubyte.gz"),
    ("train_labels", "train-labels-idx1-ubyte.gz"),
    ("test_images", "t10k-images-idx3-ubyte.gz"),
    ("test_labels", "t10k-labels-idx1-ubyte.gz"),
)


def _idx_files(
    mirrors: tuple[str, ...],
    *,
    sha256: tuple[str, ...] = (),
    packed: tuple[str, ...] = (),
) -> tuple[CatalogFile, ...]:
    """Describe four IDX files, sums in the order of `_IDX_FILES`."""
    return tuple(
        CatalogFile(
            role,
            name,
            tuple(mirror + name for mirror in mirrors),
            sha256=sha256[i] if sha256 else None,
            packed_sum=f"sha256:{packed[i]}" if packed else None,
        )
        for i, (role, name) in enumerate(_IDX_FILES)
    )


_MNIST_FILES = _idx_files(
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    sha256=(
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)
_MNIST_CITATION = "LeCun, Bottou, Bengio and Haffner 1998, http://yann.lecun.com/exdb/mnist"
_FASHION_FILES = _idx_files(
    (
        "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    sha256=(
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
)
# Only the sums of the packed files are published.
_KMNIST_FILES = _idx_files(
    (
        "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
    ),
    packed=(
        "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
        "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
        "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
        "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
    ),
)
_HASTIE = (
    "https://hastie.su.domains/ElemStatLearn/datasets/",
    "https://web.stanford.edu/~hastie/ElemStatLearn/datasets/",
)
_LIBSVM = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/"
_USPS_FILES = (
    CatalogFile(
        "train",
        "zip.train.gz",
        tuple(mirror + "zip.train.gz" for mirror in _HASTIE),
        sha256="abc9f5c75b997cabe66b5d01727d5a681c69298e1641a8d37b55433a52129dc0",
    ),
    CatalogFile(
        "train",
        "usps.bz2",
        (_LIBSVM + "usps.bz2",),
        packed_sum="md5:ec16c51db3855ca6c91edd34d0e9b197",
    ),
    CatalogFile(
        "test",
        "zip.test.gz",
        tuple(mirror + "zip.test.gz" for mirror in _HASTIE),
        sha256="6bde17b4f1cd68e0630cd2751d6495b5795d9165ab2dc4a0be8b7002b732f4cc",
    ),
    CatalogFile(
        "test",
        "usps.t.bz2",
        (_LIBSVM + "usps.t.bz2",),
        packed_sum="md5:8ea070ee2aca1ac39742fdd1ef5ed118",
    ),
)

ENTRIES: tuple[CatalogEntry, ...] = (
    CatalogEntry(
        name="digits",
        title="Optical Recognition of Handwritten Digits",
        description="1,797 handwritten digits of 8x8 pixels that come with scikit-learn",
        shape=(8, 8),
        class_names=_DIGITS,
        n_train=1_797,
        n_test=0,
        citation="Alpaydin and Kaynak 1998, UCI Machine Learning Repository, CC BY 4.0",
    ),
    CatalogEntry(
        name="mnist",
        title="MNIST",
        description="70,000 handwritten digits of 28x28 pixels",
        shape=(28, 28),
        class_names=_DIGITS,
        n_train=60_000,
        n_test=10_000,
        citation=_MNIST_CITATION,
        folder="mnist",
        files=_MNIST_FILES,
    ),
    CatalogEntry(
        name="mnist-small",
        title="MNIST, a fixed stratified part",
        description="10,000 images of MNIST's training file: 9,000 to learn from, 1,000 to test",
        shape=(28, 28),
        class_names=_DIGITS,
        n_train=9_000,
        n_test=1_000,
        citation=_MNIST_CITATION,
        folder="mnist",
        files=_MNIST_FILES[:2],
    ),
    CatalogEntry(
        name="fashion-mnist",
        title="Fashion-MNIST",
        description="70,000 pictures of clothes of 28x28 pixels",
        shape=(28, 28),
        class_names=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        n_train=60_000,
        n_test=10_000,
        citation="Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747, MIT",
        folder="fashion-mnist",
        files=_FASHION_FILES,
    ),
    CatalogEntry(
        name="kmnist",
        title="Kuzushiji-MNIST",
        description="70,000 cursive Japanese characters of 28x28 pixels",
        shape=(28, 28),
        class_names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        n_train=60_000,
        n_test=10_000,
        citation="Clanuwat et al. 2018, arXiv:1812.01718, CC BY-SA 4.0",
        folder="kmnist",
        files=_KMNIST_FILES,
    ),
    CatalogEntry(
        name="usps",
        title="USPS zip-code digits",
        description="9,298 digits from envelopes of 16x16 pixels",
        shape=(16, 16),
        class_names=_DIGITS,
        n_train=7_291,
        n_test=2_007,
        citation="LeCun et al. 1990; Hastie, Tibshirani and Friedman 2009",
        folder="usps",
        files=_USPS_FILES,
    ),
)


def list_datasets() -> tuple[CatalogEntry, ...]:
    """Return the data sets of the catalogue.

    >>> [entry.name for entry in list_datasets()][:2]
    ['digits', 'mnist']
    """
    return ENTRIES


def get_entry(name: str) -> CatalogEntry:
    """Return the data set of a name.

    Raises:
        UnknownDatasetError: There is none; the message lists the names.
    """
    for entry in ENTRIES:
        if entry.name == name:
            return entry
    raise UnknownDatasetError(
        f"no data set is called {name!r}. {nearest(name, [entry.name for entry in ENTRIES])} "
        "One's own data is given by its path, for example ./images or data.npz."
    )
