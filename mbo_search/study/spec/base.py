"""The base of every description: a frozen value that rejects unknown keys."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Description(BaseModel):
    """A frozen, serialisable value. Equality is by content; unknown keys are errors; NaN is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)
