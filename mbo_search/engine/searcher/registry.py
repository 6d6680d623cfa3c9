"""From a searcher's name to its samplers: searchers that know of stages, and any Optuna sampler."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import cast

from optuna.samplers import BaseSampler

from mbo_search.engine.searcher.staged_space import SamplerMaker, StagedSpace
from mbo_search.engine.tree.beam import BEAM_POINTS, beam_sampler
from mbo_search.engine.tree.grid import grid_points, grid_sampler
from mbo_search.engine.tree.initial_design import InitialDesign
from mbo_search.engine.tree.planner import tree_sampler
from mbo_search.engine.tree.planner_state import PlannerState, TreeSettings, sweep_size
from mbo_search.errors import Problem, StudyError, UserError
from mbo_search.extensions import resolve
from mbo_search.study.catalogue.entries import SearcherDefinition
from mbo_search.study.catalogue.searchers import CUSTOM_PREFIX, SEARCHERS


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
        hint = "pass the sampler again" if name.startswith(CUSTOM_PREFIX) else f"known are {', '.join(SEARCHERS)}"
        raise StudyError([Problem(key="search.searcher", value=name, rule="is not known here", hint=hint)])
    return found


def as_searcher(sampler: BaseSampler | Callable[..., BaseSampler], name: str = "") -> SearcherDefinition:
    """Make a searcher of an Optuna sampler, to be registered and named in `search.searcher`.

    A class, or any callable that takes `seed`, makes a sampler for each proposal; its proposals follow from the
    study's seed and the trials, also after `resume`. A sampler object is asked as it is: Optuna has no public way
    to set its seed, so its proposals depend on its own seed and on how often it was asked.

    Args:
        sampler: Such as `optuna.samplers.CmaEsSampler`, `functools.partial(TPESampler, n_startup_trials=5)`, or
            `TPESampler(seed=1)`.
        name: Name in records and reports, after `custom.`; empty for that of the class.

    Raises:
        UserError: If it is a callable that does not take a seed.
    """
    if isinstance(sampler, BaseSampler):
        made: SamplerMaker = lambda seed, spent: sampler  # noqa: E731
    elif "seed" in inspect.signature(sampler).parameters:
        made = lambda seed, spent: sampler(seed=seed)  # noqa: E731
    else:
        raise UserError([Problem(key="searcher", value=repr(sampler), rule="must take the argument seed")])
    return SearcherDefinition(
        name=f"{CUSTOM_PREFIX}{name or _class_name(sampler)}",
        summary="an Optuna sampler of the user's",
        make=lambda space: made,
        uses_initial_points=True,
        several_objectives=True,
    )


def make_tree(space: StagedSpace) -> SamplerMaker:
    """Weigh what schedules promise against what they cost."""
    settings = TreeSettings(num_stages=space.num_stages, sweep_size=sweep_size(space.schedules))
    state = PlannerState(space.define, settings, space.pieces, seed=space.seed)
    return lambda seed, spent: tree_sampler(space.define, settings, seed=seed, spent=lambda: spent, memory=state)


def make_grid(space: StagedSpace) -> SamplerMaker:
    """Search a small space from end to end."""
    points = grid_points(space.define, space.num_stages)
    return lambda seed, spent: grid_sampler(points, num_stages=space.num_stages, seed=seed)


def _make_beam(space: StagedSpace, width: int) -> SamplerMaker:
    sweeper = InitialDesign(space.define, num_stages=space.num_stages, size=BEAM_POINTS, seed=space.seed)
    return lambda seed, spent: beam_sampler(space.define, sweeper, width=width, seed=seed)


make_greedy = functools.partial(_make_beam, width=1)
make_beam2 = functools.partial(_make_beam, width=2)
make_beam4 = functools.partial(_make_beam, width=4)


def _class_name(sampler: BaseSampler | Callable[..., BaseSampler]) -> str:
    made_by = sampler.func if isinstance(sampler, functools.partial) else sampler
    return made_by.__name__ if inspect.isroutine(made_by) or inspect.isclass(made_by) else type(made_by).__name__
