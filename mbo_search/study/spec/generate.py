"""How answers are generated that metrics are to judge."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, StrictInt

from mbo_search.study.spec.base import Description

_MOST_AUTO_TOKENS = 64


class GenerateSpec(Description):
    """Generation of answers to the prompts of a task, for metrics of texts.

    Attributes:
        max_new_tokens: Most tokens of an answer; `auto`: half of the context, at most 64.
        beams: Answers that are pursued at the same time; 1 takes the likeliest token each time.
        batch_rows: Most rows of one forward pass; it bounds the memory, and labels are chosen with it as well.
    """

    max_new_tokens: StrictInt | Literal["auto"] = "auto"
    beams: StrictInt = Field(default=1, ge=1, le=64)
    batch_rows: StrictInt = Field(default=16, ge=1, le=4096)

    def most_new_tokens(self, context: int) -> int:
        """Most tokens of an answer of a model with a context.

        >>> GenerateSpec().most_new_tokens(96), GenerateSpec(max_new_tokens=5).most_new_tokens(96)
        (48, 5)
        """
        chosen = self.max_new_tokens
        return min(context // 2, _MOST_AUTO_TOKENS) if chosen == "auto" else chosen
