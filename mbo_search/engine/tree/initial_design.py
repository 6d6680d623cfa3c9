"""Initial design of a tree search: small sweeps of one stage after a given prefix.

Where the best-looking prefix is the best one, sweeping stage after stage finds the best schedule; where it is not,
the sweeps have shown a model the effect of every kind of strategy.
"""

from __future__ import annotations

import numpy as np

from mbo_search.engine.tree.candidates import complete_params
from mbo_search.engine.tree.features import Encoder
from mbo_search.engine.tree.history import History, LeftOut, Params, Prefix, blocks_of, prefix_params, stage_of
from mbo_search.engine.tree.planned_trial import PlannedTrial
from mbo_search.engine.tree.points import Define, stage_points

DRAWS_PER_POINT = 24


def best_prefixes(history: History, stage: int, width: int) -> list[Params]:
    """Find the parameters up to a stage with the lowest losses after it."""
    if stage < 0:
        return [{}]
    found: dict[Prefix, tuple[float, Params]] = {}
    for one in history.trials:
        if stage in one.boundaries:
            found.setdefault(one.blocks[: stage + 1], (one.boundaries[stage], one.params))
    best = sorted(found.values(), key=lambda pair: pair[0])[:width]
    return [prefix_params(params, stage) for _, params in best]


class InitialDesign:
    """Choice of strategies to try in a stage after a prefix.

    Attributes:
        num_stages: Stages of a whole schedule.
        left_out: Tells which of them a schedule leaves out; None: never any.
    """

    def __init__(
        self,
        define: Define,
        *,
        num_stages: int,
        size: int,
        seed: int,
        left_out: LeftOut | None = None,
    ) -> None:
        """Make a design; to leave a stage out needs no trial."""
        self._define = define
        self.num_stages = num_stages
        self._size = size
        self._seed = seed
        self.left_out = left_out
        self._designs: dict[tuple[Prefix, int], list[Params]] = {}

    def points(self, base: Params, stage: int) -> list[Params]:
        """Schedules that represent all ways to train a stage after a prefix; all of them, where they are few."""
        key = (blocks_of(base, self.num_stages), stage)
        if key not in self._designs:
            self._designs[key] = self._design(base, stage)
        return self._designs[key]

    def is_exhaustive(self, base: Params, stage: int) -> bool:
        """Whether the points are all ways to train a stage."""
        return stage_points(self._define, base, stage, self._size) is not None

    def left(self, history: History, base: Params, stage: int) -> list[PlannedTrial]:
        """Points that are neither trained nor being trained."""
        known = {one.blocks[: stage + 1] for one in history.trials if one.last_stage(self.num_stages) >= stage}
        stop_after = None if stage == self.num_stages - 1 else stage
        return [
            PlannedTrial(params=params, stop_after=stop_after)
            for params in self.points(base, stage)
            if blocks_of(params, self.num_stages)[: stage + 1] not in known
        ]

    def _design(self, base: Params, stage: int) -> list[Params]:
        """Choose points greedily so that all others are near a chosen one: middles, never corners."""
        rng = np.random.default_rng([self._seed, stage])
        listed = stage_points(self._define, base, stage, self._size * DRAWS_PER_POINT)
        pool = self._trained(self._drawn(base, stage, rng) if listed is None else listed, stage)
        if not pool:
            return []
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

    def _trained(self, pool: list[Params], stage: int) -> list[Params]:
        if self.left_out is None:
            return pool
        return [params for params in pool if stage not in self.left_out(blocks_of(params, self.num_stages))]

    def _drawn(self, base: Params, stage: int, rng: np.random.Generator) -> list[Params]:
        distinct: dict[Prefix, Params] = {}
        for _ in range(self._size * DRAWS_PER_POINT):
            params = complete_params(self._define, rng, base, {})
            distinct.setdefault(blocks_of(params, self.num_stages)[: stage + 1], params)
        return list(distinct.values())
