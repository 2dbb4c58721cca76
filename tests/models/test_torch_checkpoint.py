"""The files that a training is kept in."""

import hashlib
import json
import math
import pickle

import pytest
import torch
from safetensors.torch import load_file, save
from torch import nn

from tenfold.models.torch.checkpoint import (
    Checkpoints,
    NoCheckpoints,
    Progress,
    training_identity,
)
from tenfold.models.torch.rows import Rows


class Clock:
    """Says what it is told."""

    now = 100.0

    def __call__(self):
        return self.now


def progress(step=0, epoch=0, history=(), **fields):
    fields = {"best_epoch": 0, "best_loss": math.inf, "micro_batch": None} | fields
    return Progress(epoch=epoch, step=step, history=history, **fields)


def tensors(value=0.0):
    return {"network.weight": torch.full((2, 3), float(value)), "random.cpu": torch.get_rng_state()}


def found(folder, identity="a", expected=tensors):
    return list(Checkpoints(folder, identity).newest_first(expected))


def files(folder):
    return sorted(folder.iterdir())


def named_by_its_content(folder, content, step=9):
    folder.mkdir(exist_ok=True)
    name = f"checkpoint-00000-{step:08d}-{hashlib.sha256(content).hexdigest()}.safetensors"
    (folder / name).write_bytes(content)
    return folder / name


def test_what_is_read_is_what_was_written(tmp_path):
    reports = ({"train_loss": 0.1 + 0.2, "val_loss": math.nan}, {"train_loss": -math.inf})
    state = progress(3, 2, reports, best_epoch=1, best_loss=1 / 3, micro_batch=7)
    Checkpoints(tmp_path / "new" / "folder", "a").write(state, tensors(0.1))
    (checkpoint,) = found(tmp_path / "new" / "folder")
    assert repr(checkpoint.progress) == repr(state)
    assert set(checkpoint.tensors) == set(tensors())
    for name, tensor in tensors(0.1).items():
        assert torch.equal(checkpoint.tensors[name], tensor)


def test_the_last_two_are_kept_and_the_newest_comes_first(tmp_path):
    store = Checkpoints(tmp_path, "a")
    steps = [(0, 99), (1, 0), (1, 100)]
    for epoch, step in steps:
        store.write(progress(step, epoch, [{}] * epoch), tensors())
    assert len(files(tmp_path)) == 2
    read = [(checkpoint.progress.epoch, checkpoint.progress.step) for checkpoint in found(tmp_path)]
    assert read == steps[:0:-1]


def cut(content):
    return content[: len(content) // 2]


def flipped(content):
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize("damage", [cut, flipped, lambda content: b""])
def test_a_damaged_file_is_told_and_the_one_before_it_is_used(tmp_path, damage, caplog):
    store = Checkpoints(tmp_path, "a")
    for step in (1, 2):
        store.write(progress(step), tensors(step))
    newest = files(tmp_path)[-1]
    newest.write_bytes(damage(newest.read_bytes()))
    (checkpoint,) = found(tmp_path)
    assert checkpoint.progress.step == 1
    assert "its content is not what was written" in caplog.text


def test_another_training_s_checkpoint_is_not_used_and_makes_way(tmp_path, caplog):
    Checkpoints(tmp_path, "a").write(progress(50), tensors())
    assert found(tmp_path, "b") == []
    assert "other data, settings or versions" in caplog.text
    store = Checkpoints(tmp_path, "b")
    assert list(store.newest_first(tensors)) == []
    store.write(progress(1), tensors())
    assert [checkpoint.progress.step for checkpoint in found(tmp_path, "b")] == [1]
    assert len(files(tmp_path)) == 1


def a_header(**changes):
    fields = {"identity": "a", "seconds": 1.0, "progress": progress(9)}
    return json.dumps({**fields, "progress": fields["progress"].model_dump()} | changes)


class Harm:
    def __reduce__(self):
        return exec, ("raise SystemExit('unpickled')",)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no header",
        b"\xff" * 100,
        (2**40).to_bytes(8, "little") + b"{}",
        pickle.dumps(Harm()),
        save(tensors()),
        save(tensors(), {"tenfold": "[" * 100_000}),
        save(tensors(), {"tenfold": a_header(seconds=-1)}),
        save(tensors(), {"tenfold": a_header(more=1)}),
        save(tensors(), {"tenfold": a_header(progress={"epoch": "__import__"})}),
        save(tensors(), {"tenfold": a_header(progress=progress(9, history=[{}]).model_dump())}),
        save(tensors() | {"more": torch.zeros(1)}, {"tenfold": a_header()}),
        save({"network.weight": torch.zeros(2, 3)}, {"tenfold": a_header()}),
        save(tensors() | {"network.weight": torch.zeros(3, 2)}, {"tenfold": a_header()}),
        save(tensors() | {"network.weight": torch.zeros(2, 3).long()}, {"tenfold": a_header()}),
    ],
    ids=range(15),
)
def test_a_hostile_file_is_told_and_left_alone(tmp_path, content, caplog):
    Checkpoints(tmp_path, "a").write(progress(1), tensors())
    bad = named_by_its_content(tmp_path, content)
    (checkpoint,) = found(tmp_path)
    assert checkpoint.progress.step == 1
    assert f"{bad} is not used: " in caplog.text


