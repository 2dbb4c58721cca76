"""The base of the schemas of models' parameters."""

from __future__ import annotations

from pydantic import ValidationInfo, field_validator

from tenfold.schema import FrozenModel


class ModelParams(FrozenModel):
    """Base of the schemas that describe one model's parameters each."""

    @field_validator("*", mode="before")
    @classmethod
    def _plain_value(cls, value: object, info: ValidationInfo) -> object:
        """Turn NumPy scalars into Python's; refuse true and false where a number is wanted."""
        item = getattr(value, "item", None)
        if callable(item) and getattr(value, "ndim", None) == 0:
            value = item()
        field = cls.model_fields[info.field_name or ""]
        if isinstance(value, bool) and field.annotation is not bool:
            raise ValueError("true and false are not allowed here")
        return value
