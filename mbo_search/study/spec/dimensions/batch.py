"""Tokens of an optimizer step and of a row: one number each, in place of the study's.

Schedules hold them as they were chosen. What equals the study's own is left out where a schedule is cut into
segments, so that it trains, and is named, like a stage that sets nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mbo_search.study.spec.schedule import Stage
    from mbo_search.study.spec.segments import Segment


@dataclass(frozen=True, slots=True)
class BatchDimension:
    """Tokens of one optimizer step."""

    name: str = "batch_tokens"

    def in_force(self, stage: Stage) -> int | None:
        """Return them as they are."""
        return stage.batch_tokens

    def material(self, segment: Segment) -> None:
        """Return nothing: every segment's key holds the tokens and the number of its steps."""

    def words(self, stage: Stage) -> dict[str, str]:
        """Return the tokens of a step."""
        return {} if stage.batch_tokens is None else {"batch": str(stage.batch_tokens)}


@dataclass(frozen=True, slots=True)
class ContextDimension:
    """Tokens of one row of a batch."""

    name: str = "context"

    def in_force(self, stage: Stage) -> int | None:
        """Return them as they are."""
        return stage.context

    def material(self, segment: Segment) -> int | None:
        """Return them; None where rows are as long as the model's context."""
        return segment.stage.context

    def words(self, stage: Stage) -> dict[str, str]:
        """Return the tokens of a row."""
        return {} if stage.context is None else {"context": str(stage.context)}
