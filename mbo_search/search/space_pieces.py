"""The grid segments of a study's schedules as pieces that a searcher tells apart without building schedules."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

from mbo_search.study.parameters import Value
from mbo_search.study.space import Space, share_reader

__all__ = ["space_pieces"]

_FREE_OF_LENGTH = frozenset({"constant", "inv_sqrt"})
"""Shapes that train alike in a longer stage."""


def space_pieces(space: Space) -> Callable[[Mapping[str, Value]], Sequence[Sequence[tuple[Hashable, float]]]]:
    """A function that cuts a point of a space into grid segments.

    Segments whose learning rate does not depend on the length of their stage are told apart by the stage's other
    settings alone, so that schedules share them. The stable part of a `wsd` stage is one of them.

    Args:
        space: The space.

    Returns:
        Takes the values chosen, by parameter name; gives the segments of each stage: what tells them apart, and
        their share of the budget.
    """
    shares = share_reader(space)
    fixed = {parameter.name: parameter.choices[0] for parameter in space.declared if parameter.is_fixed}
    segments = space.budget.num_segments

    def pieces(values: Mapping[str, Value]) -> Sequence[Sequence[tuple[Hashable, float]]]:
        found = {**fixed, **values}
        return [
            _stage_pieces(found, index, round(share * segments), 1 / segments)
            for index, share in enumerate(shares(values))
        ]

    return pieces


def _stage_pieces(
    values: Mapping[str, Value], index: int, count: int, cost: float
) -> Sequence[tuple[Hashable, float]]:
    at = f"stage/{index}/"
    chosen = {name.removeprefix(at): value for name, value in values.items() if name.startswith(at)}
    shape = str(chosen.get("lr_shape", "constant"))
    free = _free_segments(shape, chosen, count)
    whole = (frozenset(chosen.items()), count)
    others = (pair for pair in chosen.items() if not pair[0].startswith(("share", "lr_shape", "wsd/")))
    trunk = (frozenset(others), "inv_sqrt" if shape == "inv_sqrt" else "flat")
    return [(trunk if number < free else whole, cost) for number in range(count)]


def _free_segments(shape: str, chosen: Mapping[str, Value], count: int) -> int:
    """Leading segments of a stage that do not depend on its length."""
    if shape in _FREE_OF_LENGTH:
        return count
    if shape == "wsd":
        decay = chosen.get("wsd/decay")
        return 0 if decay is None else int(count * (1 - float(decay)) + 1e-9)
    return 0
