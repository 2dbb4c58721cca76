"""The training loop."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tenfold.config.params import MlpParams
from tenfold.models.torch.networks import build_network
from tenfold.models.torch.trainer import (
    Rows,
    batch_bounds,
    evaluate,
    make_optimizer,
    rate_factor,
    train,
)


def rows_of(n, seed=0):
    """Return images whose brighter half tells the class."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, 16), generator=generator, dtype=torch.uint8)
    codes = (images[:, :8].sum(dim=1) > images[:, 8:].sum(dim=1)).long()
    return Rows(images, codes)


def trained(rows, seed=0, validation=None, on_epoch=None, **params):
    params = MlpParams(**{"hidden_layers": (8,), "batch_size": 16, "learning_rate": 0.01} | params)
    torch.manual_seed(seed)
    network = build_network("mlp", params, (4, 4), 2)
    generator = torch.Generator().manual_seed(seed)
    epoch = train(
        network, rows, params, generator=generator, validation=validation, on_epoch=on_epoch
    )
    return network, epoch


@given(st.integers(1, 500), st.integers(2, 64))
def test_batches_cover_every_row_once_and_none_is_a_single_row(n, batch_size):
    bounds = batch_bounds(n, batch_size)
    assert [i for start, stop in bounds for i in range(start, stop)] == list(range(n))
    sizes = [stop - start for start, stop in bounds]
    assert max(sizes) <= batch_size + 1
    assert min(sizes) > 1 or n == 1


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop"])
def test_every_optimizer_learns(optimizer):
    rows = rows_of(400)
    network, epoch = trained(
        rows, optimizer=optimizer, epochs=20, learning_rate=0.05 if optimizer == "sgd" else 0.005
    )
    loss, accuracy = evaluate(network, rows)
    assert epoch == 20
    assert accuracy > 0.9
    assert loss < 0.4


def test_the_report_of_an_epoch_is_a_mean_over_images():
    reports = []
    rows = rows_of(33)
    network, _ = trained(
        rows,
        batch_size=32,
        learning_rate=1e-10,
        epochs=2,
        batch_norm=False,
        validation=rows,
        on_epoch=lambda epoch, report: reports.append((epoch, dict(report))),
    )
    loss, accuracy = evaluate(network, rows)
    assert [epoch for epoch, _ in reports] == [1, 2]
    assert reports[1][1] == pytest.approx(
        {
            "train_loss": loss,
            "train_accuracy": accuracy,
            "val_loss": loss,
            "val_accuracy": accuracy,
        },
        rel=1e-4,
    )


def test_a_last_batch_of_one_image_does_not_break_batch_norm():
    network, _ = trained(rows_of(33), batch_size=16, epochs=1)
    assert all(torch.isfinite(weight).all() for weight in network.parameters())


def test_dropout_and_batch_norm_are_off_when_it_predicts():
    rows = rows_of(100)
    network, _ = trained(rows, dropout=0.5, epochs=2)
    assert evaluate(network, rows) == evaluate(network, rows)
    assert not network.training


def test_early_stopping_keeps_the_best_epoch():
    rows, held = rows_of(60), rows_of(200, seed=1)
    losses = []
    network, epoch = trained(
        rows,
        validation=held,
        epochs=200,
        patience=3,
        learning_rate=0.05,
        schedule="constant",
        on_epoch=lambda _, report: losses.append(report["val_loss"]),
    )
    assert len(losses) < 200
    assert epoch == len(losses) - 3
    assert losses[epoch - 1] == min(losses)
    assert evaluate(network, held)[0] == pytest.approx(min(losses))


def test_patience_without_validation_rows_trains_to_the_end():
    _, epoch = trained(rows_of(60), epochs=4, patience=1)
    assert epoch == 4


def test_the_best_epoch_is_kept_where_patience_does_not_run_out():
    _, epoch = trained(rows_of(60), validation=rows_of(60), epochs=3, patience=50)
    assert 1 <= epoch <= 3


def test_rates_follow_their_schedule():
    assert {rate_factor("constant", step, 10) for step in range(10)} == {1.0}
    cosine = [rate_factor("cosine", step, 100) for step in range(100)]
    assert cosine == sorted(cosine, reverse=True)
    assert cosine[0] > 0.99
    assert cosine[-1] < 0.01
    cycle = [rate_factor("one_cycle", step, 100) for step in range(100)]
    top = cycle.index(max(cycle))
    assert 28 <= top <= 31
    assert cycle[: top + 1] == sorted(cycle[: top + 1])
    assert cycle[top:] == sorted(cycle[top:], reverse=True)
    assert math.isclose(sum(cycle), 50, rel_tol=0.01)


def test_weight_decay_and_momentum_reach_the_optimizer():
    network = nn.Linear(2, 2)
    params = MlpParams(optimizer="sgd", momentum=0.5, weight_decay=0.1, learning_rate=0.2)
    group = make_optimizer(network, params).param_groups[0]
    assert (group["momentum"], group["weight_decay"], group["lr"]) == (0.5, 0.1, 0.2)
