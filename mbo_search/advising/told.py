"""What the trials of some studies tell about a space: the points that were trained, and how well each ended."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mbo_search.results.records.records import Params
from mbo_search.study.space.parameters import Parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldTrial:
    """A point of the space that was trained to the end.

    Attributes:
        study: Name of the run directory that it comes from.
        trial: Its number there.
        seed: The seed that it was trained with.
        params: Its values, by parameter.
        behind: How much worse than the best comparable trial it ended; 0 for that one.
        combination: Number that trials have in common exactly if they made all choices alike; ranges aside.
    """

    study: str
    trial: int
    seed: int
    params: Params
    behind: float
    combination: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """Difference of two trials of one seed below which neither counts as better.

    Attributes:
        size: The difference.
        num_seeds: Fresh seeds that the noise was measured on; 0: it was not, and the smallest gain worth having
            stands in for it.
        studies: Names of the run directories that it was measured in.
    """

    size: float
    num_seeds: int = 0
    studies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """All evidence for the space of one study.

    Attributes:
        trials: Points of the space that were trained, best first.
        space: What the study searches.
        margin: What noise can explain.
        unit: Unit of all differences: `nats`, or the name of a metric.
    """

    trials: tuple[ToldTrial, ...]
    space: tuple[Parameter, ...]
    margin: Margin
    unit: str = "nats"

    def having(self, parameter: str) -> tuple[ToldTrial, ...]:
        """The trials that chose a parameter, best first."""
        return tuple(trial for trial in self.trials if parameter in trial.params)


def luck_of_rank(rank: int, num_tried: int, num_all: int) -> float:
    """Chance that the best of some trials, drawn blindly from all, has a rank so low or a lower one.

    >>> luck_of_rank(1, 3, 9), round(luck_of_rank(4, 3, 9), 3), luck_of_rank(8, 3, 9)
    (1.0, 0.238, 0.0)
    """
    return math.comb(num_all - rank + 1, num_tried) / math.comb(num_all, num_tried)


def best_first(trials: Sequence[ToldTrial], space: Sequence[Parameter]) -> tuple[ToldTrial, ...]:
    """Trials in the order of their worth, with the numbers of their combinations."""
    choices = [parameter.name for parameter in space if parameter.choices]
    numbers: dict[tuple[object, ...], int] = {}
    found = [
        replace(one, combination=numbers.setdefault(tuple(map(one.params.get, choices)), len(numbers)))
        for one in trials
    ]
    return tuple(sorted(found, key=lambda one: (one.behind, one.study, one.trial)))
