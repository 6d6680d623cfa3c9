"""Order in which a stage reads its text: shuffled, or by a score of its documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, StrictBool

from mbo_search.study.spec.base import Description

if TYPE_CHECKING:
    from mbo_search.study.spec.schedule import Stage
    from mbo_search.study.spec.segments import Segment

LENGTH = "length"
"""Score that all text has: the tokens of a document."""


class ReadingOrder(Description):
    """A score by which a stage reads its text.

    Attributes:
        by: Score of a document: `length`, its tokens, or a column of `data.scores`.
        ascending: Whether the lowest score comes first.
    """

    by: str = Field(min_length=1)
    ascending: StrictBool = True


def order_words(order: ReadingOrder) -> str:
    """An order for people.

    >>> order_words(ReadingOrder(by="length")), order_words(ReadingOrder(by="length", ascending=False))
    ('length, lowest first', 'length, highest first')
    """
    return f"{order.by}, {'lowest' if order.ascending else 'highest'} first"


class OrderDimension:
    """A score by which the text of a stage is read; the text is the same that it would read without."""

    name = "order"

    def in_force(self, stage: Stage) -> ReadingOrder | None:
        """Return the score; None where the text stays shuffled."""
        return stage.order

    def material(self, segment: Segment) -> dict[str, object] | None:
        """Return the score, the tokens that are put in order, and where among them the segment reads."""
        order = segment.stage.order
        if order is None:
            return None
        begin_tokens = (segment.first_step - segment.stage_first_step) * segment.batch_tokens
        num_tokens = segment.clock.stage_steps * segment.batch_tokens
        return {**order.model_dump(mode="json"), "num_tokens": num_tokens, "begin_tokens": begin_tokens}

    def words(self, stage: Stage) -> dict[str, str]:
        """Return the score for people."""
        return {} if stage.order is None else {self.name: order_words(stage.order)}
