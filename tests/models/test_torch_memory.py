"""A batch that does not fit into memory."""

import logging

import pytest
import torch
from torch import nn

from tenfold.config.params import PARAMS
from tenfold.errors import TenfoldError, TrainingMemoryError
from tenfold.models.torch.augment import Augmenter
from tenfold.models.torch.checkpoint import Checkpoints
from tenfold.models.torch.learner import Learner
from tenfold.models.torch.rows import Rows, class_weights
from tenfold.models.torch.scores import predict_logits
from tenfold.models.torch.trainer import train

MlpParams = PARAMS["mlp"]
ALLOCATOR = "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 TB"


class Narrow(nn.Module):
    """A network that takes so many images at once."""

    def __init__(self, room, *layers, error=None):
        super().__init__()
        self.room = room
        self.error = error or torch.OutOfMemoryError("CUDA out of memory. Tried 9 TiB\nmore")
        self.seen = []
        self.layers = nn.Sequential(nn.Linear(16, 8), *layers, nn.ReLU(), nn.Linear(8, 3))

    def forward(self, rows):
        self.seen.append(len(rows))
        logits = self.layers(rows / 255)
        if len(rows) > self.room:
            raise self.error
        return logits


def narrow(room, *layers, **options):
    torch.manual_seed(0)
    return Narrow(room, *layers, **options)


def rows_of(n):
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (n, 16), generator=generator, dtype=torch.uint8)
    return Rows(images, torch.randint(0, 9, (n,), generator=generator) % 7 % 3)


def gradients(network, rows, **recipe):
    """Return the loss, the logits and the gradients of a step."""
    params = MlpParams(**recipe)
    learner = Learner(network, params, class_weights=class_weights(rows.codes, params))
    loss, logits = learner.step(rows.images, rows.codes, 1e-3)
    return loss, logits, *(weight.grad for weight in network.parameters())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, "balanced"])
def test_the_parts_have_the_gradients_of_the_whole_batch(weights, smoothing):
    recipe = {"class_weights": weights, "label_smoothing": smoothing}
    rows = rows_of(37)
    whole = gradients(narrow(37), rows, **recipe)
    network = narrow(5)
    parts = gradients(network, rows, **recipe)
    for mine, theirs in zip(parts, whole, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-7)
    assert network.seen == [37, 18, 9, *[4] * 9, 1]


def test_each_halving_is_told_once_and_later_batches_keep_it(caplog):
    network, rows = narrow(3), rows_of(8)
    learner = Learner(network, MlpParams())
    for _ in range(3):
        learner.step(rows.images, rows.codes, 1e-3)
    assert learner.micro_batch == 2
    assert network.seen == [8, 4, *[2] * 12]
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "out of memory with 8 images at a time",
        "out of memory with 4 images at a time",
    ]
    assert "going on with 2 at a time" in caplog.text


def test_a_batch_that_fits_goes_in_one_piece():
    network, rows = narrow(8), rows_of(8)
    learner = Learner(network, MlpParams())
    learner.step(rows.images, rows.codes, 1e-3)
    assert network.seen == [8]
    assert learner.micro_batch is None


@pytest.mark.parametrize(("layers", "least"), [((), 1), ((nn.BatchNorm1d(8),), 2)])
def test_when_the_smallest_part_does_not_fit_the_error_says_what_to_do(layers, least):
    network, rows = narrow(0, *layers), rows_of(9)
    learner = Learner(network, MlpParams())
    with pytest.raises(TrainingMemoryError, match=f"even for {least} images at a time .CUDA") as e:
        learner.step(rows.images, rows.codes, 1e-3)
    assert isinstance(e.value, TenfoldError)
    assert isinstance(e.value, MemoryError)
    assert "make the network smaller" in str(e.value)
    assert isinstance(e.value.__cause__, torch.OutOfMemoryError)
    assert min(network.seen) == least


def test_batch_norm_never_sees_a_single_image():
    network, rows = narrow(3, nn.BatchNorm1d(8)), rows_of(9)
    learner = Learner(network, MlpParams())
    learner.step(rows.images, rows.codes, 1e-3)
    assert network.seen == [9, 4, 2, 2, 2, 3]


