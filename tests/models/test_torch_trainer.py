"""The training loop."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support
from torch import nn

from tenfold.config.params import PARAMS
from tenfold.models.torch.networks import build_network
from tenfold.models.torch.optimizer import make_optimizer, rate_factor
from tenfold.models.torch.rows import Rows, batch_bounds, class_weights
from tenfold.models.torch.scores import evaluate
from tenfold.models.torch.trainer import train

MlpParams = PARAMS["mlp"]


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


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop", "muon"])
def test_every_optimizer_learns(optimizer):
    rows = rows_of(400)
    network, epoch = trained(
        rows, optimizer=optimizer, epochs=20, learning_rate=0.05 if optimizer == "sgd" else 0.005
    )
    scores = evaluate(network, rows)
    assert epoch == 20
    assert scores["accuracy"] > 0.9
    assert scores["loss"] < 0.4


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
    scores = evaluate(network, rows)
    assert [epoch for epoch, _ in reports] == [1, 2]
    expected = {f"val_{name}": value for name, value in scores.items()}
    expected |= {f"train_{name}": value for name, value in scores.items()}
    assert reports[1][1] == pytest.approx(expected, rel=1e-4)


def test_a_last_batch_of_one_image_does_not_break_batch_norm():
    network, _ = trained(rows_of(33), batch_size=16, epochs=1)
    assert all(torch.isfinite(weight).all() for weight in network.parameters())


def test_dropout_and_batch_norm_are_off_when_it_predicts():
    rows = rows_of(100)
    network, _ = trained(rows, dropout=0.5, epochs=2)
    assert evaluate(network, rows) == evaluate(network, rows)
    assert not network.training


def overfitted(epochs, patience):
    """Return each epoch's validation loss, that of the network in the end, and its epoch."""
    losses, held = [], rows_of(200, seed=1)
    network, epoch = trained(
        rows_of(60),
        validation=held,
        epochs=epochs,
        patience=patience,
        learning_rate=0.05,
        schedule="constant",
        on_epoch=lambda _, report: losses.append(report["val_loss"]),
    )
    return losses, evaluate(network, held)["loss"], epoch


def test_early_stopping_keeps_the_best_epoch():
    losses, loss, epoch = overfitted(epochs=200, patience=3)
    assert len(losses) < 200
    assert epoch == len(losses) - 3
    assert losses[epoch - 1] == min(losses)
    assert loss == pytest.approx(min(losses))


def test_patience_without_validation_rows_trains_to_the_end():
    _, epoch = trained(rows_of(60), epochs=4, patience=1)
    assert epoch == 4


def test_the_best_epoch_is_kept_where_patience_does_not_run_out():
    losses, loss, epoch = overfitted(epochs=40, patience=50)
    assert len(losses) == 40
    assert epoch == 1 + losses.index(min(losses)) < 40
    assert loss == pytest.approx(min(losses))


def test_a_training_that_never_has_a_loss_says_so_and_claims_no_epochs(caplog):
    # Weight decay multiplies each weight by -9 at each step.
    recipe = {"optimizer": "sgd", "learning_rate": 10, "weight_decay": 1, "batch_norm": False}
    rows = rows_of(1500)
    _, epoch = trained(rows, validation=rows, epochs=9, patience=2, schedule="constant", **recipe)
    assert epoch == 2
    assert "the validation loss was never a number" in caplog.text


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


def test_scores_over_classes_are_scikit_learns(tmp_path):
    class Fixed(nn.Module):
        def forward(self, rows):
            return rows.float()

    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (60, 6), generator=generator, dtype=torch.uint8)
    images[:, 4:] = 0  # two classes are never predicted, and one of them never occurs
    rows = Rows(images, torch.randint(0, 5, (60,), generator=generator))
    scores = evaluate(Fixed(), rows)
    said = images.argmax(dim=1)
    expected = precision_recall_fscore_support(rows.codes, said, average="macro", zero_division=0)
    found = scores["precision"], scores["recall"], scores["f1"]
    assert found == pytest.approx(expected[:3])
    assert scores["accuracy"] == pytest.approx((said == rows.codes).double().mean())


def test_balanced_weights_are_the_inverse_of_the_frequency():
    codes = torch.tensor([0] * 8 + [1] * 2)
    assert class_weights(codes, MlpParams()) is None
    weights = class_weights(codes, MlpParams(class_weights="balanced"))
    assert weights.tolist() == pytest.approx([0.625, 2.5])
    assert float(weights[codes].mean()) == pytest.approx(1)


