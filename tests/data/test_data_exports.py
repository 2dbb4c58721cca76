import subprocess
import sys

import tenfold.data
import tenfold.imaging


def test_the_packages_export_what_they_list():
    for package in (tenfold.data, tenfold.imaging):
        assert len(set(package.__all__)) == len(package.__all__)
        assert all(hasattr(package, name) for name in package.__all__)


def test_data_load_without_scikit_learn_or_torch():
    code = (
        "import sys, tenfold.data as d; d.make_split(d.load_dataset('digits'));"
        "print(sorted({'sklearn', 'torch', 'mlflow', 'matplotlib'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
