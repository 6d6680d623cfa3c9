"""Small sweeps of one stage behind a given beginning, and how a tree search begins with them.

Where the best-looking beginning is the best one, sweeping stage after stage finds the best schedule; where it is
not, the sweeps have shown a model what every kind of strategy does.
"""

from __future__ import annotations

import numpy as np

from mbo_search.engine.tree.candidates import complete_params
from mbo_search.engine.tree.features import Encoder
from mbo_search.engine.tree.history import Beginning, History, Params, beginning, blocks_of, stage_of
from mbo_search.engine.tree.planned_trial import PlannedTrial
from mbo_search.engine.tree.points import Define, stage_points

DRAWS_PER_POINT = 24


def best_beginnings(history: History, stage: int, width: int) -> list[Params]:
    """Parameters up to a stage with the lowest losses behind it."""
    if stage < 0:
        return [{}]
    found: dict[Beginning, tuple[float, Params]] = {}
    for one in history.seen:
        if stage in one.boundaries:
            found.setdefault(one.blocks[: stage + 1], (one.boundaries[stage], one.params))
    best = sorted(found.values(), key=lambda pair: pair[0])[:width]
    return [beginning(params, stage) for _, params in best]


class InitialDesign:
    """Knows which strategies of a stage to try behind a beginning.

    Attributes:
        num_stages: Stages of a whole schedule.
    """

    def __init__(self, define: Define, *, num_stages: int, size: int, seed: int) -> None:
        """Make a sweeper."""
        self._define = define
        self.num_stages = num_stages
        self._size = size
        self._seed = seed
        self._designs: dict[tuple[Beginning, int], list[Params]] = {}

    def points(self, base: Params, stage: int) -> list[Params]:
        """Whole schedules that stand for all ways to train a stage behind a beginning; all, where they are few."""
        key = (blocks_of(base, self.num_stages), stage)
        if key not in self._designs:
            self._designs[key] = self._design(base, stage)
        return self._designs[key]

    def is_exhaustive(self, base: Params, stage: int) -> bool:
        """Whether the points are all ways to train a stage."""
        return stage_points(self._define, base, stage, self._size) is not None

    def left(self, history: History, base: Params, stage: int) -> list[PlannedTrial]:
        """The points that nobody has trained or is training."""
        known = {one.blocks[: stage + 1] for one in history.seen if one.last_stage(self.num_stages) >= stage}
        stop_after = None if stage == self.num_stages - 1 else stage
        return [
            PlannedTrial(params=params, stop_after=stop_after)
            for params in self.points(base, stage)
            if blocks_of(params, self.num_stages)[: stage + 1] not in known
        ]

    def _design(self, base: Params, stage: int) -> list[Params]:
        """Each next point is the one that brings all others nearest to a chosen one: middles, never corners."""
        rng = np.random.default_rng([self._seed, stage])
        listed = stage_points(self._define, base, stage, self._size * DRAWS_PER_POINT)
        pool = self._drawn(base, stage, rng) if listed is None else listed
        order = [pool[int(index)] for index in rng.permutation(len(pool))]
        varied = [{name: value for name, value in params.items() if stage_of(name) == stage} for params in order]
        encoded = Encoder(varied).encode(varied)
        apart = np.abs(encoded[:, None] - encoded[None]).sum(axis=2)
        nearest = np.full(len(order), apart.max() + 1.0)
        chosen: list[int] = []
        while len(chosen) < min(self._size, len(order)):
            chosen.append(int(np.minimum(nearest, apart).sum(axis=1).argmin()))
            nearest = np.minimum(nearest, apart[chosen[-1]])
            apart[chosen[-1]] = np.inf
        return [order[index] for index in chosen]

    def _drawn(self, base: Params, stage: int, rng: np.random.Generator) -> list[Params]:
        distinct: dict[Beginning, Params] = {}
        for _ in range(self._size * DRAWS_PER_POINT):
            params = complete_params(self._define, rng, base, {})
            distinct.setdefault(blocks_of(params, self.num_stages)[: stage + 1], params)
        return list(distinct.values())
