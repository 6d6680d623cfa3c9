"""What is still to be trained of a schedule: equal pieces of stages are shared behind equal ways.

Without further knowledge a stage is one piece. Where training does not depend on the stage's length, such as under
a constant learning rate, a stage has several: a longer stage goes through the ends of the shorter ones, and many
cooldowns can branch off one trunk.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from mbo_search.engine.tree.history import Beginning, History, Params, blocks_of

Piece = tuple[Hashable, float]
"""What a stretch of training depends on, besides all that lies before it; and its cost, above 0, in any unit."""

Pieces = Callable[[Params], Sequence[Sequence[Piece]]]
"""The pieces of each stage of a schedule."""


def equal_pieces(num_stages: int) -> Pieces:
    """Every stage is one piece, and all cost the same."""

    def pieces(params: Params) -> Sequence[Sequence[Piece]]:
        return [[(block, 1.0 / num_stages)] for block in blocks_of(params, num_stages)]

    return pieces


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentCosts:
    """What a schedule has still to be trained of.

    Attributes:
        missing: Cost of its missing pieces.
        is_coming: Whether a trial in flight is producing the first of them.
    """

    missing: float
    is_coming: bool


class PrefixCosts:
    """Numbers every piece behind every way that was trained, and remembers which are done and which are coming."""

    def __init__(self, pieces: Pieces, num_stages: int) -> None:
        """Begin without any."""
        self._pieces = pieces
        self._num_stages = num_stages
        self._numbers: dict[tuple[int, Hashable], int] = {}
        self._known: dict[Beginning, Sequence[Sequence[Piece]]] = {}
        self._read: set[int] = set()
        self._done: set[int] = set()
        self._coming: set[int] = set()

    def read(self, history: History) -> None:
        """Learn what is trained and in flight."""
        self._coming = set()
        for one in history.seen:
            if one.number in self._read:
                continue
            if not one.is_running:
                self._read.add(one.number)
            reached = max(one.boundaries, default=-1)
            numbers = self._numbered(self.pieces(one.blocks, one.params)[: one.last_stage(self._num_stages) + 1])
            self._done.update(number for stage in numbers[: reached + 1] for number in stage)
            if one.is_running:
                self._coming.update(number for stage in numbers for number in stage)

    def pieces(self, blocks: Beginning, params: Params) -> Sequence[Sequence[Piece]]:
        """The pieces of a schedule that is to be asked for again."""
        if blocks not in self._known:
            self._known[blocks] = self._pieces(params)
        return self._known[blocks]

    def stage_costs(self, blocks: Beginning, params: Params) -> Sequence[float]:
        """Cost of each stage of a schedule."""
        return [sum(cost for _, cost in stage) for stage in self.pieces(blocks, params)]

    def cost(self, blocks: Beginning, params: Params) -> SegmentCosts:
        """What a schedule lacks."""
        before: int | None = -1
        missing, is_coming = 0.0, False
        for stage in self._known.get(blocks) or self._pieces(params):
            for identity, cost in stage:
                number = None if before is None else self._numbers.get((before, identity))
                if number is not None and number in self._done and not missing:
                    before = number
                    continue
                is_coming = is_coming or (not missing and number is not None and number in self._coming)
                missing += cost
                before = None
        return SegmentCosts(missing=missing, is_coming=is_coming)

    def _numbered(self, stages: Sequence[Sequence[Piece]]) -> list[list[int]]:
        before, found = -1, []
        for stage in stages:
            row = []
            for identity, _ in stage:
                before = self._numbers.setdefault((before, identity), len(self._numbers))
                row.append(before)
            found.append(row)
        return found
