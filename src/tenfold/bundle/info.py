"""What a bundle says of its model: the schema of ``bundle.json``."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, JsonValue, model_validator

from tenfold.bundle.parity import Parity
from tenfold.imaging import PictureStyle
from tenfold.schema import FrozenModel

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f\x7f]+$")]
Side = Annotated[int, Field(ge=1, le=1024)]


class Score(FrozenModel):
    """A score with its 95 % interval."""

    value: float = Field(description="The score on the rows that were scored.")
    low: float = Field(description="Lower end.")
    high: float = Field(description="Upper end.")


class Quantization(FrozenModel):
    """What 8-bit numbers changed, on validation images; the accuracy held there."""

    images: int = Field(ge=1, description="Validation images that both graphs answered.")
    accuracy: float = Field(ge=0, le=1, description="Of the graph in 8-bit numbers.")
    accuracy_before: Score = Field(description="Of the graph in 32-bit numbers.")
    labels_changed: int = Field(ge=0, description="Images that were given another label.")
    compared_on: Literal["held out", "held out from the train fit", "learned from"] = Field(
        default="learned from",
        description="What those images are to the graphs that were compared: held out from their "
        "fit; held out from the train fit, which was compared in place of this refit of it; or "
        "learned from, so that the accuracy on new images may be lower.",
    )

    @model_validator(mode="after")
    def _holds(self) -> Quantization:
        if self.accuracy < self.accuracy_before.low:
            raise ValueError("accuracy must not be below the interval of accuracy_before")
        return self


class Thresholds(FrozenModel):
    """From where on an answer is doubtful."""

    outlier: float | None = Field(
        default=None,
        description="An image with a larger outlier score is none of the classes, it seems; "
        "null: not known.",
    )


class DataFacts(FrozenModel):
    """What is known of a model's data before it is trained."""

    dataset: Text = Field(description="The data set that it was trained on.")
    class_names: tuple[Text, ...] = Field(
        min_length=2, max_length=10_000, description="In the order of the class indices."
    )
    image_shape: tuple[Side, Side] = Field(description="Height and width in pixels.")

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        if len(set(self.class_names)) != len(self.class_names):
            raise ValueError("class_names must differ from each other")
        return self


class BundleFacts(DataFacts):
    """What is known of a model when it is bundled."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="The bundle's name, for machines."
    )
    title: Text = Field(description="The model and its parameters, for people.")
    model: Text = Field(description="Registered name or dotted path of the estimator.")
    params: dict[str, JsonValue] = Field(description="Its parameters, all of them.")
    style: PictureStyle = Field(description="How the pictures look that it was trained on.")
    calibration: dict[str, JsonValue] | None = Field(
        description="How scores became probabilities, as plain values; null: they are its own."
    )
    thresholds: Thresholds = Field(description="From where on an answer is doubtful.")
    quantization: Quantization | None = Field(
        default=None, description="What 8-bit numbers changed; null: the graph has none."
    )
    scores: dict[str, Score] = Field(description="On the test images, by name.")
    test_images: int = Field(ge=0, description="How many images the scores are on.")
    fingerprint: Sha256 = Field(description="SHA-256 of that data set's content.")
    split: Text = Field(description="How that data set was split, and by which version.")
    fitted_on: Text = Field(description="Which of its rows the fit saw.")
    chosen_by: Text = Field(description="How the model was chosen.")
    trial_key: Sha256 = Field(description="Key of the trial, which all results hang on.")
    licence: Text = Field(description="On what terms the model may be used.")
    created: AwareDatetime = Field(description="When the bundle was written.")


class Versions(FrozenModel):
    """What a bundle was made with."""

    tenfold: Text = Field(description="Version of tenfold.")
    onnx: Text | None = Field(description="Version of the onnx package; null: it was not there.")
    opset: int = Field(description="Version of ONNX's operators in the graph.")


class BundleInfo(BundleFacts):
    """Everything in ``bundle.json``."""

    format: Literal[1] = Field(default=1, description="Version of the bundle's form.")
    parity: Parity = Field(
        description="Proof that the graph, before any quantization, answers as its estimator does."
    )
    versions: Versions = Field(description="What the bundle was made with.")

    def to_json(self) -> bytes:
        """Return the content of ``bundle.json``."""
        return self.model_dump_json(indent=2).encode() + b"\n"
