"""Choices between whole numbers: tokens of an optimizer step, tokens of a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from mbo_search.study.space.parameters import Parameter, Value
from mbo_search.study.spec.schedule import Stage


@dataclass(frozen=True, slots=True)
class WholeNumberSpace:
    """A list of whole numbers, of which each stage takes one."""

    name: Literal["batch_tokens", "context"]

    def parameters(self, at: str, choices: tuple[int, ...]) -> list[Parameter]:
        """Declare the one parameter."""
        return [Parameter(name=f"{at}/{self.name}", choices=choices)]

    def build(self, choices: tuple[int, ...], values: Mapping[str, Value]) -> int:
        """Return the chosen number."""
        return int(values[self.name])

    def values(self, stage: Stage) -> dict[str, Value]:
        """Return the number of a stage."""
        number = stage.batch_tokens if self.name == "batch_tokens" else stage.context
        return {} if number is None else {self.name: number}

    def union(self, choices: Sequence[tuple[int, ...] | None]) -> tuple[int, ...]:
        """Return all numbers; where one stage sets any, all do."""
        return tuple(sorted(set(chain.from_iterable(one or () for one in choices))))
