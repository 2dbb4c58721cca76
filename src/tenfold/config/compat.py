"""Older forms of an experiment's file, turned into the keys of the schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ValidationError

from tenfold.config.network_params import BatchSize, Epochs, Rate
from tenfold.config.params import explain
from tenfold.errors import ConfigError
from tenfold.schema import FrozenModel

_VIT = {"patch_size": 7, "width": 512, "depth": 3, "heads": 8, "mlp_ratio": 4.0, "dropout": 0.2}


class _FourKeys(FrozenModel):
    """One network on MNIST: the form with four keys."""

    model: Literal["SimpleConvNet", "ViT"]
    batch_size: BatchSize
    lr: Rate
    max_epochs: Epochs


def has_four_keys(raw: Mapping[str, Any]) -> bool:
    """Return whether a file is in the form with four keys."""
    return "model" in raw and bool(raw.keys() & {"batch_size", "lr", "max_epochs"})


def from_four_keys(raw: Mapping[str, Any], *, origin: str = "configuration") -> dict[str, Any]:
    """Return the keys of `ExperimentConfig` for a file in the form with four keys.

    Both networks are trained at a constant rate by Adam, without augmentation; the transformer
    cuts images of 28 pixels into patches of 7 and has 3 blocks of 8 heads.

    Args:
        raw: ``model`` (``SimpleConvNet`` or ``ViT``), ``batch_size``, ``lr``, ``max_epochs``; a
            ``name`` may stand beside them.
        origin: What error lines start with, for example a file's name.

    Raises:
        ConfigError: One line for each key that is unknown, missing or out of its bounds.

    >>> four = {"model": "SimpleConvNet", "batch_size": 32, "lr": 1e-4, "max_epochs": 10}
    >>> from_four_keys(four)["models"][0]["params"]
    {'batch_size': 32, 'learning_rate': 0.0001, 'epochs': 10}
    """
    try:
        four = _FourKeys.model_validate({key: raw[key] for key in raw if key != "name"})
    except ValidationError as error:
        raise ConfigError(explain(error, _FourKeys, f"{origin}: ")) from error
    params: dict[str, Any] = {
        "batch_size": four.batch_size,
        "learning_rate": four.lr,
        "epochs": four.max_epochs,
    }
    if four.model == "ViT":
        plain = {"optimizer": "adam", "weight_decay": 0.0, "schedule": "constant", "shift_px": 0}
        params |= {**_VIT, **plain}
    model = {"SimpleConvNet": "simple_conv_net", "ViT": "vit"}[four.model]
    named = {"name": raw["name"]} if "name" in raw else {}
    return {**named, "dataset": "mnist", "models": [{"model": model, "params": params}]}
