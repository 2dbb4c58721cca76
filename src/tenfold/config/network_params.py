"""The parameters of the networks: how they are trained, and what they are made of."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tenfold.config.schema import ModelParams

# Each setting has its bounds and its description here, once; a schema below adds its default.
Epochs = Annotated[int, Field(ge=1, le=10_000, description="Passes over the training images.")]
BatchSize = Annotated[int, Field(ge=2, le=65_536, description="Images per step.")]
Rate = Annotated[float, Field(gt=0, le=10, description="Step size, at its peak.")]
Optimizer = Annotated[
    Literal["adam", "adamw", "sgd", "rmsprop", "muon"],
    Field(
        description="Optimizer; muon takes orthogonal steps for the matrices between the first and "
        "the last layer and adamw's for the rest."
    ),
]
Momentum = Annotated[float, Field(ge=0, lt=1, description="Momentum of sgd, rmsprop and muon.")]
Decay = Annotated[
    float,
    Field(ge=0, le=10, description="L2 penalty; decoupled from the gradient with adamw and muon."),
]
Schedule = Annotated[
    Literal["constant", "cosine", "one_cycle"],
    Field(
        description="Learning rate over the steps: constant, falling by half a cosine to zero, "
        "or rising to the peak and then falling to zero."
    ),
]
Patience = Annotated[
    Annotated[int, Field(ge=1, le=10_000)] | None,
    Field(
        description="Stop after this many epochs without a lower validation loss and keep the "
        "best epoch; null: never. Idle when no validation rows are given."
    ),
]
Smoothing = Annotated[
    float, Field(ge=0, lt=1, description="Part of each target that is spread over all classes.")
]
ClassWeights = Annotated[
    Literal["balanced"] | None,
    Field(
        description="balanced: rare classes count more, by the inverse of their frequency in the "
        "training rows; null: every image counts alike."
    ),
]
Ema = Annotated[
    Annotated[float, Field(ge=0, lt=1)] | None,
    Field(
        description="Predict with a moving average of the weights, of which each step keeps this "
        "part; null: predict with the last weights."
    ),
]
Shift = Annotated[
    int,
    Field(
        ge=0,
        le=14,
        description="Augmentation: move each image by up to so many pixels of a 28-pixel side; "
        "other sides in proportion.",
    ),
]
Flip = Annotated[
    bool,
    Field(
        description="Augmentation: mirror each image left to right by a chance of one half; not "
        "for digits, letters and whatever else reads differently in a mirror."
    ),
]
Rotation = Annotated[
    float,
    Field(ge=0, le=180, description="Augmentation: turn each image by up to so many degrees."),
]
Scale = Annotated[
    float,
    Field(
        ge=0,
        le=0.9,
        description="Augmentation: stretch each image by factors of 1 - scale to 1 + scale, "
        "height and width each by its own.",
    ),
]
Shear = Annotated[
    float,
    Field(ge=0, le=2, description="Augmentation: slant each image by up to so many pixels a row."),
]
Elastic = Annotated[
    float,
    Field(
        ge=0,
        le=10,
        description="Augmentation: bend each image by smooth random displacements of about "
        "this standard deviation, in pixels of a 28-pixel side; other sides in proportion.",
    ),
]
Erase = Annotated[
    float,
    Field(
        ge=0,
        le=1,
        description="Augmentation: chance that a rectangle of an image is blanked.",
    ),
]
Stroke = Annotated[
    float,
    Field(
        ge=0,
        le=1,
        description="Augmentation: make strokes thicker or thinner by up to this part of a pixel "
        "on each side.",
    ),
]
Dropout = Annotated[
    float, Field(ge=0, lt=1, description="Chance that a hidden unit is left out in training.")
]
Width = Annotated[int, Field(ge=1, le=65_536)]
Channels = Annotated[int, Field(ge=2, le=1024)]


class NetworkParams(ModelParams):
    """What the training of every network has in common."""

    epochs: Epochs = 5
    batch_size: BatchSize = 128
    learning_rate: Rate = 1e-3
    optimizer: Optimizer = "adam"
    momentum: Momentum = 0.9
    weight_decay: Decay = 0.0
    schedule: Schedule = "constant"
    patience: Patience = None
    label_smoothing: Smoothing = 0.0
    class_weights: ClassWeights = None
    ema: Ema = None
    shift_px: Shift = 0
    flip: Flip = False
    rotate_deg: Rotation = 0.0
    scale: Scale = 0.0
    shear: Shear = 0.0
    elastic: Elastic = 0.0
    erase: Erase = 0.0
    stroke: Stroke = 0.0


class MlpParams(NetworkParams):
    """Multi-layer perceptron."""

    hidden_layers: Annotated[tuple[Width, ...], Field(min_length=1, max_length=32)] = Field(
        (256, 128), description="Units of each hidden layer, first to last."
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="Chance that a hidden unit is left out.")
    batch_norm: bool = Field(True, description="Normalise each hidden layer over the batch.")
    epochs: Epochs = 15
    schedule: Schedule = "one_cycle"


class FcnnParams(NetworkParams):
    """Two dense layers of 128 units, each with dropout."""

    epochs: Epochs = 10
    learning_rate: Rate = 3e-3
    momentum: Momentum = 0.0
    schedule: Schedule = "one_cycle"


class KerasCnnParams(NetworkParams):
    """Two convolutions, two pools, one dense layer: the classic Keras network."""


class SimpleConvNetParams(NetworkParams):
    """Two convolutions, one pool, one dense layer: the classic PyTorch network."""

    epochs: Epochs = 10
    batch_size: BatchSize = 64


class BnCnnParams(NetworkParams):
    """Two convolutions with batch norm, one pool, one dense layer."""

    optimizer: Optimizer = "sgd"


class CnnParams(NetworkParams):
    """Small, fast convolutional network with batch norm."""

    width: Channels = Field(32, description="Channels of the first layer; the last has twice.")
    batch_size: BatchSize = 128
    learning_rate: Rate = 1e-2
    optimizer: Optimizer = "adamw"
    weight_decay: Decay = 1e-2
    schedule: Schedule = "one_cycle"
    label_smoothing: Smoothing = 0.02
    shift_px: Shift = 2


class PcaCnnParams(CnnParams):
    """The small convolutional network on what some principal components keep of an image."""

    pca: (
        Annotated[int, Field(ge=1, le=65_536, strict=True)] | Annotated[float, Field(gt=0, lt=1)]
    ) = Field(
        0.95,
        description="Principal components to keep: a fraction of the variance (between 0 and 1) "
        "or a number of components (1 or more; all there are, where fewer). Fitted on the "
        "training rows only.",
    )


class DeepCnnParams(CnnParams):
    """Residual convolutional network for the highest accuracy."""

    width: Channels = Field(48, description="Channels of the first stage; the second has twice.")
    dropout: Dropout = 0.1
    epochs: Epochs = 15
    batch_size: BatchSize = 256
    label_smoothing: Smoothing = 0.05
    ema: Ema = 0.998
    rotate_deg: Rotation = 10.0
    scale: Scale = 0.1
    shear: Shear = 0.15


class VitParams(NetworkParams):
    """Vision transformer on square patches."""

    patch_size: Annotated[int, Field(ge=1, le=256)] | None = Field(
        None,
        description="Side of a patch in pixels; images are padded to a multiple of it. null: a "
        "quarter of the image's shorter side, rounded.",
    )
    width: int = Field(
        128, ge=1, le=4096, description="Numbers that describe a patch; a multiple of heads."
    )
    depth: int = Field(4, ge=1, le=64, description="Transformer blocks.")
    heads: int = Field(4, ge=1, le=64, description="Attention heads of each block.")
    mlp_ratio: float = Field(
        2.0, gt=0, le=16, description="Hidden units of a block's dense part, per unit of width."
    )
    dropout: Dropout = 0.0
    epochs: Epochs = 10
    learning_rate: Rate = 4e-3
    optimizer: Optimizer = "muon"
    momentum: Momentum = 0.95
    weight_decay: Decay = 5e-2
    schedule: Schedule = "one_cycle"
    shift_px: Shift = 2

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(
                f"width {self.width} is no multiple of heads {self.heads}; each head takes an "
                "equal part of it"
            )
        return self
