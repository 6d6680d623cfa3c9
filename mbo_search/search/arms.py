"""From a study to its two arms: their spaces, their Optuna studies, and the schedules that they begin with."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from mbo_search.results.records import Arm
from mbo_search.results.run_directory import RunDirectory
from mbo_search.search.databases import arm_study
from mbo_search.search.initial_points import control_points, initial_points
from mbo_search.search.optuna_arm import ArmEffort, ArmSpace, OptunaArm, SamplerMaker
from mbo_search.search.samplers import SAMPLERS, STARTUP_TRIALS
from mbo_search.search.searchers import StagedSpace, searcher_maker
from mbo_search.search.space_pieces import space_pieces
from mbo_search.search.suggest import Draw
from mbo_search.search.warm_start import read_warm_start, warm_draws
from mbo_search.study.joint_model import searcher_of
from mbo_search.study.parameters import Suggest, choose
from mbo_search.study.space import Space, control_space, parameters, propose, space_size, staged_space
from mbo_search.study.specs import Study

__all__ = ["arm_space", "arms_of", "finite_size"]

_INITIAL_SHARE: Mapping[Arm, float] = MappingProxyType({"staged": 0.25, "control": 0.5})
"""Share of an arm's trials that may go to points of the initial design, baselines left out.

The staged arm learns of strategies from the ends of single stages as well. The control arm cannot, for it has one
stage, and its space is no more than a few strategies and their numbers.
"""

_WITH_INITIAL_POINTS = ("tree", *SAMPLERS)
"""Searchers that learn from any schedule; the others follow an order of their own."""


def arms_of(study: Study, run: RunDirectory) -> dict[Arm, OptunaArm]:
    """The arms of a study, each with its database.

    Args:
        study: The study.
        run: Its run directory.
    """
    warm = read_warm_start(run)
    arms: dict[Arm, OptunaArm] = {}
    for arm, share in _shares(study).items():
        if share > 0:
            own = arm_space(study, arm, share)
            first = warm_draws(warm, arm, own.function)[: _num_initial(study, arm, share)]
            arms[arm] = OptunaArm(
                arm,
                replace(own, initial=(*first, *own.initial)),
                seed=study.seed,
                database=arm_study(run, arm, study),
            )
    return arms


def arm_space(study: Study, arm: Arm, share: float) -> ArmSpace:
    """The space of an arm with all that its searcher needs.

    Args:
        study: The study.
        arm: `staged` or `control`.
        share: Share of the trials that the arm is about to get.
    """
    search = study.search
    space = staged_space(study) if arm == "staged" else control_space(study)
    effort = ArmEffort(
        schedules=None if search.trials is None else max(1.0, (search.trials - len(study.baselines)) * share),
        tokens=None if search.budget is None else search.budget * share,
    )
    searcher = searcher_of(study, len(space.stages))
    return ArmSpace(
        function=functools.partial(propose, space),
        sampler=_maker(searcher, study, space, effort),
        initial=_initial(study, arm, space, share) if searcher in _WITH_INITIAL_POINTS else (),
        size=finite_size(space),
        effort=effort,
        objectives=search.objectives,
    )


def _shares(study: Study) -> dict[Arm, float]:
    return {"staged": 1 - study.control.share, "control": study.control.share}


def _initial(study: Study, arm: Arm, space: Space, share: float) -> Sequence[Draw]:
    most = _num_initial(study, arm, share)
    return control_points(study, space, most) if arm == "control" else initial_points(space)[:most]


def _num_initial(study: Study, arm: Arm, share: float) -> int:
    if study.search.trials is None:
        return STARTUP_TRIALS
    return min(STARTUP_TRIALS, max(1, int(study.search.trials * share * _INITIAL_SHARE[arm])))


def _maker(searcher: str, study: Study, space: Space, effort: ArmEffort) -> SamplerMaker:
    chosen = parameters(space)
    schedules = effort.schedules
    if effort.tokens is not None:
        schedules = min(schedules or math.inf, effort.tokens / space.budget.total_tokens)

    def define(suggest: Suggest) -> object:
        return choose(chosen, suggest)

    tree = StagedSpace(
        define=define,
        num_stages=len(space.stages),
        schedules=schedules,
        pieces=space_pieces(space),
        seed=study.seed,
    )
    return searcher_maker(searcher, tree)


def finite_size(space: Space) -> int | None:
    """Number of different schedules of a space; None if it holds free numbers.

    Args:
        space: The staged or the control space.
    """
    size = space_size(space)
    return None if size.free_numbers else size.combinations
