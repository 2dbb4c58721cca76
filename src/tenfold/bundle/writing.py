"""Writing a bundle: proven against its estimator, then put in place in one step."""

from __future__ import annotations

import io
import secrets
import shutil
import zipfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.bundle.card import render_card
from tenfold.bundle.content import CARD, INFO, LEARNED, MODEL, SUMS, check_size, sums_of
from tenfold.bundle.graph import check_graph
from tenfold.bundle.info import BundleFacts, BundleInfo, Versions
from tenfold.bundle.learned import LearnedImages
from tenfold.bundle.loading import Bundle, load_bundle
from tenfold.bundle.parity import prove_parity
from tenfold.errors import BundleError, StorageError
from tenfold.files import write_bytes
from tenfold.inference import OnnxClassifier

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip knows: the same content, the same bytes


def write_bundle(
    path: Path,
    *,
    model: bytes,
    facts: BundleFacts,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.integer[Any]],
    probabilities: npt.NDArray[np.floating[Any]],
    learned: npt.NDArray[np.uint8] | None = None,
    int8: bytes | None = None,
) -> Bundle:
    """Write a bundle, if the graph answers as its estimator does.

    Args:
        path: The folder, which must not exist; or a file ``*.zip``, which is replaced if it is a
            bundle.
        model: The graph, as `tenfold.export.export_onnx` makes it.
        facts: What is known of the model.
        images: ``(n, height * width)`` uint8: 1,000 validation images, or all where there are
            fewer.
        labels: ``(n,)`` class indices that the estimator gave them.
        probabilities: ``(n, k)`` that it gave them.
        learned: ``(m, height * width)`` uint8: every image that the model or a choice comes from;
            digests of them are written. None: nobody knows.
        int8: The graph's variant that is written in its place, of which the facts tell.

    Returns:
        The bundle, loaded from where it was written.

    Raises:
        ParityError: The graph answers otherwise; nothing was written.
        BundleError: The graph is none that a bundle may have, a file would be larger than it may
            be, or something else is there; nothing was written.
        StorageError: The files cannot be written.
    """
    check_place(path)
    height, width = facts.image_shape
    written = model if int8 is None else int8
    opset = check_graph(written, n_pixels=height * width, n_classes=len(facts.class_names))
    parity = prove_parity(OnnxClassifier(model), images, labels=labels, probabilities=probabilities)
    versions = Versions(tenfold=version("tenfold"), onnx=_version_of("onnx"), opset=opset)
    info = BundleInfo(**facts.model_dump(), parity=parity, versions=versions)
    files = {MODEL: written, INFO: info.to_json(), CARD: render_card(info)}
    if learned is not None:
        files[LEARNED] = LearnedImages.of(learned).to_bytes()
    files[SUMS] = sums_of(files)
    _check_sizes(path, files)
    if path.suffix == ".zip":
        write_bytes(path, _zipped(files))
    else:
        _write_folder(path, files)
    return load_bundle(path)


def check_place(path: Path) -> None:
    """See that a bundle may be written to a path.

    Raises:
        BundleError: Something is there that is not replaced: anything but a bundle's ``.zip``.
    """
    there = path.exists() or path.is_symlink()
    if there and path.suffix != ".zip":
        raise BundleError(f"{path} exists; remove it, or give another folder")
    if there and not _is_zipped_bundle(path):
        raise BundleError(f"{path} exists and is no bundle; remove it, or give another name")


def _is_zipped_bundle(path: Path) -> bool:
    """Return whether an archive holds what a bundle does, of whatever version."""
    try:
        with zipfile.ZipFile(path) as archive:
            return INFO in archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


def _check_sizes(path: Path, files: Mapping[str, bytes]) -> None:
    try:
        for name, content in files.items():
            check_size(name, len(content))
    except BundleError as error:
        raise BundleError(f"{path} was not written: {error}; export a smaller model") from error


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _zipped(files: Mapping[str, bytes]) -> bytes:
    """Return the archive; weights hardly shrink, so they are stored as they are."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.external_attr = 0o100644 << 16
            archive.writestr(info, files[name])
    return content.getvalue()


def _write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        temporary.mkdir(parents=True)
        for name, content in files.items():
            write_bytes(temporary / name, content)
        temporary.rename(path)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
