"""The order in which sources get their turns, so that their shares are met at every point of a stretch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


class Deal:
    """Turns of several sources: after any number of them, each has had its share to within one turn.

    Turn t goes to the source that would be the first to fall a whole turn behind, among those to which a part of a
    turn is due (Tijdeman's rule of the chairman assignment). Numbers are whole, so the turns are the same
    everywhere.

    Args:
        weights: The part of the turns that each source gets, in any unit; at least one is above 0.

    >>> sources, ranks = Deal([7, 3]).turns(10)
    >>> sources.tolist(), ranks.tolist()
    ([0, 1, 0, 0, 0, 1, 0, 0, 1, 0], [0, 0, 1, 2, 3, 1, 4, 5, 2, 6])
    """

    def __init__(self, weights: Sequence[int]) -> None:
        assert min(weights) >= 0
        assert sum(weights) > 0
        self._num_sources = len(weights)
        self._next = _turns(weights)
        self._turns = np.empty((0, 2), dtype=np.int64)

    def turns(self, num_turns: int) -> tuple[Integers, Integers]:
        """The first turns: the number of the source of each, and how many that source had before."""
        missing = num_turns - len(self._turns)
        if missing > 0:
            wanted = max(missing, len(self._turns))  # in growing pieces, however it is asked
            new = np.array(list(itertools.islice(self._next, wanted)), dtype=np.int64)
            self._turns = np.concatenate([self._turns, new])
        return self._turns[:num_turns, 0], self._turns[:num_turns, 1]

    def counts(self, num_turns: int) -> Integers:
        """Turns of each source among the first ones."""
        return np.bincount(self.turns(num_turns)[0], minlength=self._num_sources).astype(np.int64)


def _turns(weights: Sequence[int]) -> Iterator[tuple[int, int]]:
    own = [number for number, weight in enumerate(weights) if weight > 0]
    total, part = sum(weights), max(1, 2 * len(own) - 2)
    due = dict.fromkeys(own, 0)  # share of the turns so far less the turns had, times the total
    had = dict.fromkeys(own, 0)
    while True:
        for number in own:
            due[number] += weights[number]
        ready = (number for number in own if part * due[number] >= total)
        chosen = min(ready, key=lambda number: ((part - 1) * total - part * due[number]) / weights[number])
        yield chosen, had[chosen]
        due[chosen] -= total
        had[chosen] += 1
