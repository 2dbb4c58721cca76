"""Trainings whose process is killed, some of them inside a checkpoint's write."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits

from tenfold.models import build_model

RECIPE = {"epochs": 3, "width": 8, "batch_size": 64, "ema": 0.9, "rotate_deg": 10, "erase": 0.5}
N_IMAGES = 300

# Imports everything once, then forks a process for each moment.
PARENT = """
import json, os, pathlib, signal, sys
sys.path.insert(0, sys.argv[1])
from test_torch_kill import MOMENTS, fit

def killing(function, number, *, before):
    "Return the function, killing this process at one of its calls."
    calls = 0
    def call(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls == number and before:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = function(*arguments, **options)
        if calls == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer
    return call

def in_two_halves(path, content):
    with path.open("wb", buffering=0) as file:
        file.write(content[: len(content) // 2])
        between()
        file.write(content[len(content) // 2 :])

def train(moment, number):
    global between
    on_epoch = None
    if moment == "half-written":
        between = killing(lambda: None, number, before=True)
        pathlib.Path.write_bytes = in_two_halves
    if moment == "unsynced":
        os.fsync = killing(os.fsync, number, before=True)
    if moment == "not-renamed":
        pathlib.Path.replace = killing(pathlib.Path.replace, number, before=True)
    if moment == "renamed":
        pathlib.Path.replace = killing(pathlib.Path.replace, number, before=False)
    if moment == "epoch":
        on_epoch = killing(lambda epoch, report: None, number, before=True)
    fit(pathlib.Path(sys.argv[2]) / moment, on_epoch)

fit(None)
for moment, number in MOMENTS:
    child = os.fork()
    if not child:
        train(moment, number)
        os._exit(0)
    print(moment, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

# Six writes an epoch: one after each step, one after the epoch.
MOMENTS = [
    ("unsynced", 1),
    ("half-written", 4),
    ("not-renamed", 7),
    ("epoch", 2),
    ("renamed", 16),
]


def fit(folder, on_epoch=None):
    """Train the small network on real digits, with a checkpoint after each step."""
    bunch = load_digits()
    images, labels = (bunch.data[:N_IMAGES] * 15).astype("uint8"), bunch.target[:N_IMAGES]
    return build_model("cnn", RECIPE, seed=1).fit(
        images, labels, checkpoints=folder, checkpoint_every_s=0, on_epoch=on_epoch
    )


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Kill a training at each moment; return the folders' parent and how the processes ended."""
    folder = tmp_path_factory.mktemp("killed")
    done = subprocess.run(
        [sys.executable, "-c", PARENT, str(Path(__file__).parent), str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return folder, dict(line.split() for line in done.stdout.splitlines())


@pytest.fixture(scope="module")
def uninterrupted():
    return fit(None)


@pytest.mark.parametrize(("moment", "number"), MOMENTS)
def test_a_killed_training_goes_on_and_ends_with_the_same_weights(
    moment, number, killed, uninterrupted, caplog
):
    folder, codes = killed[0] / moment, killed[1]
    assert codes[moment] == str(-signal.SIGKILL)
    inside_a_write = [path for path in folder.iterdir() if path.name.startswith(".")]
    assert bool(inside_a_write) == (moment in {"unsynced", "half-written", "not-renamed"})
    epochs = []
    resumed = fit(folder, lambda epoch, report: epochs.append(epoch))
    assert (resumed.resumed_s_ > 0) == (number > 1)
    assert epochs == [1, 2, 3]
    assert not caplog.records
    weights, whole = resumed.network_.state_dict(), uninterrupted.network_.state_dict()
    assert all(torch.equal(weights[name], weight) for name, weight in whole.items())
    assert not any(path.name.startswith(".") for path in folder.iterdir())
