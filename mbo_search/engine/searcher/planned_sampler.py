"""Planners as Optuna samplers: a whole trial is decided on before its first parameter is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial

from mbo_search.engine.searcher._compat import set_user_attr
from mbo_search.engine.searcher.suggest import fits
from mbo_search.engine.tree.beam import BeamPlanner
from mbo_search.engine.tree.grid import GridPlanner
from mbo_search.engine.tree.history import HistoryReader, Params
from mbo_search.engine.tree.initial_design import InitialDesign
from mbo_search.engine.tree.planned_trial import PlannedTrial, Planner
from mbo_search.engine.tree.planner import TreePlanner
from mbo_search.engine.tree.planner_state import PlannerState, TreeSettings
from mbo_search.engine.tree.points import Define


@dataclass(frozen=True, slots=True)
class PlannedSampler(BaseSampler):
    """Sampler that follows the decisions of a planner.

    It works on any Optuna study whose parameters are called `stage/<index>/<name>`, asked for stage after stage,
    and whose objective reports the loss after each stage with `trial.report(loss, step=stage)`. A trial with the
    user attribute `stop_after_stage` is a probe: it ends after that stage, and is told as pruned.

    Attributes:
        planner: Decides on trials.
        reader: Reader of the study.
        seed: Seed of the values where a decision does not fit the distribution.
    """

    planner: Planner
    reader: HistoryReader
    seed: int
    _plans: dict[int, PlannedTrial] = field(default_factory=dict)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Decide on the trial, unless it has begun and is only read again."""
        if trial.params:
            return
        plan = self.planner.plan(self.reader.read(study))
        self._plans.clear()
        self._plans[trial.number] = plan
        for name, value in plan.notes.items():
            set_user_attr(study, trial, name, value)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Infer no space: the plan holds every parameter."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Sample nothing: the plan holds every parameter."""
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Follow the plan; draw at random where it does not fit the distribution."""
        plan = self._plans.get(trial.number)
        if plan is not None and param_name in plan.params:
            value = plan.params[param_name]
            if fits(value, param_distribution):
                return value
        random = RandomSampler(seed=self.seed + trial.number)
        return random.sample_independent(study, trial, param_name, param_distribution)


def tree_sampler(
    define: Define,
    settings: TreeSettings,
    *,
    seed: int,
    spent: Callable[[], float],
    state: PlannerState | None = None,
) -> PlannedSampler:
    """Make an Optuna sampler that searches a stage tree, for any study with staged parameter names."""
    kept = state or PlannerState(define, settings, seed=seed)
    planner = TreePlanner(define, settings, seed=seed, spent=spent, state=kept)
    return PlannedSampler(planner=planner, reader=kept.reader, seed=seed)


def beam_sampler(define: Define, design: InitialDesign, *, width: int, seed: int) -> PlannedSampler:
    """Make an Optuna sampler that searches stage by stage."""
    planner = BeamPlanner(define, design, width=width, seed=seed)
    reader = HistoryReader(design.num_stages, design.left_out)
    return PlannedSampler(planner=planner, reader=reader, seed=seed)


def grid_sampler(points: list[Params], *, num_stages: int, seed: int) -> PlannedSampler:
    """Make an Optuna sampler that goes through all points of a space."""
    return PlannedSampler(planner=GridPlanner(points), reader=HistoryReader(num_stages), seed=seed)
