"""What streams that read from the orders of one text have in common: other orders of the same text, and sources."""

from __future__ import annotations

import copy
from typing import Self

from mbo_search.data.mixing.curriculum import Curriculum
from mbo_search.data.mixing.orders import TextOrders
from mbo_search.data.mixing.reading import Reading


class OrderedStream:
    """A stream whose blocks are located by the orders of its text.

    Args:
        orders: The orders.
    """

    def __init__(self, orders: TextOrders) -> None:
        self._orders = orders

    def at(self, reading: Reading | None) -> Self:
        """The same text with the sources mixed from some position on; None: in the order of all text."""
        return self._with(self._orders.at(reading))

    def in_order(self, curriculum: Curriculum | None) -> Self:
        """The same text with a stretch in the order of a score; None: as it is."""
        return self._with(self._orders.in_order(curriculum))

    def read_tokens(self, position_tokens: int) -> dict[str, int]:
        """Tokens of each source before a position, by name; empty where nobody tells sources apart."""
        return self._orders.read_tokens(position_tokens)

    def source_tokens(self) -> dict[str, int]:
        """Tokens of one epoch of each source, by name; empty where nobody tells sources apart."""
        return self._orders.source_tokens()

    def _with(self, orders: TextOrders) -> Self:
        stream = copy.copy(self)
        stream._orders = orders
        return stream