def test_the_processors_own_shortage_is_known():
    rows = rows_of(8)
    network = narrow(4, error=RuntimeError(ALLOCATOR))
    Learner(network, MlpParams()).step(rows.images, rows.codes, 1e-3)
    assert network.seen == [8, 4, 4]


def test_images_to_predict_go_in_smaller_blocks_where_the_memory_is_short():
    rows = rows_of(9)
    network = narrow(3)
    logits = predict_logits(network, rows.images)
    assert network.seen == [9, 4, 2, 2, 2, 2, 1]
    torch.testing.assert_close(logits, predict_logits(narrow(9), rows.images))
    with pytest.raises(TrainingMemoryError, match="even for 1 image at a time .CUDA"):
        predict_logits(narrow(0), rows.images)
    with pytest.raises(RuntimeError, match="shapes"):
        predict_logits(narrow(0, error=RuntimeError("shapes cannot be multiplied")), rows.images)


def test_where_the_optimizer_s_memory_does_not_fit_the_error_says_what_to_do(monkeypatch):
    def step(_):
        raise RuntimeError(ALLOCATOR)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    rows = rows_of(8)
    learner = Learner(narrow(8), MlpParams(optimizer="adamw"))
    with pytest.raises(TrainingMemoryError, match="what AdamW remembers of each weight .*sgd"):
        learner.step(rows.images, rows.codes, 1e-3)


def test_other_errors_are_not_taken_for_a_shortage():
    rows = rows_of(8)
    network = narrow(4, error=RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes"):
        Learner(network, MlpParams()).step(rows.images, rows.codes, 1e-3)


def test_a_real_shortage_is_met_with_smaller_parts():
    class Wide(nn.Module):
        """Asks the processor for a petabyte for each image above the fourth."""

        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(16, 3)

        def forward(self, rows):
            torch.empty(max(0, len(rows) - 4), 2**50, dtype=torch.uint8)
            return self.layer(rows / 255)

    rows = rows_of(8)
    learner = Learner(Wide(), MlpParams())
    learner.step(rows.images, rows.codes, 1e-3)
    assert learner.micro_batch == 4


def test_what_failed_leaves_no_trace_in_the_random_numbers():
    rows = rows_of(32)
    after = []
    for known in (None, 8):
        network = narrow(8, nn.Dropout(0.5))
        learner = Learner(network, MlpParams())
        learner.micro_batch = known
        learner.step(rows.images, rows.codes, 1e-3)
        after.append([weight.detach().clone() for weight in network.parameters()])
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(*after, strict=True))


def trained(folder, room, ends_at=None, **recipe):
    """Train; return the weights, or None when ended at a write."""

    class Store(Checkpoints):
        def write(self, progress, tensors):
            super().write(progress, tensors)
            if (progress.epoch, progress.step) == ends_at:
                raise KeyboardInterrupt

    params = MlpParams(batch_size=32, epochs=2, learning_rate=0.01, shift_px=7, **recipe)
    augment = Augmenter(params, (4, 4))
    augment.generator.manual_seed(2)
    network = narrow(room)
    try:
        train(
            network,
            rows_of(100),
            params,
            generator=torch.Generator().manual_seed(1),
            augment=augment,
            checkpoints=Store(folder, "the same", every_s=0),
        )
    except KeyboardInterrupt:
        return None
    return network.state_dict()


def test_a_training_in_parts_ends_where_the_one_in_whole_batches_does(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    whole = trained(tmp_path / "whole", 32, ema=0.5)
    parts = trained(tmp_path / "parts", 10, ema=0.5)
    for name, weight in whole.items():
        torch.testing.assert_close(parts[name], weight, rtol=1e-3, atol=1e-4)
    assert len(caplog.records) == 2


def test_a_resumed_training_keeps_its_parts(tmp_path):
    whole = trained(tmp_path / "whole", 10)
    assert trained(tmp_path / "ended", 10, ends_at=(1, 1)) is None
    resumed = trained(tmp_path / "ended", 32)  # the memory is larger now: the parts stay
    assert all(torch.equal(resumed[name], weight) for name, weight in whole.items())
