"""A training that is ended and taken up again: the same weights, to the bit."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tenfold.config.params import PARAMS
from tenfold.models import build_model
from tenfold.models.torch.augment import make_augment
from tenfold.models.torch.checkpoint import Checkpoints
from tenfold.models.torch.networks import NETWORKS, build_network
from tenfold.models.torch.rows import Rows
from tenfold.models.torch.trainer import train

EVERYTHING = {
    "ema": 0.9,
    "schedule": "one_cycle",
    "dropout": 0.3,
    "shift_px": 4,
    "rotate_deg": 10.0,
    "erase": 0.5,
    "class_weights": "balanced",
    "label_smoothing": 0.1,
    "patience": 2,
}
N_ROWS, BATCH_SIZE, EPOCHS = 90, 20, 3


class EndedError(Exception):
    pass


class EndingStore(Checkpoints):
    """Writes at each step, and ends the training after some of them."""

    def __init__(self, folder, ends_after=None):
        super().__init__(folder, "the same", every_s=0)
        self.left = ends_after

    def write(self, progress, tensors):
        super().write(progress, tensors)
        self.at = progress.epoch, progress.step
        if self.left is not None:
            self.left -= 1
            if not self.left:
                raise EndedError


def rows_of(n, seed):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, 64), generator=generator, dtype=torch.uint8)
    return Rows(images, (images[:, :32].sum(dim=1) > images[:, 32:].sum(dim=1)).long())


def trained(folder, ends_after=None, name="mlp", epochs=EPOCHS, **recipe):
    """Train on one thread; return the epoch, the reports and the weights."""
    shape = {"hidden_layers": (16, 8)} if name == "mlp" else {"width": 4}
    params = PARAMS[name](epochs=epochs, batch_size=BATCH_SIZE, **shape, **recipe)
    rows, reports = rows_of(N_ROWS, 1), []
    store = EndingStore(folder, ends_after)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        network = build_network(name, params, (8, 8), 2)
        try:
            epoch = train(
                network,
                rows,
                params,
                generator=torch.Generator().manual_seed(3),
                augment=make_augment(params, rows.images, (8, 8), seed=4),
                validation=rows_of(50, 2),
                on_epoch=lambda epoch, report: reports.append((epoch, dict(report))),
                checkpoints=store,
            )
        except EndedError:
            return store.at
    return epoch, reports, network.state_dict()


def assert_same(first, second):
    assert first[:2] == second[:2]
    assert first[2].keys() == second[2].keys()
    for mine, theirs in zip(first[2].values(), second[2].values(), strict=True):
        assert torch.equal(mine, theirs)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("whole"), **EVERYTHING)


@pytest.mark.parametrize("ends_after", range(1, 19))
def test_a_training_ended_after_any_write_ends_with_the_same_weights(tmp_path, whole, ends_after):
    # Five steps an epoch, then the epoch's own.
    assert trained(tmp_path, ends_after, **EVERYTHING) == (
        ends_after // 6,
        ends_after % 6,
    )
    assert_same(trained(tmp_path, **EVERYTHING), whole)


def test_a_training_may_be_ended_again_and_again(tmp_path, whole):
    ends = [trained(tmp_path, 4, **EVERYTHING) for _ in range(3)]
    assert ends == [(0, 4), (1, 2), (2, 0)]
    assert_same(trained(tmp_path, **EVERYTHING), whole)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop", "muon"])
@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_every_optimizer_goes_on_to_the_bit(tmp_path, optimizer, name):
    recipe = {"name": name, "optimizer": optimizer, "weight_decay": 0.01}
    whole = trained(tmp_path / "whole", **recipe)
    assert trained(tmp_path / "ended", 9, **recipe) == (1, 3)
    assert_same(trained(tmp_path / "ended", **recipe), whole)


def test_sgd_without_momentum_goes_on_to_the_bit(tmp_path):
    recipe = {"optimizer": "sgd", "momentum": 0.0}
    whole = trained(tmp_path / "whole", **recipe)
    trained(tmp_path / "ended", 3, **recipe)
    assert_same(trained(tmp_path / "ended", **recipe), whole)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_network_goes_on_to_the_bit(tmp_path, name, digits):
    images, labels = digits[0][:120], digits[1][:120]
    sizes = {"width": 8} if name in {"cnn", "deep_cnn", "pca_cnn", "vit"} else {}
    params = {"epochs": 2, "batch_size": 60, "optimizer": "sgd", **sizes}

    def fit(checkpoints=None, on_epoch=None):
        model = build_model(name, params, seed=1)
        return model.fit(
            images, labels, checkpoints=checkpoints, checkpoint_every_s=0, on_epoch=on_epoch
        )

    def end(epoch, report):
        raise EndedError

    with pytest.raises(EndedError):
        fit(tmp_path / "ended", end)
    resumed, whole = fit(tmp_path / "ended"), fit()
    assert resumed.resumed_s_ > 0
    assert whole.resumed_s_ == 0
    for mine, theirs in zip(
        resumed.network_.state_dict().values(), whole.network_.state_dict().values(), strict=True
    ):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 2},
        {"threads": 2},
        {"precision": "bfloat16"},
        {"params": {"learning_rate": 0.002}},
        {"data": {"validation": None}},
        {"data": {"rows": slice(1, 151)}},
    ],
    ids=str,
)
def test_another_training_starts_anew_in_the_same_folder(tmp_path, digits, change, caplog):
    images, labels = digits

    def fit(folder, on_epoch=None, params=None, data=None, **settings):
        recipe = {"epochs": 2, "hidden_layers": [8], "batch_size": 50} | (params or {})
        data = {"rows": slice(150), "validation": (images[150:], labels[150:])} | (data or {})
        rows = data["rows"]
        return build_model("mlp", recipe, **{"seed": 1} | settings).fit(
            images[rows],
            labels[rows],
            validation=data["validation"],
            checkpoints=folder,
            checkpoint_every_s=0,
            on_epoch=on_epoch,
        )

    def end(epoch, report):
        raise EndedError

    with pytest.raises(EndedError):
        fit(tmp_path / "folder", end)
    other = fit(tmp_path / "folder", **change)
    assert other.resumed_s_ == 0
    assert "other data, settings or versions" in caplog.text
    alone = fit(None, **change)
    assert np.array_equal(other.predict_proba(images), alone.predict_proba(images))


def test_generator_states_that_are_none_are_told_and_change_nothing(tmp_path, whole, caplog):
    trained(tmp_path, 7, **EVERYTHING)
    newest = max(tmp_path.iterdir())
    store = EndingStore(tmp_path)
    checkpoint = next(store.newest_first(lambda: load_file(newest)))
    broken = {**checkpoint.tensors, "random.cpu": torch.zeros(5056, dtype=torch.uint8)}
    for path in tmp_path.iterdir():
        path.unlink()
    store.write(checkpoint.progress, broken)
    assert_same(trained(tmp_path, **EVERYTHING), whole)
    assert "a checkpoint is not used: " in caplog.text


def test_early_stopping_is_taken_up_too(tmp_path):
    recipe = {"learning_rate": 0.1, "patience": 2, "epochs": 20}
    whole = trained(tmp_path / "whole", **recipe)
    assert whole[0] + 2 == len(whole[1]) < 20
    for ends_after in (2, 6 * whole[0], 6 * whole[0] + 8):
        trained(tmp_path / str(ends_after), ends_after, **recipe)
        assert_same(trained(tmp_path / str(ends_after), **recipe), whole)
