"""Loading a data set by its name or path."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tenfold._optional import require
from tenfold.data.catalog import ENTRIES, CatalogEntry, get_entry
from tenfold.data.compressed import read_content
from tenfold.data.dataset import Dataset
from tenfold.data.fetch import fetch_dataset, find_data_dir, read_verified
from tenfold.data.idx import parse_idx
from tenfold.data.raw import Array, RawData, RawRows, check_shape, encode
from tenfold.data.readers import find_path, read_path
from tenfold.data.sampling import pick, seeded
from tenfold.data.sealed import SealedTest
from tenfold.data.usps import parse_usps
from tenfold.data.values import find_rule
from tenfold.errors import ConfigError, CorruptDataError, UnknownDatasetError, nearest

#: What fixes mnist-small for ever.
_SMALL_SEED = 9_000


def load_dataset(
    source: str | Path,
    *,
    target: str | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
    image_shape: tuple[int, int] | None = None,
    data_dir: Path | None = None,
    max_images: int | None = None,
) -> Dataset:
    """Load images and labels, fetching them if they are known by name and not here yet.

    Args:
        source: A name of `list_datasets`, as text, or the path of an IDX folder, an ``.npz`` file,
            a ``.csv`` file or a folder of class folders. A name wins over a folder of that name,
            which is given as ``./name`` or as a `Path`.
        target: A class name: makes the binary task "this class (1) or another (0)".
        label_column: Column or array of the labels, for tables and archives.
        group_column: Column or array that says which rows belong together; ``"prefix"`` for class
            folders.
        image_shape: Height and width, where the files do not say it; class folders are resized.
        data_dir: Where named data sets lie; None: ``TENFOLD_DATA_DIR`` or the user's cache.
        max_images: Learn from so many rows at most, a stratified draw; test rows all stay.

    Returns:
        The data set; `Dataset.value_rule` says how values became 0..255.

    Raises:
        UnknownDatasetError: No such name.
        DatasetNotFoundError: No such file or folder, or none that can be reached.
        CorruptDataError: A file is damaged or contradicts itself; it is named.
        ConfigError: An option does not fit the data.
        DownloadError: No mirror could give a file.

    >>> load_dataset("digits")
    Dataset('digits', 1,797 images of 8x8, 10 classes, no official test)
    """
    name = str(source)
    names = [entry.name for entry in ENTRIES]
    if isinstance(source, str) and name in names:
        for option, value in (("label_column", label_column), ("group_column", group_column)):
            if value is not None:
                raise ConfigError(
                    [f"{option} is {value!r}, but {name} has no columns; leave it out"]
                )
        entry = get_entry(name)
        raw = _read_entry(entry, find_data_dir(data_dir))
        check_shape(entry.shape, image_shape, where=name)
        title = entry.title
    else:
        path = find_path(source)
        if isinstance(source, str) and not path.exists() and path.name == name and not path.suffix:
            raise UnknownDatasetError(
                f"there is no data set, file or folder {name!r}. {nearest(name, names)}"
            )
        raw = read_path(
            path, label_column=label_column, group_column=group_column, image_shape=image_shape
        )
        name, title = path.name.partition(".")[0] or "data", str(path)
    dataset = _assemble(raw, name, title, target)
    return dataset if max_images is None else _reduce(dataset, max_images)


def _read_entry(entry: CatalogEntry, data_dir: Path) -> RawData:
    if entry.name == "digits":
        return _read_digits(entry)
    found = fetch_dataset(entry, data_dir)
    content = {role: (read_verified(file, path), path) for role, (file, path) in found.items()}
    train = _read_role(content, "train")
    test = _read_role(content, "test") if len(content) > 2 or "test" in content else None
    whole = get_entry("mnist") if entry.name == "mnist-small" else entry
    _check_size(train, whole.n_train, whole.shape)
    if test is not None:
        _check_size(test, whole.n_test, whole.shape)
    if entry.name == "mnist-small":
        train, test = _small_part(train, entry)
    return RawData(train, test, entry.class_names)


def _read_role(content: Mapping[Any, tuple[bytes, Path]], role: str) -> RawRows:
    if role in content:
        text, path = content[role]
        return parse_usps(text, where=path)
    (images, path), (labels, labels_path) = content[f"{role}_images"], content[f"{role}_labels"]
    return RawRows(
        str(path), parse_idx(images, where=str(path)), parse_idx(labels, where=str(labels_path))
    )


def _check_size(rows: RawRows, n: int, shape: tuple[int, int]) -> None:
    if rows.images.shape != (n, *shape):
        raise CorruptDataError(
            f"{rows.where} holds an array of shape {rows.images.shape}, expected is {(n, *shape)}; "
            "it is not the published file: replace it"
        )


def _small_part(rows: RawRows, entry: CatalogEntry) -> tuple[RawRows, RawRows]:
    """Draw the rows of mnist-small, always the same."""
    rng = np.random.default_rng(_SMALL_SEED)
    labels = rows.labels.astype(np.int64)
    drawn = np.flatnonzero(pick(labels, entry.n_train + entry.n_test, rng))
    is_test = pick(labels[drawn], entry.n_test, rng)
    return tuple(  # type: ignore[return-value]  # two parts from two masks
        RawRows(rows.where, rows.images[part], rows.labels[part])
        for part in (drawn[~is_test], drawn[is_test])
    )


def _read_digits(entry: CatalogEntry) -> RawData:
    """Read scikit-learn's digits without importing scikit-learn, which takes seconds."""
    spec = importlib.util.find_spec("sklearn")
    folders = (spec.submodule_search_locations if spec else None) or []
    for folder in folders:
        path = Path(folder, "datasets", "data", "digits.csv.gz")
        if path.is_file():
            text = read_content(path).decode("ascii").splitlines()
            table = np.loadtxt(text, delimiter=",", dtype=np.uint8)
            images, labels = table[:, :-1].reshape(-1, *entry.shape), table[:, -1]
            break
    else:
        bunch = require("sklearn.datasets").load_digits()
        path, images, labels = Path("scikit-learn"), bunch.images.astype(np.uint8), bunch.target
    rows = RawRows(str(path), images, labels)
    _check_size(rows, entry.n_train, entry.shape)
    return RawData(rows, None, entry.class_names)


