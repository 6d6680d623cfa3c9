"""Where a mixture of sources began, which turns a position in the stream into a place in each source."""

from __future__ import annotations

from pydantic import Field

from mbo_search.study.spec.base import Description


class Reading(Description):
    """A stretch of the stream in which each source has a share of its own.

    Attributes:
        first_tokens: Position in the stream at which it began.
        begun: Tokens of each source that were read before, by name.
        weights: The part of the tokens that each source gets, in any unit; empty: what it has of the text.
    """

    first_tokens: int = Field(ge=0)
    begun: dict[str, int]
    weights: dict[str, float] = {}
