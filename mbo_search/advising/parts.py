"""The parts of a searched setting, its choices or the thirds of its range, and what the trials say of each.

A part is behind if two things hold. The best of its trials ended further behind the best trial of all than noise
explains. And if the part were as good as the others, the best of so many draws would seldom rank so low: a part
that was hardly tried is never behind. A search tries many numbers around what is best, so trials that made all
choices alike are one draw, of which the best counts.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from mbo_search.advising.told import Told, ToldTrial, luck_of_rank
from mbo_search.study.space.parameters import Parameter, Value

LEVEL = 0.1
"""Chance of a part that is as good as the others to be called behind all the same."""

FEWEST_DRAWS = 2
"""One trial may have died of anything."""

NUM_THIRDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PartEvidence:
    """A part of a setting and its trials.

    Attributes:
        parameter: The setting.
        place: Position of the part: of the choice among the choices, of the third in the range.
        choice: The choice; None for a third.
        trials: The trials that used it, best first.
        num_all: Trials that chose the setting at all.
        num_draws: Different combinations of choices among those.
        own_draws: How many of these used it.
        rank: Rank of its best combination, from 1.
        luck: Chance of such a rank if it were as good as the others.
    """

    parameter: Parameter
    place: int
    choice: Value | None
    trials: tuple[ToldTrial, ...]
    num_all: int
    num_draws: int
    own_draws: int
    rank: int
    luck: float

    @property
    def behind(self) -> float:
        """How far its best trial ended behind the best of all that chose the setting."""
        return self.trials[0].behind


def parts_of_setting(told: Told, parameter: Parameter) -> tuple[PartEvidence, ...]:
    """The parts of a setting that were tried, in their order."""
    trials = told.having(parameter.name)
    draws = [place for _, place in dict.fromkeys((one.combination, _place(parameter, one)) for one in trials)]
    found: list[PartEvidence] = []
    for place in sorted(set(draws) - {-1}):
        ranks = [rank for rank, own in enumerate(draws, start=1) if own == place]
        found.append(
            PartEvidence(
                parameter=parameter,
                place=place,
                choice=parameter.choices[place] if parameter.choices else None,
                trials=tuple(one for one in trials if _place(parameter, one) == place),
                num_all=len(trials),
                num_draws=len(draws),
                own_draws=len(ranks),
                rank=ranks[0],
                luck=luck_of_rank(ranks[0], len(ranks), len(draws)),
            )
        )
    return tuple(found)


def _place(parameter: Parameter, trial: ToldTrial) -> int:
    return place_of(parameter, trial.params[parameter.name])


def parts_behind(told: Told, parameter: Parameter, gone: Collection[int] = ()) -> tuple[PartEvidence, ...]:
    """The parts that can be left out: of a range only its ends, and never all.

    Args:
        told: The evidence.
        parameter: The setting.
        gone: Positions of parts that are left out already.
    """
    parts = parts_of_setting(told, parameter)
    if len(parts) < 2:
        return ()
    best = min(one.behind for one in parts)
    behind = [one for one in parts if _is_unlikely(one) and one.behind - best > told.margin.size]
    return tuple(behind if parameter.choices else _ends(behind, gone))


def _is_unlikely(part: PartEvidence) -> bool:
    return part.own_draws >= FEWEST_DRAWS and part.luck <= LEVEL


def _ends(behind: Sequence[PartEvidence], gone: Collection[int]) -> list[PartEvidence]:
    """Thirds that are an end of what remains of a range."""
    places = {*gone, *(one.place for one in behind)}
    return [
        one for one in behind if set(range(one.place)) <= places or set(range(one.place + 1, NUM_THIRDS)) <= places
    ]


def place_of(parameter: Parameter, value: Value) -> int:
    """Position of the part that a value belongs to; -1 if the setting does not offer it."""
    if parameter.choices:
        return parameter.choices.index(value) if value in parameter.choices else -1
    return min(NUM_THIRDS - 1, max(0, int(NUM_THIRDS * position(parameter, float(value)))))


def position(parameter: Parameter, number: float) -> float:
    """Position of a number in its range, from 0 to 1, on the scale on which it is searched.

    >>> round(position(Parameter(name="lr", low=0.25, high=4.0, log=True), 1.0), 3)
    0.5
    """
    low, high = parameter.low, parameter.high
    if parameter.log and low > 0:
        return math.log(number / low) / math.log(high / low)
    return (number - low) / (high - low)


def at_position(parameter: Parameter, share: float) -> float:
    """The number at a position: the inverse of `position`."""
    low, high = parameter.low, parameter.high
    return low * (high / low) ** share if parameter.log and low > 0 else low + (high - low) * share
