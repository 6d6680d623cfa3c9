"""Every searcher by its name, made for a space."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from optuna.samplers import BaseSampler

from mbo_search.engine.searcher.optuna_searcher import SamplerMaker, sampler_maker
from mbo_search.engine.searcher.samplers import SAMPLERS
from mbo_search.engine.tree.beam import BEAM_POINTS, beam_sampler
from mbo_search.engine.tree.grid import grid_points, grid_sampler
from mbo_search.engine.tree.initial_design import InitialDesign
from mbo_search.engine.tree.planned_sampler import PlannedSampler
from mbo_search.engine.tree.planner import tree_sampler
from mbo_search.engine.tree.planner_state import PlannerState, TreeSettings, sweep_size
from mbo_search.engine.tree.points import Define
from mbo_search.engine.tree.prefix_cost import Pieces

BEAM_WIDTHS: Mapping[str, int] = MappingProxyType({"greedy": 1, "beam2": 2, "beam4": 4})
"""Boundaries that the stage-by-stage searchers go on from."""

STAGED_SEARCHERS = ("tree", *BEAM_WIDTHS, "grid")
"""Searchers of ours, which know of stages and begin in their own way."""

SEARCHERS = (*STAGED_SEARCHERS, *SAMPLERS)
"""Names that `searcher_maker` knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedSpace:
    """A space as a searcher sees it.

    Attributes:
        define: Asks for every parameter of a schedule, stage after stage.
        num_stages: Stages of a whole schedule.
        schedules: Whole schedules that the search may train; None: no limit.
        pieces: Cuts a schedule into pieces that others may share; None: whole stages of equal cost.
        seed: Seed of the order in which the strategies of a stage are tried.
    """

    define: Define
    num_stages: int
    schedules: float | None = None
    pieces: Pieces | None = None
    seed: int = 0


def searcher_maker(name: str, space: StagedSpace) -> SamplerMaker:
    """Make the samplers of a searcher; they share what can be kept from one proposal to the next.

    Raises:
        StudyError: If the searcher cannot search the space.
    """
    if name == "tree":
        settings = TreeSettings(num_stages=space.num_stages, sweep_size=sweep_size(space.schedules))
        return _tree(space.define, PlannerState(space.define, settings, space.pieces, seed=space.seed))
    if name in BEAM_WIDTHS:
        return _beam(space, BEAM_WIDTHS[name])
    if name == "grid":
        points = grid_points(space.define, space.num_stages)
        return lambda seed, spent: grid_sampler(points, num_stages=space.num_stages, seed=seed)
    return sampler_maker(name, space.schedules)


GivenSearcher = BaseSampler | Callable[[int], BaseSampler]
"""A sampler that was passed in, or a function that makes one from a seed."""


def given_sampler_maker(given: GivenSearcher) -> SamplerMaker:
    """Use a sampler that was passed in for every proposal; a function makes a fresh one for each."""
    return lambda seed, spent: given if isinstance(given, BaseSampler) else given(seed)


def _beam(space: StagedSpace, width: int) -> SamplerMaker:
    sweeper = InitialDesign(space.define, num_stages=space.num_stages, size=BEAM_POINTS, seed=space.seed)
    return lambda seed, spent: beam_sampler(space.define, sweeper, width=width, seed=seed)


def _tree(define: Define, memory: PlannerState) -> SamplerMaker:
    def make(seed: int, spent: float) -> PlannedSampler:
        return tree_sampler(define, memory.settings, seed=seed, spent=lambda: spent, memory=memory)

    return make
