"""One training that several processes share."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import distributed, nn

from tenfold.config.params import PARAMS
from tenfold.errors import ConfigError, StorageError, TrainingMemoryError, TrainingProcessError
from tenfold.models import build_model
from tenfold.models.torch.distributed import Ranks, rank_bounds
from tenfold.models.torch.plan import TrainingPlan
from tenfold.models.torch.randomness import drawing_apart
from tenfold.models.torch.rows import Rows

CPU = torch.device("cpu")
# Without batch norm and dropout the cut of a batch does not show; 83 images are cut unequally.
RECIPE = {
    "hidden_layers": [32, 16],
    "batch_norm": False,
    "batch_size": 83,
    "epochs": 16,
    "optimizer": "adamw",
    "learning_rate": 0.02,
    "ema": 0.9,
    "class_weights": "balanced",
    "label_smoothing": 0.1,
    "rotate_deg": 10,
    "patience": 10,
}
N_FIT = 250

# Shares a training until it is killed, which happens in the middle.
PARENT = """
import pathlib, sys
sys.path.insert(0, sys.argv[1])
from test_torch_distributed import fit, real_digits

def wait(epoch, report):
    if epoch == 2:
        print("two epochs are done", flush=True)
        sys.stdin.read()

fit(real_digits(), processes=2, checkpoints=pathlib.Path(sys.argv[2]), on_epoch=wait)
"""


WITHOUT_PICKLE = """
    from torch.distributed import distributed_c10d as collectives
    assert collectives._pickler and collectives._unpickler
    collectives._pickler = collectives._unpickler = None
"""
WITHOUT_LUCK = """
    from torch import distributed
    def init(*arguments, rank, **options):
        if rank == 1:
            raise ValueError("no luck today")
        start(*arguments, rank=rank, **options)
    start, distributed.init_process_group = distributed.init_process_group, init
"""


def real_digits():
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return np.rint(bunch.data[:300] * 255 / 16).astype(np.uint8), bunch.target[:300]


def fit(
    digits,
    *,
    processes,
    name="mlp",
    recipe=RECIPE,
    device="cpu",
    checkpoints=None,
    on_epoch=None,
):
    images, labels = digits
    settings = {"seed": 3, "processes": processes, "threads": processes, "device": device}
    return build_model(name, recipe, **settings).fit(
        images[:N_FIT],
        labels[:N_FIT],
        validation=(images[N_FIT:], labels[N_FIT:]),
        on_epoch=on_epoch,
        checkpoints=checkpoints,
        checkpoint_every_s=0,
    )


def weights(model):
    return model.network_.state_dict()


def run_in_ranks(code, folder, monkeypatch):
    """Let each rank's process run some code before all else."""
    body = f"if 'tenfold.models.torch.ranks' in ' '.join(__import__('sys').orig_argv):\n{code}"
    (folder / "sitecustomize.py").write_text(body)
    monkeypatch.setenv("PYTHONPATH", str(folder))


@pytest.fixture(scope="module")
def shared(digits, tmp_path_factory):
    """Return what two processes trained that cannot pickle, and what they reported."""
    reports = []
    with pytest.MonkeyPatch.context() as patch:
        run_in_ranks(WITHOUT_PICKLE, tmp_path_factory.mktemp("site"), patch)
        model = fit(digits, processes=2, on_epoch=lambda *report: reports.append(report))
    return model, reports


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Return the folder that temporary ones are made in."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_two_processes_take_the_steps_of_one(digits, shared):
    reports = []
    alone = fit(digits, processes=1, on_epoch=lambda *report: reports.append(report))
    for mine, theirs in zip(weights(alone).values(), weights(shared[0]).values(), strict=True):
        assert torch.allclose(mine, theirs, rtol=0, atol=1e-5)
    for (epoch, mine), (same, theirs) in zip(reports, shared[1], strict=True):
        assert epoch == same
        assert mine == pytest.approx(theirs, abs=1e-5)
    assert shared[0].n_epochs_ == alone.n_epochs_ == shared[0].chosen_["epochs"]
    assert reports[-1][1]["train_accuracy"] > reports[0][1]["train_accuracy"] + 0.3
    images = digits[0]
    np.testing.assert_allclose(
        shared[0].predict_proba(images), alone.predict_proba(images), atol=1e-5
    )


