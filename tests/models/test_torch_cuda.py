"""Training on GPUs; needs torch, numpy, scikit-learn, pydantic, safetensors and data alone."""

import numpy as np
import pytest
import torch

from tenfold.data import load_dataset, make_split
from tenfold.models import build_model

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
]


class EndedError(Exception):
    pass


@pytest.mark.parametrize("name", ["mlp", "keras_cnn"])
def test_a_gpu_trains_the_same_network(name, digits):
    images, labels = digits
    first, second = (
        build_model(name, {"epochs": 8, "batch_size": 32}, device="auto", precision="auto").fit(
            images[:250], labels[:250]
        )
        for _ in range(2)
    )
    assert first.device_.type == "cuda"
    assert first.score(images[250:], labels[250:]) > 0.8
    assert np.array_equal(first.predict_proba(images), second.predict_proba(images))


def test_a_gpu_goes_on_to_the_bit(tmp_path, digits):
    images, labels = digits

    def fit(checkpoints=None, on_epoch=None):
        recipe = {"epochs": 3, "batch_size": 60, "dropout": 0.2, "width": 8}
        return build_model("deep_cnn", recipe, device="cuda", precision="auto").fit(
            images, labels, checkpoints=checkpoints, checkpoint_every_s=0, on_epoch=on_epoch
        )

    def end(epoch, report):
        if epoch == 2:
            raise EndedError

    with pytest.raises(EndedError):
        fit(tmp_path / "ended", end)
    resumed, whole = fit(tmp_path / "ended"), fit()
    assert resumed.resumed_s_ > 0
    assert np.array_equal(resumed.predict_proba(images), whole.predict_proba(images))


def test_a_gpu_answers_each_number_of_epochs_as_a_training_of_its_own(digits):
    images, labels = digits
    alone, models = (
        [
            build_model("simple_conv_net", {"epochs": epochs}, device="cuda", precision="auto")
            for epochs in (1, 3)
        ]
        for _ in range(2)
    )
    given = []

    def ready(estimators):
        given.extend(estimators)
        torch.rand(9, device="cuda")  # the training goes on as if nothing was drawn

    models[1].fit_path(images, labels, models[:1], on_ready=ready)
    assert given == models
    for one, other in zip(given, alone, strict=True):
        other.fit(images, labels)
        assert np.array_equal(one.predict_proba(images), other.predict_proba(images))


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA GPUs")
def test_two_gpus_take_the_steps_of_one(digits):
    recipe = {"hidden_layers": [32, 16], "batch_norm": False, "batch_size": 83, "epochs": 8}
    alone, shared = (
        build_model("mlp", recipe, device="cuda", processes=n).fit(*digits) for n in (1, 2)
    )
    assert np.allclose(alone.predict_proba(digits[0]), shared.predict_proba(digits[0]), atol=1e-3)


@pytest.mark.mnist
def test_a_gpu_reads_real_digits(data_dir):
    split = make_split(load_dataset("mnist", data_dir=data_dir))
    train, held = split.train, split.validation_rows
    model = build_model("cnn", {"epochs": 2}, device="cuda", precision="auto")
    model.fit(split.images[train], split.labels[train])
    assert model.score(split.images[held], split.labels[held]) > 0.985
