"""From a searcher's name to its samplers: searchers that know of stages, and any Optuna sampler."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import cast

from optuna.samplers import BaseSampler

from mbo_search.engine.searcher.planned_sampler import beam_sampler, grid_sampler, tree_sampler
from mbo_search.engine.searcher.staged_space import SamplerMaker, StagedSpace
from mbo_search.engine.tree.beam import BEAM_POINTS
from mbo_search.engine.tree.grid import grid_points
from mbo_search.engine.tree.history import left_out_of
from mbo_search.engine.tree.initial_design import InitialDesign
from mbo_search.engine.tree.planner_state import PlannerState, TreeSettings, initial_design_size
from mbo_search.errors import Problem, StudyError
from mbo_search.extensions import resolve
from mbo_search.study.catalogue.entries import SearcherDefinition
from mbo_search.study.catalogue.searchers import SEARCHERS


def searcher_maker(name: str, space: StagedSpace) -> SamplerMaker:
    """Make the samplers of a searcher; they share what can be kept from one proposal to the next.

    Raises:
        StudyError: If there is no such searcher, or it cannot search the space.
    """
    make = definition_of(name).make
    function = resolve(make) if isinstance(make, str) else make
    return cast(Callable[[StagedSpace], SamplerMaker], function)(space)


def definition_of(name: str) -> SearcherDefinition:
    """Find a searcher.

    Raises:
        StudyError: If it is not known here.
    """
    found = SEARCHERS.get(name)
    if found is None:
        hint = f"known are {', '.join(SEARCHERS)}"
        raise StudyError([Problem(key="search.searcher", value=name, rule="is not known here", hint=hint)])
    return found


GivenSearcher = BaseSampler | Callable[..., BaseSampler]
"""A sampler that was passed in; or its class, or a function, that makes one from a seed."""


def given_sampler_maker(given: GivenSearcher) -> SamplerMaker:
    """Use a sampler that was passed in for every proposal; a class or a function makes a fresh one for each.

    What a class or a function makes follows from the study's seed and the trials, also after `resume`. A sampler
    object is asked as it is: Optuna has no public way to set its seed, so its proposals depend on its own seed and
    on how often it was asked.
    """
    if isinstance(given, BaseSampler):
        return lambda seed, spent: given
    if "seed" in inspect.signature(given).parameters:
        return lambda seed, spent: given(seed=seed)
    return lambda seed, spent: given(seed)


def make_tree(space: StagedSpace) -> SamplerMaker:
    """Weigh the expected gain of schedules against their cost."""
    settings = TreeSettings(
        num_stages=space.num_stages,
        sweep_size=initial_design_size(space.schedules),
        left_out=left_out_of(space.trained_stages, space.num_stages),
    )
    state = PlannerState(space.define, settings, space.segments, seed=space.seed)
    return lambda seed, spent: tree_sampler(space.define, settings, seed=seed, spent=lambda: spent, state=state)


def make_grid(space: StagedSpace) -> SamplerMaker:
    """Search a small space exhaustively."""
    points = grid_points(space.define, space.num_stages)
    return lambda seed, spent: grid_sampler(points, num_stages=space.num_stages, seed=seed)


def _make_beam(space: StagedSpace, width: int) -> SamplerMaker:
    design = InitialDesign(
        space.define,
        num_stages=space.num_stages,
        size=BEAM_POINTS,
        seed=space.seed,
        left_out=left_out_of(space.trained_stages, space.num_stages),
    )
    return lambda seed, spent: beam_sampler(space.define, design, width=width, seed=seed)


make_greedy = functools.partial(_make_beam, width=1)
make_beam2 = functools.partial(_make_beam, width=2)
make_beam4 = functools.partial(_make_beam, width=4)
