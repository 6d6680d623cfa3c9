"""From a study to its two arms: their spaces, their Optuna studies, and the schedules that they begin with."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from mbo_search.results.records import Arm
from mbo_search.results.run_directory import RunDirectory
from mbo_search.search.optuna_arm import ArmSpace, OptunaArm, open_study
from mbo_search.search.samplers import STARTUP_TRIALS
from mbo_search.search.suggest import Draw, ReferenceSuggest, draw
from mbo_search.study.space import Space, control_space, propose, space_size, staged_space
from mbo_search.study.specs import Study

__all__ = ["arm_space", "arms_of", "finite_size", "initial_points"]

_INITIAL_SHARE = 0.25
"""Share of an arm's trials that may go to points of the initial design."""


def arms_of(study: Study, run: RunDirectory) -> dict[Arm, OptunaArm]:
    """The arms of a study, each with its database in the run directory.

    Args:
        study: The study.
        run: Its run directory.
    """
    wanted: Sequence[tuple[Arm, Space, Path, float]] = (
        ("staged", staged_space(study), run.database, 1 - study.control),
        ("control", control_space(study), run.control_database, study.control),
    )
    arms: dict[Arm, OptunaArm] = {}
    for arm, space, database, share in wanted:
        if share > 0:
            arms[arm] = OptunaArm(
                arm,
                arm_space(study, space, share),
                searcher=study.search.searcher,
                seed=study.seed,
                database=open_study(database, study.study),
            )
    return arms


def arm_space(study: Study, space: Space, share: float) -> ArmSpace:
    """A space as an arm needs it.

    Args:
        study: The study.
        space: The staged or the control space.
        share: Share of the trials that the arm is about to get.
    """
    function = functools.partial(propose, space)
    most = STARTUP_TRIALS
    if study.search.trials is not None:
        most = min(most, max(1, int(study.search.trials * share * _INITIAL_SHARE)))
    return ArmSpace(function=function, initial=initial_points(space)[:most], size=finite_size(space))


def initial_points(space: Space) -> Sequence[Draw]:
    """Each optimizer of a space once, held across the stages that offer it, at its reference learning rate.

    Args:
        space: The staged or the control space.
    """
    names = dict.fromkeys(choice.name for axes in space.stages for choice in axes.optimizers)
    points = [draw(functools.partial(propose, space), ReferenceSuggest(name)) for name in names]
    return [point for index, point in enumerate(points) if point.params not in [p.params for p in points[:index]]]


def finite_size(space: Space) -> int | None:
    """Number of different schedules of a space; None if it holds free numbers.

    Args:
        space: The staged or the control space.
    """
    size = space_size(space)
    return None if size.free_numbers else size.combinations
