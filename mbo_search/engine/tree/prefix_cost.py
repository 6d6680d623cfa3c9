"""Cost of the part of a schedule that is not trained yet: equal segments are shared after equal prefixes.

Without further knowledge a stage is one segment. Where training does not depend on the length of the stage, such as
under a constant learning rate, a stage has several: a longer stage passes the ends of the shorter ones, and many
cooldowns can branch off one trunk.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from mbo_search.engine.tree.history import History, Params, Prefix, blocks_of

SegmentCost = tuple[Hashable, float]
"""Identity of a segment: what its training depends on besides the prefix; and its cost above 0, in any unit."""

CutSegments = Callable[[Params], Sequence[Sequence[SegmentCost]]]
"""Cuts the stages of a schedule into segments."""


def equal_segments(num_stages: int) -> CutSegments:
    """Make a function that takes every stage as one segment of equal cost."""

    def segments(params: Params) -> Sequence[Sequence[SegmentCost]]:
        return [[(block, 1.0 / num_stages)] for block in blocks_of(params, num_stages)]

    return segments


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingCost:
    """Cost of the missing part of a schedule.

    Attributes:
        missing: Cost of the missing segments.
        is_coming: Whether a trial in flight is producing the first of them.
        stage: Stage of the first of them; the number of stages if none is missing.
    """

    missing: float
    is_coming: bool
    stage: int


class PrefixCosts:
    """Costs of schedules given which segments after which prefixes are trained or being trained."""

    def __init__(self, segments: CutSegments, num_stages: int) -> None:
        """Start with nothing trained."""
        self._cut = segments
        self._num_stages = num_stages
        self._numbers: dict[tuple[int, Hashable], int] = {}
        self._known: dict[Prefix, Sequence[Sequence[SegmentCost]]] = {}
        self._read: set[int] = set()
        self._done: set[int] = set()
        self._coming: set[int] = set()

    def read(self, history: History) -> None:
        """Update from the trials of a study."""
        self._coming = set()
        for one in history.trials:
            if one.number in self._read:
                continue
            if not one.is_running:
                self._read.add(one.number)
            reached = max(one.boundaries, default=-1)
            numbers = self._numbered(self.segments(one.blocks, one.params)[: one.last_stage(self._num_stages) + 1])
            self._done.update(number for stage in numbers[: reached + 1] for number in stage)
            if one.is_running:
                self._coming.update(number for stage in numbers for number in stage)

    def segments(self, blocks: Prefix, params: Params) -> Sequence[Sequence[SegmentCost]]:
        """Cut a schedule into segments, once."""
        if blocks not in self._known:
            self._known[blocks] = self._cut(params)
        return self._known[blocks]

    def stage_costs(self, blocks: Prefix, params: Params) -> Sequence[float]:
        """Cost of each stage of a schedule."""
        return [sum(cost for _, cost in stage) for stage in self.segments(blocks, params)]

    def cost(self, blocks: Prefix, params: Params) -> MissingCost:
        """Cost of the missing part of a schedule."""
        before: int | None = -1
        missing, is_coming, first = 0.0, False, self._num_stages
        for stage, own in enumerate(self._known.get(blocks) or self._cut(params)):
            for identity, cost in own:
                number = None if before is None else self._numbers.get((before, identity))
                if number is not None and number in self._done and not missing:
                    before = number
                    continue
                first = min(first, stage)
                is_coming = is_coming or (not missing and number is not None and number in self._coming)
                missing += cost
                before = None
        return MissingCost(missing=missing, is_coming=is_coming, stage=first)

    def _numbered(self, stages: Sequence[Sequence[SegmentCost]]) -> list[list[int]]:
        before, found = -1, []
        for stage in stages:
            row = []
            for identity, _ in stage:
                before = self._numbers.setdefault((before, identity), len(self._numbers))
                row.append(before)
            found.append(row)
        return found
