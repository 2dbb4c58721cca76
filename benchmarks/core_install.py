"""Prove that every graph answers alike where the core alone is installed.

    python benchmarks/graphs.py            # leaves the graphs and their estimators' labels
    python benchmarks/core_install.py

A new virtual environment is made in a temporary folder and given this checkout without extras: no
PyTorch, no scikit-learn, no MLflow. In it each graph answers the test images of MNIST, which must
get the labels that its estimator gave.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from harness import HERE
from tables import print_table

from tenfold.config import load_settings
from tenfold.data import load_dataset, make_split

ABSENT = ("torch", "sklearn", "mlflow", "xgboost", "onnx", "scipy", "matplotlib")
ASK = """
import sys
from importlib.util import find_spec
from pathlib import Path
import numpy as np
from tenfold.inference import OnnxClassifier

present = [name for name in sys.argv[3:] if find_spec(name)]
assert not present, f"installed: {present}"
images = np.load(sys.argv[1])
for path in sorted(Path(sys.argv[2]).glob("*.onnx")):
    labels = OnnxClassifier(path.read_bytes()).predict(images)
    expected = np.load(path.with_suffix(".labels.npy"))
    print(path.stem, len(labels), int((labels != expected).sum()), flush=True)
"""


def main() -> int:
    """Print a row for each graph; return 1 where a label differs or nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/bench-graphs"), help="of graphs.py")
    out = parser.parse_args().out.resolve()
    split = make_split(load_dataset("mnist", data_dir=load_settings().data_dir))
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images.npy"
        np.save(images, split.test.images)
        python = install(Path(folder) / "venv")
        command = [python, "-c", ASK, images, out, *ABSENT]
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in found.splitlines()]
    print_table(("model", "images", "labels changed"), rows)
    return 0 if rows and all(changed == "0" for _, _, changed in rows) else 1


def install(folder: Path) -> Path:
    """Return the Python of a new environment with the core."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    root = HERE.parent
    subprocess.run([*pip, "-c", root / "constraints.txt", root], check=True)
    return python


if __name__ == "__main__":
    sys.exit(main())
