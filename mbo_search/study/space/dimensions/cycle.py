"""Choices of blocks in turn: one by its name, or none, and the length of its turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mbo_search.study.space.parameters import Condition, Parameter, Value
from mbo_search.study.spec.dimensions.cycle import BlockCycle
from mbo_search.study.spec.dimensions.cycle_choices import CycleChoice, Off
from mbo_search.study.spec.schedule import Stage

_OFF: Off = "off"

Choices = tuple[CycleChoice | Off, ...]


class CycleSpace:
    """The row of `cycle` in the table."""

    name = "cycle"

    def parameters(self, at: str, choices: Choices) -> list[Parameter]:
        """Declare which blocks in turn there are, and how long a turn of each is."""
        name = f"{at}/{self.name}"
        found = [Parameter(name=name, choices=tuple(_label(choice) for choice in choices))]
        for choice in _cycles(choices):
            when = (Condition(names=(name,), allowed=frozenset({(choice.label,)})),)
            lengths = tuple(float(tokens) for tokens in choice.tokens)
            found.append(Parameter(name=f"{name}/{choice.label}/tokens", choices=lengths, when=when))
        return found

    def build(self, choices: Choices, values: Mapping[str, Value]) -> BlockCycle | None:
        """Make the blocks in turn that were chosen."""
        label = values[self.name]
        chosen = next((choice for choice in _cycles(choices) if choice.label == label), None)
        if chosen is None:
            return None
        tokens = int(values[f"{self.name}/{label}/tokens"])
        return BlockCycle(blocks=chosen.blocks, tokens=tokens, mode=chosen.mode)

    def values(self, stage: Stage) -> dict[str, Value]:
        """Return the name of its blocks in turn, and the length of a turn."""
        cycle = stage.cycle
        if cycle is None:
            return {self.name: _OFF}
        label = CycleChoice(blocks=cycle.blocks, tokens=(cycle.tokens,), mode=cycle.mode).label
        return {self.name: label, f"{self.name}/{label}/tokens": float(cycle.tokens)}

    def union(self, choices: Sequence[Choices | None]) -> Choices | None:
        """Return all that any stage offers, each once; none of them where a stage sets nothing."""
        found: dict[str, CycleChoice | Off] = {}
        for choice in (one for offered in choices for one in (offered or (_OFF,))):
            label = _label(choice)
            known = found.get(label)
            found[label] = choice if known is None else _united(known, choice)
        return tuple(found.values())


def _label(choice: CycleChoice | Off) -> str:
    return choice.label if isinstance(choice, CycleChoice) else choice


def _cycles(choices: Choices) -> list[CycleChoice]:
    return [choice for choice in choices if isinstance(choice, CycleChoice)]


def _united(one: CycleChoice | Off, other: CycleChoice | Off) -> CycleChoice | Off:
    if not (isinstance(one, CycleChoice) and isinstance(other, CycleChoice)):
        return one
    return one.model_copy(update={"tokens": tuple(sorted({*one.tokens, *other.tokens}))})
