"""Searches of a study: their spaces, their Optuna studies, and the schedules that they start with.

One search answers the study's question; the others, its opponents, look for the best schedule without the freedom
in question. Both sides get the same number of tokens, unless the study says otherwise; the opponents divide theirs
evenly among the rungs of the ladder, and the two searches of the rung *shape* share one part.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from mbo_search.engine.searcher.initial_points import control_points, initial_points, points_near
from mbo_search.engine.searcher.optuna_searcher import OptunaSearcher, SearchEffort, SearchSpace
from mbo_search.engine.searcher.registry import GivenSearcher, definition_of, given_sampler_maker, searcher_maker
from mbo_search.engine.searcher.samplers import STARTUP_TRIALS
from mbo_search.engine.searcher.space_segments import space_segments, trained_stages
from mbo_search.engine.searcher.staged_space import SamplerMaker, StagedSpace
from mbo_search.engine.searcher.storage import open_optuna_study
from mbo_search.engine.searcher.suggest import Draw
from mbo_search.engine.searcher.warm_start import read_warm_start, warm_start_draws
from mbo_search.results.records.records import Arm
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.study.space.ladder import RUNG_OF_SEARCH, lower_spaces, search_spaces
from mbo_search.study.space.parameters import Suggest, choose
from mbo_search.study.space.searcher_notes import searcher_of
from mbo_search.study.space.space import Space, finite_size, parameters, propose
from mbo_search.study.study import Study

TAKES_OVER: Mapping[Arm, tuple[Arm, ...]] = MappingProxyType(
    {
        "tuned": ("baseline", "tuned"),
        "line": ("baseline", "tuned", "line"),
        "shape": ("baseline", "tuned", "line", "shape"),
        "settings": ("baseline", "tuned", "line", "shape", "settings"),
    }
)
"""The opponents continue from the best that they and those below have found, which the same side has paid for."""

_FEWEST_FOR_SWEEPS = 12
"""Fewest schedules for which an opponent uses the tree searcher, which first sweeps stage after stage: with fewer
it would spend its tokens on probes, although it has a good schedule to continue from."""

_INITIAL_SHARE = 0.25
_INITIAL_SHARE_OF_ONE_STAGE = 0.5
"""Share of a search's trials that may be initial points, baselines not counted.

A search with stages also learns about strategies from the ends of single stages. One without cannot, and its space
is only a few strategies and their numbers.
"""


def open_searchers(
    study: Study, run: RunDirectory, searcher: GivenSearcher | None = None
) -> dict[Arm, OptunaSearcher]:
    """Open the searchers of a study, each with its database; a given searcher proposes for all of them."""
    warm = read_warm_start(run)
    searchers: dict[Arm, OptunaSearcher] = {}
    for arm, share in search_shares(study).items():
        own = space_of_search(study, arm, share)
        if searcher is not None:
            own = replace(own, sampler=given_sampler_maker(searcher))
        first = warm_start_draws(warm, arm, own.function)[: _num_initial(study, share, _INITIAL_SHARE)]
        searchers[arm] = OptunaSearcher(
            arm,
            replace(own, initial=(*first, *own.initial)),
            seed=study.seed,
            database=open_optuna_study(run, arm, study),
        )
    return searchers


def search_shares(study: Study) -> dict[Arm, float]:
    """Share of the tokens that each search gets; the opponents' searches lowest rung first."""
    names = list(lower_spaces(study))
    if not names:
        return {"staged": 1.0}
    rungs = Counter(RUNG_OF_SEARCH[name] for name in names)
    shares: dict[Arm, float] = {"staged": 1 - study.control.share}
    for name in names:
        shares[name] = study.control.share / len(rungs) / rungs[RUNG_OF_SEARCH[name]]
    return shares


def space_of_search(study: Study, arm: Arm, share: float) -> SearchSpace:
    """Space of a search with all that its searcher needs."""
    search = study.search
    spaces: dict[Arm, Space] = dict(search_spaces(study).items())
    space = spaces[arm]
    effort = SearchEffort(
        schedules=None if search.trials is None else max(1.0, (search.trials - len(study.baselines)) * share),
        tokens=None if search.budget is None else search.budget * share,
    )
    searcher = _searcher(study, arm, space, effort)
    return SearchSpace(
        function=functools.partial(propose, space),
        sampler=_maker(searcher, study, space, effort),
        initial=_initial(study, arm, space, share) if definition_of(searcher).uses_initial_points else (),
        size=finite_size(space),
        effort=effort,
        objectives=search.objectives,
        nearest=functools.partial(points_near, space),
        trained_stages=trained_stages(space),
    )


def _searcher(study: Study, arm: Arm, space: Space, effort: SearchEffort) -> str:
    searcher = searcher_of(study, len(space.stages))
    is_chosen = study.search.searcher == "auto" and arm in TAKES_OVER and effort.schedules is not None
    return "tpe" if is_chosen and (effort.schedules or 0.0) < _FEWEST_FOR_SWEEPS else searcher


def _initial(study: Study, arm: Arm, space: Space, share: float) -> Sequence[Draw]:
    """Initial points: the lowest opponent starts with untuned strategies, whose results the others reuse."""
    if arm == "tuned":
        return control_points(study, space, _num_initial(study, share, _INITIAL_SHARE_OF_ONE_STAGE))
    if arm in TAKES_OVER:
        return ()
    return initial_points(space)[: _num_initial(study, share, _INITIAL_SHARE)]


def _num_initial(study: Study, share: float, share_of_trials: float) -> int:
    if study.search.trials is None:
        return STARTUP_TRIALS
    return min(STARTUP_TRIALS, max(1, int(study.search.trials * share * share_of_trials)))


def _maker(searcher: str, study: Study, space: Space, effort: SearchEffort) -> SamplerMaker:
    chosen = space.walk if space.has_routes else parameters(space)
    schedules = effort.schedules
    if effort.tokens is not None:
        schedules = min(schedules or math.inf, effort.tokens / space.budget.total_tokens)

    def define(suggest: Suggest) -> object:
        return choose(chosen, suggest)

    tree = StagedSpace(
        define=define,
        num_stages=len(space.stages),
        schedules=schedules,
        segments=space_segments(space),
        seed=study.seed,
        trained_stages=trained_stages(space),
    )
    return searcher_maker(searcher, tree)
