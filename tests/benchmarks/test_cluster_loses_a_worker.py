"""A cluster with everything that it needs, PostgreSQL among it, loses a worker."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "cluster.py"


@pytest.mark.postgres
def test_the_results_are_those_of_one_machine_and_nothing_is_left():
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--short"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "killed: worker" in done.stdout
    assert "| 8 | 0 | {'FINISHED 1x': 9} | 0 |" in done.stdout  # eight trials and their parent