def test_the_header_that_the_hostile_ones_vary_is_a_good_one(tmp_path):
    named_by_its_content(tmp_path, save(tensors(), {"tenfold": a_header()}))
    assert [checkpoint.progress.step for checkpoint in found(tmp_path)] == [9]


def test_a_folder_in_the_place_of_a_file_is_told(tmp_path, caplog):
    named_by_its_content(tmp_path, b"x").unlink()
    name = named_by_its_content(tmp_path, b"y").name
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    assert found(tmp_path) == []
    assert "is not used" in caplog.text


def test_what_a_killed_write_left_is_deleted_and_nothing_else(tmp_path):
    mine = tmp_path / "notes.safetensors"
    mine.write_text("mine")
    store = Checkpoints(tmp_path, "a")
    store.write(progress(1), tensors())
    left = tmp_path / f".{files(tmp_path)[0].stem}.0a1b2c3d.safetensors"
    left.write_text("half")
    store.write(progress(2), tensors())
    assert not left.exists()
    assert mine in files(tmp_path)


def test_a_folder_that_cannot_be_written_is_told_and_ends_nothing(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    store = Checkpoints(tmp_path / "file", "a")
    store.write(progress(1), tensors())
    assert "the training goes on without a checkpoint: cannot write" in caplog.text
    assert list(store.newest_first(tensors)) == []


def test_it_is_due_by_the_clock(tmp_path):
    clock = Clock()
    store = Checkpoints(tmp_path, "a", every_s=30, clock=clock)
    asked = []
    for clock.now in (100.5, 101, 129.5, 130):
        asked.append((store.is_due(after_epoch=False), store.is_due(after_epoch=True)))
    assert asked == [(False, False), (False, True), (False, True), (True, True)]
    store.write(progress(1), tensors())
    assert not store.is_due(after_epoch=True)
    assert Checkpoints(tmp_path, "a", every_s=0, clock=clock).is_due(after_epoch=False)
    assert not NoCheckpoints().is_due(after_epoch=True)


def test_the_seconds_of_every_part_are_added_up(tmp_path):
    clock = Clock()
    for part in (1, 2, 3):
        store = Checkpoints(tmp_path, "a", clock=clock)
        for _ in store.newest_first(tensors):
            break
        assert store.resumed_s == 5 * (part - 1)
        clock.now += 5
        store.write(progress(part), tensors())


def test_seconds_of_a_pause_are_not_the_trainings(tmp_path):
    clock = Clock()
    store = Checkpoints(tmp_path, "a", clock=clock)
    clock.now += 5
    with store.paused():
        clock.now += 100
    clock.now += 2
    store.write(progress(1), tensors())
    assert [checkpoint.seconds for checkpoint in found(tmp_path)] == [7]


def test_weights_in_another_memory_layout_are_stored_by_their_values(tmp_path):
    weight = torch.arange(24.0).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last)
    assert not weight.is_contiguous()
    Checkpoints(tmp_path, "a").write(progress(1), {"w": weight})
    (stored,) = (load_file(path) for path in files(tmp_path))
    assert torch.equal(stored["w"], weight)


def test_the_identity_is_of_settings_network_and_rows():
    torch.manual_seed(0)
    network, images = nn.Linear(4, 2), torch.arange(12, dtype=torch.uint8).reshape(3, 4)
    rows = Rows(images, torch.tensor([0, 1, 0]))

    def identity(settings=None, network=network, parts=(rows,)):
        return training_identity(settings or {"seed": 0}, network, parts)

    others = [
        identity({"seed": 1}),
        identity(network=nn.Linear(4, 2)),
        identity(parts=(rows, rows)),
        identity(parts=(Rows(images.flip(0), rows.codes),)),
        identity(parts=(Rows(images, rows.codes.flip(0).roll(1)),)),
        identity(parts=(Rows(images.reshape(4, 3), rows.codes),)),
    ]
    assert identity() == identity()
    assert len({identity(), *others}) == 1 + len(others)