def _assemble(raw: RawData, name: str, source: str, target: str | None) -> Dataset:
    parts = [raw.train] if raw.test is None else [raw.train, raw.test]
    where = raw.train.where
    for part in parts[1:]:
        if part.images.shape[1:] != raw.train.images.shape[1:]:
            raise CorruptDataError(
                f"{part.where} has images of shape {part.images.shape[1:]}, those of {where} are "
                f"{raw.train.images.shape[1:]}; both must be the same"
            )
    rule = raw.rule or find_rule([part.images for part in parts], where=where)
    class_names, labels = _index_labels(parts, raw.class_names)
    if target is not None:
        class_names, labels = _as_binary(class_names, labels, target, where)
    images = [rule.apply(part.images).reshape(len(part.images), -1) for part in parts]
    groups = _index_groups(parts)
    height, width = raw.train.images.shape[1:]
    return Dataset(
        name=name,
        images=images[0],
        labels=labels[0],
        class_names=class_names,
        image_shape=(int(height), int(width)),
        groups=groups[0],
        test=None if raw.test is None else SealedTest(images[1], labels[1], groups[1]),
        value_rule=rule.text,
        source=source,
    )


def _index_labels(
    parts: list[RawRows], class_names: tuple[str, ...] | None
) -> tuple[tuple[str, ...], list[Array]]:
    """Turn labels into class indices, and see that every class can be learned."""
    where = parts[0].where
    names, labels = encode([part.labels for part in parts], what="label", where=where)
    if class_names is not None:
        positions = parts[0].labels.dtype.kind in "biuf"
        place = {str(index) if positions else name: index for index, name in enumerate(class_names)}
        unknown = [name for name in names if name not in place]
        if unknown:
            raise CorruptDataError(
                f"{where}: label {unknown[0]!r} is none of the {len(class_names)} classes: "
                f"{', '.join(place)}"
            )
        to_class = np.array([place[name] for name in names], dtype=np.int64)
        names, labels = list(class_names), [to_class[part] for part in labels]
    if len(names) < 2:
        raise CorruptDataError(
            f"{where}: all labels are {names[0]!r}; at least two classes are needed"
        )
    missing = np.flatnonzero(np.bincount(labels[0], minlength=len(names)) == 0)
    if missing.size:
        raise CorruptDataError(
            f"{where}: class {names[missing[0]]!r} has no images to learn from; add some, or "
            "remove the class"
        )
    return tuple(names), labels


def _index_groups(parts: list[RawRows]) -> list[Array | None]:
    if parts[0].groups is None:
        return [None] * len(parts)
    known = [part for part in parts if part.groups is not None]
    _, groups = encode(
        [part.groups for part in known if part.groups is not None],
        what="group",
        where=parts[0].where,
    )
    return [groups[known.index(part)] if part in known else None for part in parts]


def _as_binary(
    class_names: tuple[str, ...], labels: list[Array], target: str, where: str
) -> tuple[tuple[str, ...], list[Array]]:
    if target not in class_names:
        raise ConfigError(
            [f"target is {target!r}, which is no class of {where}. {nearest(target, class_names)}"]
        )
    index = class_names.index(target)
    return (f"not {target}", target), [(part == index).astype(np.int64) for part in labels]


def _reduce(dataset: Dataset, max_images: int) -> Dataset:
    """Keep a stratified draw of the rows to learn from."""
    if max_images < len(dataset.class_names):
        problem = (
            f"max_images is {max_images}, but {dataset.name} has {len(dataset.class_names)} "
            "classes; allowed are as many or more"
        )
        raise ConfigError([problem])
    if max_images >= len(dataset):
        return dataset
    rng = seeded(f"{dataset.fingerprint}:{max_images}")
    kept = pick(dataset.labels, max_images, rng, at_least=1)
    return replace(
        dataset,
        images=dataset.images[kept],
        labels=dataset.labels[kept],
        groups=None if dataset.groups is None else dataset.groups[kept],
    )
