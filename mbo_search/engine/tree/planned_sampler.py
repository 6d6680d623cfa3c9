"""An Optuna sampler that decides on a whole trial at once, before its first parameter is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial

from mbo_search.engine.tree.history import STOP_AFTER, History, HistoryReader, Params

EXPECTED_GAIN = "expected_gain_nats"
"""User attribute of a trial: the improvement of the best loss that the searcher expected of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTrial:
    """What a trial is to be.

    Attributes:
        params: Its parameters.
        stop_after: The stage behind which it ends, as a probe; None for a whole schedule.
        expected_gain: Largest improvement of the best loss, in nats, that a model expects of any schedule that is
            left; None where no model was asked.
    """

    params: Params
    stop_after: int | None = None
    expected_gain: float | None = None

    @property
    def notes(self) -> Mapping[str, float | int]:
        """User attributes of the trial."""
        noted = {STOP_AFTER: self.stop_after, EXPECTED_GAIN: self.expected_gain}
        return {name: value for name, value in noted.items() if value is not None}


class Planner(Protocol):
    """Decides what to train next."""

    def plan(self, history: History) -> PlannedTrial:
        """Decide."""
        ...


@dataclass(frozen=True, slots=True)
class PlannedSampler(BaseSampler):
    """Answers from a plan.

    It works on any Optuna study whose parameters are called `stage/<index>/<name>`, asked for stage after stage,
    and whose objective reports the loss behind each stage with `trial.report(loss, step=stage)`. A trial with the
    user attribute `stop_after_stage` is a probe: it ends behind that stage, and is told as pruned.

    Attributes:
        planner: Makes the plans.
        reader: Reads the study.
        seed: Seed of the answers where a plan does not fit what is asked for.
    """

    planner: Planner
    reader: HistoryReader
    seed: int
    _plans: dict[int, PlannedTrial] = field(default_factory=dict)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Decide what the trial is to be; nothing happens for one that has begun and is only looked at again."""
        if trial.params:
            return
        plan = self.planner.plan(self.reader.read(study))
        self._plans.clear()
        self._plans[trial.number] = plan
        for name, value in plan.notes.items():
            study._storage.set_trial_user_attr(trial._trial_id, name, value)
            trial.set_user_attr(name, value)  # the copy that the live trial reads

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """No space is inferred: the plan holds every parameter."""
        return {}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing is sampled here: the plan holds every parameter."""
        return {}

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Answer from the plan; at random where the plan does not fit the distribution."""
        plan = self._plans.get(trial.number)
        if plan is not None and param_name in plan.params:
            value = plan.params[param_name]
            if param_distribution._contains(param_distribution.to_internal_repr(value)):
                return value
        random = RandomSampler(seed=self.seed + trial.number)
        return random.sample_independent(study, trial, param_name, param_distribution)
