"""What a foreign trainer answers: one result when it has trained what it was asked for, and lines on the way."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from mbo_search.study.spec.base import Description, explain, without_empty, without_unset

RESULT_FILE = "result.json"
"""Name of the file that a command writes last."""


class SpanResult(Description):
    """How the training of a span ended: `result.json`, and what a training function returns.

    Losses may be NaN or infinite: that is a bad schedule, not a broken trainer.

    Attributes:
        val_loss: Validation loss after the last step, nats per token, on the same text for every schedule and seed.
        averaged_val_loss: That of the mean of the weights over the last part of the training, which tells more
            about what the state is worth; None where it is not measured.
        accuracy: Next-token accuracy on the validation text, in [0, 1]; None where it is not measured.
        bits_per_byte: Validation loss in bits per UTF-8 byte; None where it is not measured.
        metrics: Any other numbers, by name; they are recorded and shown.
        tokens: Tokens that this call trained on; None: those that were asked for.
        seconds: Seconds that they took, evaluation included; None: those that passed.
        peak_memory_bytes: Most memory that was in use; None where it is not measured.
    """

    model_config = ConfigDict(allow_inf_nan=True, ser_json_inf_nan="constants")

    schema_version: Literal["mbo-search/span-result/1"] = "mbo-search/span-result/1"
    val_loss: float
    averaged_val_loss: float | None = None
    accuracy: Annotated[float, Field(ge=0, le=1)] | None = None
    bits_per_byte: float | None = None
    metrics: dict[str, float] = {}
    tokens: Annotated[int, Field(ge=0)] | None = None
    seconds: Annotated[float, Field(ge=0)] | None = None
    peak_memory_bytes: Annotated[int, Field(ge=0)] | None = None

    @model_serializer(mode="wrap")
    def _short(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_unset(without_empty(write(self), "metrics"), *_MEASURED)


_MEASURED = ("averaged_val_loss", "accuracy", "bits_per_byte", "tokens", "seconds", "peak_memory_bytes")


def wrong_fields(error: ValidationError) -> str:
    """What is wrong with the fields of a result, in one line."""
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())


class ReportLine(BaseModel):
    """One line of the file behind `MBO_REPORT`: how far the training is, and anything else.

    Attributes:
        step: Optimizer steps of the schedule done.
        tokens: Charged tokens of the schedule done; they are not read, for they follow from the step.
        train_loss: Training loss, nats per token: of this step, or a mean since the line before.
        grad_norm: Gradient norm before clipping.
        val_loss: Validation loss; needed at the end of each part of a request with several parts.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        allow_inf_nan=True,
        ser_json_inf_nan="constants",
        json_schema_extra=explain,
    )

    step: int = Field(ge=0)
    tokens: int | None = None
    train_loss: float | None = None
    grad_norm: float | None = None
    val_loss: float | None = None

    @property
    def others(self) -> dict[str, Any]:
        """What else the line says."""
        return dict(self.model_extra or {})
