"""Grid segments of a study's schedules, told apart without building the schedules."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Mapping, Sequence

from mbo_search.study.space.parameters import Value
from mbo_search.study.space.space import Space, share_reader

_SegmentCost = tuple[Hashable, float]

MOST_CACHED = 4096
"""Settings of a stage whose segments are cached: candidates of one search differ in few stages."""

_FREE_OF_LENGTH = frozenset({"constant", "inv_sqrt"})
"""Shapes that train in the same way in a longer stage."""


_OF_THE_END = ("share", "lr_shape", "wsd/", "average/")
"""Settings of a stage that only tell how long it is and how it ends."""


def space_segments(space: Space) -> Callable[[Mapping[str, Value]], Sequence[Sequence[_SegmentCost]]]:
    """Make a function that cuts a point of a space into grid segments.

    Segments whose learning rate does not depend on the length of their stage are told apart by the stage's other
    settings alone, so that schedules share them. So it is with the stable part of a `wsd` stage, and with an
    `average` stage up to where its mean begins.
    """
    shares, num_segments = share_reader(space), space.budget.num_segments
    fixed = _by_stage({one.name: one.choices[0] for one in space.declared if one.is_fixed}, len(space.stages))

    @functools.lru_cache(maxsize=MOST_CACHED)
    def stage_segments(index: int, count: int, chosen: tuple[tuple[str, Value], ...]) -> Sequence[_SegmentCost]:
        return _stage_segments({**dict(fixed[index]), **dict(chosen)}, count, 1 / num_segments)

    def segments(values: Mapping[str, Value]) -> Sequence[Sequence[_SegmentCost]]:
        chosen = _by_stage(values, len(space.stages))
        return [
            stage_segments(index, round(share * num_segments), chosen[index])
            for index, share in enumerate(shares(values))
        ]

    return segments


def _by_stage(values: Mapping[str, Value], num_stages: int) -> Sequence[tuple[tuple[str, Value], ...]]:
    """Values of each stage, by name without the stage."""
    found: list[list[tuple[str, Value]]] = [[] for _ in range(num_stages)]
    for name, value in values.items():
        _, index, own = name.split("/", 2)
        found[int(index)].append((own, value))
    return [tuple(pairs) for pairs in found]


def _stage_segments(chosen: Mapping[str, Value], count: int, cost: float) -> Sequence[_SegmentCost]:
    shape = str(chosen.get("lr_shape", "constant"))
    free = _free_segments(shape, chosen, count, cost)
    whole = (frozenset(chosen.items()), count)
    others = (pair for pair in chosen.items() if not pair[0].startswith(_OF_THE_END))
    trunk = (frozenset(others), "inv_sqrt" if shape == "inv_sqrt" else "flat")
    return [(trunk if number < free else whole, cost) for number in range(count)]


def _free_segments(shape: str, chosen: Mapping[str, Value], count: int, share: float) -> int:
    """Leading segments of a stage that do not depend on its length."""
    if shape in _FREE_OF_LENGTH:
        return count
    if shape == "wsd":
        decay = chosen.get("wsd/decay")
        return 0 if decay is None else int(count * (1 - float(decay)) + 1e-9)
    if shape == "average":
        span = chosen.get("average/span")
        return 0 if span is None else max(0, int(count - float(span) / share + 1e-9))
    return 0
