"""A sampler of Optuna's as a searcher."""

from __future__ import annotations

from collections.abc import Callable

import optuna
from optuna.samplers import BaseSampler

from mbo_search.engine.searcher.staged_space import StagedSpace


def make_evolution(space: StagedSpace) -> Callable[[int, float], BaseSampler]:
    """Make a sampler for each proposal from its seed, so that a resumed search proposes the same."""
    return lambda seed, spent: optuna.samplers.NSGAIISampler(population_size=4, seed=seed)
