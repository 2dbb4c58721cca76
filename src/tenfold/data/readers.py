"""The reader for a path: which of the formats it is, and its rows."""

from __future__ import annotations

from pathlib import Path

from tenfold.data.archives import read_npz
from tenfold.data.folders import read_class_folders
from tenfold.data.idx import holds_idx, read_idx_folder
from tenfold.data.raw import RawData
from tenfold.data.tables import read_csv
from tenfold.errors import ConfigError, CorruptDataError, DatasetNotFoundError

_CSV_SUFFIXES = (".csv", ".csv.gz", ".csv.bz2", ".tsv", ".tsv.gz")


def find_path(source: str | Path) -> Path:
    """Return a path without ``~``, which may lead nowhere, and see that one may look there.

    Args:
        source: The path as it was given.

    Raises:
        DatasetNotFoundError: Nobody can tell what is there: no permission, no such user, a name
            that no file can have.
    """
    try:
        path = Path(source).expanduser()
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return path
    except (OSError, RuntimeError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error).rstrip(".")
        raise DatasetNotFoundError(
            f"{source} cannot be reached: {reason}; give a path that you may read"
        ) from error
    return path


def read_path(
    path: Path,
    *,
    label_column: str | None = None,
    group_column: str | None = None,
    image_shape: tuple[int, int] | None = None,
) -> RawData:
    """Read one's own data, whichever of the formats it is in.

    Args:
        path: An IDX folder, an ``.npz`` file, a ``.csv`` file or a folder of class folders.
        label_column: Column or array of the labels, for tables and archives.
        group_column: Column or array of the groups; ``"prefix"`` for class folders.
        image_shape: Height and width: of flat rows, or to resize pictures to.

    Returns:
        The rows.

    Raises:
        DatasetNotFoundError: Nothing is there.
        CorruptDataError: It is damaged, or of no known format.
        ConfigError: An option does not fit the format.
    """
    if path.is_dir():
        if label_column is not None:
            raise ConfigError(
                [f"label_column is {label_column!r}, but {path} is a folder and has no columns"]
            )
        return _read_folder(path, group_column=group_column, image_shape=image_shape)
    if not path.exists():
        raise DatasetNotFoundError(
            f"{path} does not exist; give the path of an IDX folder, an .npz file, a .csv file or "
            "a folder of class folders, or a name of `tenfold data list`"
        )
    name = path.name.lower()
    if name.endswith(_CSV_SUFFIXES):
        reader = read_csv
    elif name.endswith(".npz"):
        reader = read_npz
    else:
        raise CorruptDataError(
            f"{path} has an unknown format; allowed are .npz, .csv, and folders of IDX files or of "
            "class folders"
        )
    return reader(
        path, label_column=label_column, group_column=group_column, image_shape=image_shape
    )


def _read_folder(
    path: Path, *, group_column: str | None, image_shape: tuple[int, int] | None
) -> RawData:
    try:
        if not holds_idx(path):
            return read_class_folders(path, group_column=group_column, image_shape=image_shape)
    except PermissionError as error:
        raise CorruptDataError(f"{path} cannot be read: {error.strerror}") from error
    if group_column is not None:
        raise ConfigError(
            [f"group_column is {group_column!r}, but IDX files ({path}) have no groups"]
        )
    return read_idx_folder(path, image_shape=image_shape)