def test_balanced_weights_find_more_of_a_rare_class():
    rows = rows_of(600)
    rare = torch.cat([torch.where(rows.codes == 0)[0], torch.where(rows.codes == 1)[0][:12]])
    rows, held = Rows(rows.images[rare], rows.codes[rare]), rows_of(400, seed=1)
    recall = {}
    for kind in (None, "balanced"):
        network, _ = trained(rows, epochs=6, class_weights=kind)
        recall[kind] = evaluate(network, held)["recall"]
    assert recall["balanced"] > recall[None] + 0.05


def test_smoothed_labels_hold_the_network_back_from_certainty():
    rows = rows_of(300)
    largest = []
    for smoothing in (0.0, 0.3):
        network, _ = trained(rows, epochs=30, label_smoothing=smoothing)
        largest.append(torch.softmax(network(rows.images), dim=1).max(dim=1).values.mean())
    assert largest[1] < largest[0] - 0.02
    assert largest[1] < 0.95


def test_the_average_of_the_weights_is_what_predicts():
    rows, held = rows_of(200), rows_of(100, seed=1)
    reports = []
    network, _ = trained(
        rows,
        epochs=3,
        ema=0.95,
        validation=held,
        on_epoch=lambda _, report: reports.append(report["val_loss"]),
    )
    assert evaluate(network, held)["loss"] == pytest.approx(reports[-1], rel=1e-6)
    plain, _ = trained(rows, epochs=3)
    first = next(network.parameters())
    assert not torch.equal(first, next(plain.parameters()))
    assert evaluate(network, held)["accuracy"] > 0.6


def test_early_stopping_keeps_the_best_average():
    rows, held = rows_of(60), rows_of(200, seed=1)
    losses = []
    network, epoch = trained(
        rows,
        validation=held,
        epochs=100,
        patience=2,
        ema=0.9,
        learning_rate=0.05,
        schedule="constant",
        on_epoch=lambda _, report: losses.append(report["val_loss"]),
    )
    assert epoch == len(losses) - 2
    assert evaluate(network, held)["loss"] == pytest.approx(min(losses), rel=1e-6)


def test_each_batch_is_augmented_before_it_is_learned_from():
    rows = rows_of(48)
    seen = []

    def inverted(images):
        seen.append(len(images))
        return 255 - images

    params = MlpParams(hidden_layers=(8,), batch_size=16, epochs=60, learning_rate=0.01)
    torch.manual_seed(0)
    network = build_network("mlp", params, (4, 4), 2)
    generator = torch.Generator().manual_seed(0)
    train(network, rows, params, generator=generator, augment=inverted)
    assert seen == [16] * 3 * 60
    assert evaluate(network, Rows(255 - rows.images, rows.codes))["accuracy"] > 0.9
    assert evaluate(network, rows)["accuracy"] < 0.5


def plainly_trained(network, rows, params, seed):
    """Train as the simplest loop would that takes images in the same order."""
    network.train().to(memory_format=torch.channels_last)
    adam = torch.optim.Adam(network.parameters(), lr=params.learning_rate, fused=True)
    generator = torch.Generator().manual_seed(seed)
    starts = range(0, len(rows), params.batch_size)
    n_steps, step = len(starts) * params.epochs, 0
    for _ in range(params.epochs):
        order = torch.randperm(len(rows), generator=generator)
        for start in starts:
            batch = order[start : start + params.batch_size]
            loss = nn.functional.cross_entropy(network(rows.images[batch]), rows.codes[batch])
            adam.zero_grad()
            loss.backward()
            if params.schedule == "one_cycle":
                done = (step + 0.5) / n_steps
                fall = 0.5 * (1 + math.cos(math.pi * (done - 0.3) / (1 - 0.3)))
                factor = done / 0.3 if done < 0.3 else fall
                adam.param_groups[0]["lr"] = params.learning_rate * factor
            adam.step()
            step += 1


@pytest.mark.parametrize("name", ["mlp", "keras_cnn"])
def test_the_defaults_of_the_first_networks_are_a_plain_loop_to_the_bit(name):
    rows = rows_of(250)
    params = PARAMS[name](epochs=3)
    states = []
    for training in (train, None):
        torch.manual_seed(7)
        network = build_network(name, params, (4, 4), 2)
        if training:
            train(network, rows, params, generator=torch.Generator().manual_seed(5))
        else:
            plainly_trained(network, rows, params, seed=5)
        states.append(network.state_dict())
    for mine, plain in zip(states[0].values(), states[1].values(), strict=True):
        assert torch.equal(mine, plain)
