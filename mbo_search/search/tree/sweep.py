"""How the search begins: a small sweep of every stage along the best boundary, as a greedy search would.

Where the best-looking beginning is the best one, this alone finds the best schedule; where it is not, the sweep has
shown the model what every kind of strategy does.
"""

from __future__ import annotations

import numpy as np

from mbo_search.search.tree.candidates import Define, complete_params
from mbo_search.search.tree.features import Encoder
from mbo_search.search.tree.history import History, Params, beginning, stage_of

__all__ = ["Probe", "next_probe"]

DRAWS_PER_POINT = 24


class Probe:
    """A schedule to train up to and with a stage.

    Attributes:
        params: The whole schedule; later stages are drawn at random and not trained.
        stage: The last stage to train.
    """

    def __init__(self, params: Params, stage: int) -> None:
        self.params = params
        self.stage = stage


def next_probe(history: History, define: Define, *, size: int, seed: int) -> Probe | None:
    """The next point of the sweep; None when it is done, or when nothing has finished to go on from.

    Args:
        history: What is known.
        define: The space.
        size: Points a stage.
        seed: Seed of the points.
    """
    for stage in range(history.num_stages):
        base = _best_beginning(history, stage - 1)
        if base is None:
            return None
        design = _design(define, base, stage, size=size, seed=seed)
        done = _num_probes(history, stage)
        if done >= len(design):
            continue
        known = _known_points(history, base, stage)
        left = [params for params in design if _block(params, stage) not in known]
        if left:
            return Probe(left[0], stage)
    return None


def _best_beginning(history: History, stage: int) -> Params | None:
    """Parameters up to the stage with the lowest loss behind it; empty before the first stage."""
    if stage < 0:
        return {}
    reached = [one for one in history.seen if stage in one.boundaries]
    if not reached:
        return None
    best = min(reached, key=lambda one: one.boundaries[stage])
    return dict(beginning(best.params, stage))


def _num_probes(history: History, stage: int) -> int:
    """Trials that were to end behind a stage; for the last stage, all whole schedules."""
    wanted = None if stage == history.num_stages - 1 else stage
    return sum(one.stop_after == wanted for one in history.seen)


def _known_points(history: History, base: Params, stage: int) -> set[frozenset[tuple[str, str | float | int]]]:
    before = frozenset(base.items())
    return {
        _block(one.params, stage)
        for one in history.seen
        if one.last_stage(history.num_stages) >= stage and beginning(one.params, stage - 1) == before
    }


def _block(params: Params, stage: int) -> frozenset[tuple[str, str | float | int]]:
    return frozenset((name, value) for name, value in params.items() if stage_of(name) == stage)


def _design(define: Define, base: Params, stage: int, *, size: int, seed: int) -> list[Params]:
    """Points of a stage, far from each other: each next one has the largest distance to those before."""
    rng = np.random.default_rng([seed, stage])
    distinct: dict[frozenset[tuple[str, str | float | int]], Params] = {}
    for _ in range(size * DRAWS_PER_POINT):
        params = complete_params(define, rng, base, {})
        distinct.setdefault(_block(params, stage), params)
    pool = list(distinct.values())
    encoded = Encoder(pool).encode([{n: v for n, v in p.items() if stage_of(n) == stage} for p in pool])
    chosen = [0]
    distance = np.full(len(pool), np.inf)
    while len(chosen) < min(size, len(pool)):
        distance = np.minimum(distance, np.abs(encoded - encoded[chosen[-1]]).sum(axis=1))
        chosen.append(int(distance.argmax()))
    return [pool[index] for index in chosen]
