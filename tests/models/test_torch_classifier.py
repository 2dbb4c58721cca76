"""Networks as estimators, beyond what the contract suite asks of every model."""

import numpy as np
import pytest
import torch

from tenfold.data import load_dataset, make_split
from tenfold.errors import ConfigError, ModelInputError
from tenfold.models import build_model

SMALL = {"epochs": 4, "hidden_layers": [16], "batch_size": 32}


def test_the_same_seed_and_threads_give_the_same_weights_to_the_bit(digits):
    images, labels = digits
    for name, params in (("mlp", SMALL | {"dropout": 0.2}), ("keras_cnn", {"epochs": 1})):
        first, second = (
            build_model(name, params, seed=1, threads=2, precision="bfloat16").fit(images, labels)
            for _ in range(2)
        )
        for a, b in zip(
            first.network_.state_dict().values(), second.network_.state_dict().values(), strict=True
        ):
            assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["cnn", "deep_cnn", "vit", "pca_cnn"])
def test_augmentation_and_averages_are_repeated_to_the_bit(name, digits):
    images, labels = digits
    recipe = {"epochs": 1, "width": 8, "batch_size": 64, "shift_px": 4, "rotate_deg": 10}
    recipe |= {"elastic": 1, "erase": 0.5, "stroke": 0.5, "ema": 0.9, "class_weights": "balanced"}
    first, second = (
        build_model(name, recipe, seed=1, precision="bfloat16").fit(images, labels)
        for _ in range(2)
    )
    plain = build_model(name, recipe | {"stroke": 0}, seed=1, precision="bfloat16")
    probabilities = first.predict_proba(images)
    assert np.array_equal(probabilities, second.predict_proba(images))
    assert not np.array_equal(probabilities, plain.fit(images, labels).predict_proba(images))


def test_another_seed_gives_other_weights(digits):
    images, labels = digits
    first, second = (build_model("mlp", SMALL, seed=s).fit(images, labels) for s in (0, 1))
    assert not np.array_equal(first.predict_proba(images), second.predict_proba(images))


def test_training_leaves_torchs_global_state_alone(digits):
    images, labels = digits
    state, threads = torch.get_rng_state().clone(), torch.get_num_threads()
    build_model("mlp", SMALL, threads=1).fit(images, labels).predict(images)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_each_epoch_is_reported(digits):
    images, labels = digits
    reports = []
    build_model("mlp", SMALL).fit(
        images[:200],
        labels[:200],
        validation=(images[200:], labels[200:]),
        on_epoch=lambda epoch, report: reports.append((epoch, report)),
    )
    assert [epoch for epoch, _ in reports] == [1, 2, 3, 4]
    scores = ("loss", "accuracy", "precision", "recall", "f1")
    assert set(reports[0][1]) == {f"{rows}_{s}" for rows in ("train", "val") for s in scores}
    assert reports[-1][1]["train_loss"] < reports[0][1]["train_loss"]
    assert all(0 <= report["val_accuracy"] <= 1 for _, report in reports)


def test_validation_rows_change_nothing_but_the_report(digits):
    images, labels = digits
    plain = build_model("mlp", SMALL).fit(images[:200], labels[:200])
    watched = build_model("mlp", SMALL).fit(
        images[:200], labels[:200], validation=(images[200:], labels[200:])
    )
    assert np.array_equal(plain.predict_proba(images), watched.predict_proba(images))
    assert watched.chosen_ == {}


def test_early_stopping_writes_down_the_epochs_to_repeat(digits):
    images, labels = digits
    model = build_model("mlp", SMALL | {"epochs": 60, "patience": 2, "learning_rate": 0.05})
    model.fit(images[:150], labels[:150], validation=(images[150:], labels[150:]))
    assert model.chosen_ == {"epochs": model.n_epochs_}
    assert model.n_epochs_ < 60


def test_validation_rows_are_checked(digits):
    images, labels = digits
    train = images[labels < 5], labels[labels < 5]
    with pytest.raises(ModelInputError, match=r"the label .*, which no training row has"):
        build_model("mlp", SMALL).fit(*train, validation=(images, labels))
    with pytest.raises(ModelInputError, match="64 columns"):
        build_model("mlp", SMALL).fit(*train, validation=(images[:, :9], labels))


def test_images_without_a_shape_must_be_square(digits):
    images, labels = digits
    assert build_model("keras_cnn", {"epochs": 1}).fit(images, labels).n_features_in_ == 64
    with pytest.raises(ModelInputError, match="63 pixels are no square image"):
        build_model("keras_cnn", {"epochs": 1}).fit(images[:, :63], labels)


def test_an_image_too_small_names_the_smallest(digits):
    images, labels = digits
    with pytest.raises(ModelInputError, match="keras_cnn takes images of at least 4x4"):
        build_model("keras_cnn", image_shape=(3, 3)).fit(images[:, :9], labels)


def test_device_and_precision_are_checked_when_it_is_fitted(digits):
    images, labels = digits
    with pytest.raises(ConfigError, match="device is 'tpu'"):
        build_model("mlp", SMALL, device="tpu").fit(images, labels)
    with pytest.raises(ConfigError, match="precision is 'half'"):
        build_model("mlp", SMALL, precision="half").fit(images, labels)


def test_bfloat16_learns_as_well_as_float32(digits):
    images, labels = digits
    scores = [
        build_model("keras_cnn", {"epochs": 12, "batch_size": 32}, precision=precision)
        .fit(images[:250], labels[:250])
        .score(images[250:], labels[250:])
        for precision in ("float32", "bfloat16")
    ]
    assert min(scores) > 0.8
    assert abs(scores[0] - scores[1]) <= 0.1


@pytest.mark.mnist
def test_a_few_epochs_learn_real_digits(data_dir):
    split = make_split(load_dataset("mnist", data_dir=data_dir))
    train, held = split.train[:12_000], split.validation_rows[:2000]
    model = build_model("mlp", {"epochs": 5}, image_shape=split.image_shape, threads=2)
    model.fit(split.images[train], split.labels[train])
    assert model.score(split.images[held], split.labels[held]) > 0.955
