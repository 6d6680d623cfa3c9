"""Grid segments of a study's schedules, told apart without building the schedules."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from mbo_search.engine.searcher.suggest import FixedSuggest
from mbo_search.engine.tree.history import TrainedStages
from mbo_search.study.space.parameters import Value
from mbo_search.study.space.space import Space, chosen_stages, share_reader

_SegmentCost = tuple[Hashable, float]

MOST_CACHED = 4096
"""Settings of a stage whose segments are cached: candidates of one search differ in few stages."""

_NOT_OF_STRATEGY = ("share", "hand_over", "warmup", "rewarm")

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
    if space.has_routes:
        return functools.partial(_route_segments, space)
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


def trained_stages(space: Space) -> TrainedStages | None:
    """Make a function that tells which stages a point of a space trains; None where that is always all."""
    if not space.optional_stages:
        return None

    def trained(values: Mapping[str, Value]) -> tuple[int, ...]:
        return tuple(chosen.index for chosen in chosen_stages(space, FixedSuggest(dict(values))))

    return trained


def _by_stage(values: Mapping[str, Value], num_stages: int) -> Sequence[tuple[tuple[str, Value], ...]]:
    """Values of each stage, by name without the stage."""
    found: list[list[tuple[str, Value]]] = [[] for _ in range(num_stages)]
    for name, value in values.items():
        _, index, own = name.split("/", 2)
        found[int(index)].append((own, value))
    return [tuple(pairs) for pairs in found]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A stage as far as later ones may continue it.

    Attributes:
        strategy: What it trains with, the line of its learning rate aside.
        shape: Its learning-rate shape.
        line: Settings of the shape.
        beginning: How it began; that of the stage before where it continues that one.
    """

    strategy: frozenset[tuple[str, Value]]
    shape: str
    line: frozenset[tuple[str, Value]]
    beginning: Hashable


def _route_segments(space: Space, values: Mapping[str, Value]) -> Sequence[Sequence[_SegmentCost]]:
    """Cut a point of a space in which stages may be left out.

    There one schedule can be written in several ways: with the stage before left out, or with two stages that train
    alike. So segments are told apart by what they train, in whichever stage.
    """
    found: list[Sequence[_SegmentCost]] = [[] for _ in space.stages]
    before: _Part | None = None
    cost = 1 / space.budget.num_segments
    for chosen in chosen_stages(space, FixedSuggest(dict(values))):
        # some of the further settings begin anew with their stage
        may_continue = not space.stages[chosen.index].dimensions
        before = _part(chosen.values, before, may_continue=may_continue)
        free = _free_segments(before.shape, chosen.values, chosen.num_segments, cost)
        whole = (before, chosen.num_segments)
        trunk = (before.strategy, before.shape == "inv_sqrt", before.beginning)
        found[chosen.index] = [(trunk if number < free else whole, cost) for number in range(chosen.num_segments)]
    return found


def _part(values: Mapping[str, Value], before: _Part | None, *, may_continue: bool) -> _Part:
    own = {name: value for name, value in values.items() if not name.startswith(_NOT_OF_STRATEGY)}
    shape = str(own.pop("lr_shape", "constant"))
    line = frozenset((name, own.pop(name)) for name in [*own] if name.startswith(f"{shape}/"))
    strategy = frozenset(own.items())
    beginning: Hashable = ("start", values.get("warmup") or 0.0)
    if before is not None:
        hand_over, rewarm = values.get("hand_over"), values.get("rewarm")
        is_alike = hand_over == "carry" and not rewarm and strategy == before.strategy
        continues = may_continue and is_alike and before.shape == "constant" and shape != "inv_sqrt"
        beginning = before.beginning if continues else (hand_over, rewarm)
    return _Part(strategy=strategy, shape=shape, line=line, beginning=beginning)


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
