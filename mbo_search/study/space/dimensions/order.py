"""Orders of the text as one parameter: shuffled, or by a score, from either end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from mbo_search.study.space.parameters import Parameter, Value
from mbo_search.study.spec.dimensions.order import ReadingOrder, order_words
from mbo_search.study.spec.schedule import Stage
from mbo_search.study.spec.sections.choices import Orders

SHUFFLED: Literal["shuffled"] = "shuffled"
"""The order of a text without one of its own."""


class OrderSpace:
    """Choices of the order of the text."""

    name = "order"

    def parameters(self, at: str, choices: Orders) -> list[Parameter]:
        """Declare the order."""
        return [Parameter(name=f"{at}/{self.name}", choices=tuple(map(_label, choices)))]

    def build(self, choices: Orders, values: Mapping[str, Value]) -> ReadingOrder | None:
        """Make the order of a stage; None where its text is shuffled."""
        found = next(choice for choice in choices if _label(choice) == values[self.name])
        return None if isinstance(found, str) else found

    def values(self, stage: Stage) -> dict[str, Value]:
        """Return the value that would make a stage's order."""
        return {self.name: SHUFFLED if stage.order is None else _label(stage.order)}

    def union(self, choices: Sequence[Orders | None]) -> Orders | None:
        """Return the orders of all stages, each once."""
        every = (choice for own in choices for choice in ((SHUFFLED,) if own is None else own))
        return tuple(dict.fromkeys(every))


def _label(choice: str | ReadingOrder) -> str:
    return choice if isinstance(choice, str) else order_words(choice)
