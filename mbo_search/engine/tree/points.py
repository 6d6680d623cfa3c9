"""Enumeration of small spaces, and of one stage of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mbo_search.engine.tree.history import Block, Params, stage_of
from mbo_search.study.space.parameters import Suggest

Define = Callable[[Suggest], object]
"""Staged space: asks for every parameter of a schedule, stage after stage."""


class TooMany(Exception):
    """The space has free numbers."""


class _Odometer:
    """Suggests the choices at given positions, and the first ones after them."""

    def __init__(self, positions: Sequence[int], fixed: Params, num_stages: int) -> None:
        self.positions = list(positions)
        self.sizes: list[int] = []
        self.params: dict[str, str | float | int] = {}
        self._fixed = fixed
        self._num_stages = num_stages

    def categorical(self, name: str, choices: Sequence[str | float]) -> str | float:
        """Choose the value at the next position."""
        value = self._fixed.get(name)
        if value not in choices:
            value = choices[self._turn(name, len(choices))]
        assert value is not None
        self.params[name] = value
        return value

    def number(self, name: str, low: float, high: float, *, log: bool, step: float | None) -> float:
        """Choose the number at the next position of a grid."""
        value = self._fixed.get(name)
        if not isinstance(value, (int, float)) or not low <= value <= high:
            if step is None and stage_of(name) < self._num_stages:
                raise TooMany
            size = 1 if step is None else round((high - low) / step) + 1
            value = min(low + (step or 0.0) * self._turn(name, size), high)
        self.params[name] = value
        return float(value)

    def _turn(self, name: str, size: int) -> int:
        if stage_of(name) >= self._num_stages:
            return 0
        index = len(self.sizes)
        self.sizes.append(size)
        if index == len(self.positions):
            self.positions.append(0)
        return self.positions[index]

    def following(self) -> list[int] | None:
        """Positions of the next point; None after the last one."""
        for index in reversed(range(len(self.sizes))):
            if self.positions[index] + 1 < self.sizes[index]:
                return [*self.positions[:index], self.positions[index] + 1]
        return None


def all_points(define: Define, limit: int, *, num_stages: int, fixed: Params | None = None) -> list[Params] | None:
    """List every point of a space."""
    found: list[Params] = []
    positions: list[int] | None = []
    while positions is not None:
        odometer = _Odometer(positions, fixed or {}, num_stages)
        try:
            define(odometer)
        except TooMany:
            return None
        found.append(odometer.params)
        if len(found) > limit:
            return None
        positions = odometer.following()
    return found


def stage_points(define: Define, base: Params, stage: int, limit: int) -> list[Params] | None:
    """List every way to continue a prefix by one stage."""
    points = all_points(define, limit, num_stages=stage + 1, fixed=base)
    if points is None:
        return None
    distinct: dict[Block, Params] = {}
    for params in points:
        block = frozenset((name, value) for name, value in params.items() if stage_of(name) == stage)
        distinct.setdefault(block, params)
    return list(distinct.values())
