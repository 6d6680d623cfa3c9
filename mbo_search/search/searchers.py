"""Every searcher by its name, made for a space."""

from __future__ import annotations

from mbo_search.search.optuna_arm import SamplerMaker, sampler_maker
from mbo_search.search.samplers import SAMPLERS
from mbo_search.search.tree.beam import BEAM_POINTS, beam_sampler
from mbo_search.search.tree.grid import grid_points, grid_sampler
from mbo_search.search.tree.planned import PlannedSampler
from mbo_search.search.tree.points import Define
from mbo_search.search.tree.sampler import StageCosts, TreeMemory, TreeSettings, sweep_size, tree_sampler
from mbo_search.search.tree.sweep import Sweeper

__all__ = ["BEAM_WIDTHS", "SEARCHERS", "searcher_maker"]

BEAM_WIDTHS = {"greedy": 1, "beam": 2, "beam2": 2, "beam4": 4}
"""Boundaries that the stage-by-stage searchers go on from."""

SEARCHERS = ("tree", *sorted(SAMPLERS), *BEAM_WIDTHS, "grid")
"""Names that `searcher_maker` knows."""


def searcher_maker(
    name: str, define: Define, *, num_stages: int, schedules: float | None, costs: StageCosts | None, seed: int
) -> SamplerMaker:
    """Make the samplers of a searcher; they share what can be kept from one proposal to the next.

    Args:
        name: One of `SEARCHERS`.
        define: The space.
        num_stages: Stages of a whole schedule.
        schedules: Whole schedules that the search may train; None: no limit.
        costs: Cost of each stage of a schedule; None: equal.
        seed: Seed of the order in which the strategies of a stage are tried.

    Raises:
        StudyError: If the searcher cannot search the space.
    """
    if name == "tree":
        settings = TreeSettings(num_stages=num_stages, sweep_size=sweep_size(schedules))
        return _tree(define, TreeMemory(define, settings, costs, seed=seed))
    if name in BEAM_WIDTHS:
        return _beam(define, num_stages, BEAM_WIDTHS[name], seed)
    if name == "grid":
        points = grid_points(define, num_stages)
        return lambda seed, spent: grid_sampler(points, num_stages=num_stages, seed=seed)
    return sampler_maker(name)


def _beam(define: Define, num_stages: int, width: int, sweep_seed: int) -> SamplerMaker:
    sweeper = Sweeper(define, num_stages=num_stages, size=BEAM_POINTS, seed=sweep_seed)
    return lambda seed, spent: beam_sampler(define, sweeper, width=width, seed=seed)


def _tree(define: Define, memory: TreeMemory) -> SamplerMaker:
    def make(seed: int, spent: float) -> PlannedSampler:
        return tree_sampler(define, memory.settings, seed=seed, spent=lambda: spent, memory=memory)

    return make