def test_ranks_end_with_a_killed_parent_and_go_on_to_the_bit(digits, shared, tmp_path):
    places = {"folder": tmp_path / "checkpoints", "temporary": tmp_path / "temporary"}
    places["temporary"].mkdir()
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(Path(__file__).parent), str(places["folder"])],
        env={**os.environ, "TMPDIR": str(places["temporary"])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        assert parent.stdout.readline() == "two epochs are done\n"
        ranks = psutil.Process(parent.pid).children(recursive=True)
        parent.kill()
    assert len(ranks) == 2
    psutil.wait_procs(ranks, timeout=30)
    assert not any(rank.is_running() for rank in ranks)
    assert not list(places["temporary"].glob("tenfold-*"))
    assert list(places["folder"].glob("checkpoint-*"))
    resumed = fit(digits, processes=2, checkpoints=places["folder"])
    assert resumed.resumed_s_ > 0
    for mine, theirs in zip(weights(resumed).values(), weights(shared[0]).values(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_rank_that_dies_ends_a_training_that_went_well(digits, temporary):
    accuracies = []
    others = psutil.Process().children()

    def kill(epoch, report):
        accuracies.append(report["train_accuracy"])
        if accuracies[-1] > 0.8:
            ranks = set(psutil.Process().children()) - set(others)
            max(ranks, key=lambda child: child.pid).send_signal(signal.SIGKILL)

    # Of the last two images rank 0 takes both: batch norm needs them, and rank 1 waits.
    recipe = {"width": 32, "batch_size": 31, "epochs": 400, "optimizer": "muon"}
    recipe |= {"learning_rate": 0.003, "schedule": "constant"}
    with pytest.raises(TrainingProcessError, match="rank [01] of the 2 .* ended with signal 9"):
        fit(digits, processes=2, name="cnn", recipe=recipe, on_epoch=kill)
    assert accuracies[-1] > 0.8 > accuracies[0]
    assert psutil.Process().children() == others
    assert not list(temporary.iterdir())


def test_a_rank_that_fails_tells_why_and_ends_the_others(digits, temporary, monkeypatch):
    (temporary / "site").mkdir()
    run_in_ranks(WITHOUT_LUCK, temporary / "site", monkeypatch)
    others = psutil.Process().children()
    reason = "rank 1 of the 2 processes .* ValueError: no luck today"
    with pytest.raises(TrainingProcessError, match=reason) as caught:
        fit(digits, processes=2)
    assert "in _train" in caught.value.__notes__[0]
    assert psutil.Process().children() == others
    assert [path.name for path in temporary.iterdir()] == ["site"]


def test_processes_that_cannot_be_had_are_told_before_anything_is_started(digits):
    with pytest.raises(ConfigError, match="processes is 0: at least 1"):
        fit(digits, processes=0)


@given(st.integers(1, 300), st.integers(1, 9), st.integers(1, 2))
def test_the_slices_of_a_batch_cover_it_once_and_none_is_too_small(n, n_ranks, least):
    bounds = rank_bounds(n, n_ranks, least=least)
    assert [i for start, stop in bounds for i in range(start, stop)] == list(range(n))
    sizes = [stop - start for start, stop in bounds]
    assert len(sizes) == n_ranks or n < n_ranks * least
    assert min(sizes) >= min(n, least)
    assert max(sizes) - min(sizes) <= 1


def test_ranks_draw_apart_and_go_on_alike():
    drawn, states = [], []
    with torch.random.fork_rng():
        for rank in (0, 1, 1):
            torch.manual_seed(7)
            with drawing_apart(CPU, rank):
                drawn.append(torch.rand(5))
            states.append(torch.get_rng_state())
    assert not torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[1], drawn[2])
    assert torch.equal(states[0], states[1])


def test_a_plan_passes_through_json():
    params = PARAMS["mlp"](hidden_layers=(7,), learning_rate=0.1 + 0.2, patience=3)
    plan = TrainingPlan("mlp", params, (3, 4), 5, 6, 7, "cpu", "bfloat16", 2, "here", 1.5)
    assert TrainingPlan.from_json(plan.to_json()) == plan


@pytest.fixture
def group(tmp_path, monkeypatch):
    """Let this process be the only rank of a group."""
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo" if sys.platform == "linux" else "lo0")
    store = distributed.FileStore(str(tmp_path / "meeting"), 1)
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield Ranks(CPU)
    distributed.destroy_process_group()


class Full(nn.Linear):
    def forward(self, rows):
        raise torch.OutOfMemoryError(f"CUDA out of memory. Tried 9 TiB\n{len(rows)}")


def test_a_rank_without_memory_gives_up_rather_than_let_the_others_wait(group):
    learner = group.learner(
        Full(4, 2), PARAMS["mlp"](), precision=torch.float32, class_weights=None
    )
    rows = Rows(torch.zeros(8, 4), torch.zeros(8, dtype=torch.int64))
    with pytest.raises(TrainingMemoryError, match=r"8 images.*Tried 9 TiB\); make batch_size"):
        learner.step(rows.images, rows.codes, 0.1)


def test_ranks_that_took_up_different_checkpoints_do_not_go_on(group, monkeypatch):
    group.meet(2, 5)
    monkeypatch.setattr(distributed, "broadcast", lambda place, src: place.add_(1))
    with pytest.raises(StorageError, match="epoch 2, step 5, but rank 0 goes on after epoch 3"):
        group.meet(2, 5)
