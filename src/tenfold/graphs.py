"""A finished fit as a graph, with what proves that it answers as the estimator did."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from tenfold.files import replacing, write_bytes

MODEL_FILE = "model.onnx"
PROOF_FILE = "proof.npz"
GRAPH_FILES = (MODEL_FILE, PROOF_FILE)


@dataclass(frozen=True, eq=False)
class FittedGraph:
    """One fit's graph, and what its estimator said of some validation images.

    Args:
        model: The bytes of the ONNX graph.
        rows: ``(n,)`` development rows of those images.
        probabilities: ``(n, k)`` float64 that the estimator, calibrated, gave them; the highest
            is its prediction.
        outlier_threshold: A larger outlier score says that an image is none of the classes.
    """

    model: bytes = field(repr=False)
    rows: npt.NDArray[np.int64] = field(repr=False)
    probabilities: npt.NDArray[np.floating[Any]] = field(repr=False)
    outlier_threshold: float

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what `write` wrote.

        Raises:
            OSError: A file cannot be read.
            ValueError: It is damaged.
        """
        with np.load(folder / PROOF_FILE, allow_pickle=False) as arrays:
            rows, probabilities = arrays["rows"], arrays["probabilities"]
            threshold = float(arrays["outlier_threshold"])
        return cls((folder / MODEL_FILE).read_bytes(), rows, probabilities, threshold)

    def write(self, folder: Path) -> None:
        """Write ``model.onnx`` and ``proof.npz`` into a folder.

        Raises:
            StorageError: They cannot be written.
        """
        write_bytes(folder / MODEL_FILE, self.model)
        with replacing(folder / PROOF_FILE) as temporary:
            np.savez_compressed(
                temporary,
                rows=self.rows,
                probabilities=self.probabilities,
                outlier_threshold=self.outlier_threshold,
            )
