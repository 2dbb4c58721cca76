"""Data sets: named ones and one's own, their splits, and what is wrong with them."""

from tenfold.data.audit import Audit, audit_split, count_groups, warn_of_groups
from tenfold.data.catalog import CatalogEntry, get_entry, list_datasets
from tenfold.data.dataset import Dataset
from tenfold.data.fetch import default_data_dir, fetch_dataset, find_data_dir
from tenfold.data.load import load_dataset
from tenfold.data.sealed import SealedTest, open_sealed_test
from tenfold.data.splits import (
    SPLIT_VERSION,
    Round,
    Split,
    make_split,
    settings_of,
    split_for_looking,
)

__all__ = [
    "SPLIT_VERSION",
    "Audit",
    "CatalogEntry",
    "Dataset",
    "Round",
    "SealedTest",
    "Split",
    "audit_split",
    "count_groups",
    "default_data_dir",
    "fetch_dataset",
    "find_data_dir",
    "get_entry",
    "list_datasets",
    "load_dataset",
    "make_split",
    "open_sealed_test",
    "settings_of",
    "split_for_looking",
    "warn_of_groups",
]
