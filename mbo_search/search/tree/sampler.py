"""An Optuna sampler for staged objectives that knows that a cached beginning is free.

It works on any Optuna study whose parameters are called `stage/<index>/<name>` and whose objective reports the loss
behind each stage with `trial.report(loss, step=stage)`:

    1. A sweep: a few strategies of the first stage, then of the second behind the best boundary, and so on.
    2. Then, again and again: gather candidates, predict their final losses with a forest over whole schedules, and
       take the largest expected improvement per token that has not been trained yet.

References:
    Expected improvement per unit of cost with cooling: Lee et al. 2020, "Cost-aware Bayesian Optimization",
    arXiv:2003.10870. Shared prefixes in multi-stage search: Bajpai et al. 2024, "EEIPU", arXiv:2411.03731.
    Differs from the papers: the model is a forest; the cost is known exactly, since the cache is; the exponent of
    the cost falls linearly from 1 to 0 as the budget is spent; the search begins with a sweep.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial

from mbo_search.search.tree.candidates import Define, candidates, complete_params
from mbo_search.search.tree.history import STOP_AFTER, History, Params, beginning, read_history
from mbo_search.search.tree.surrogate import Surrogate, fit_surrogate, log_expected_improvement
from mbo_search.search.tree.sweep import next_probe

__all__ = ["Plan", "StageCosts", "SurrogateMemory", "TreeSampler", "TreeSettings", "equal_costs", "sweep_size"]

StageCosts = Callable[[Params], Sequence[float]]
"""Cost of each stage of a schedule, in any unit."""


def equal_costs(num_stages: int) -> StageCosts:
    """Every stage costs the same."""
    return lambda params: [1.0 / num_stages] * num_stages


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeSettings:
    """How the searcher goes about it.

    Attributes:
        num_stages: Stages of a whole schedule, at least 1.
        sweep_size: Points of the sweep of each stage.
        num_roots: Random whole schedules behind the sweep, before the model is used.
        num_candidates: Candidates drawn for each decision.
        min_root_share: Least share of the cost that goes to schedules with a new first stage.
        refit_growth: The model is fitted anew when the number of finished trials grew by this share.
    """

    num_stages: int
    sweep_size: int = 12
    num_roots: int = 3
    num_candidates: int = 768
    min_root_share: float = 0.2
    refit_growth: float = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a trial is to be.

    Attributes:
        params: Its parameters.
        stop_after: The stage behind which it ends; None for a whole schedule.
        log_score: Logarithm of the expected improvement per cost; None where no model was asked.
    """

    params: Params
    stop_after: int | None = None
    log_score: float | None = None


def sweep_size(schedules: float | None) -> int:
    """Points of the sweep of each stage: a fifth of the effort, at least 4 and at most 12.

    Args:
        schedules: Whole schedules that the search may train; None: no limit.

    >>> sweep_size(60), sweep_size(10), sweep_size(None)
    (12, 4, 12)
    """
    return 12 if schedules is None else min(12, max(4, round(schedules / 5)))


class SurrogateMemory:
    """Keeps the last fitted model, so that samplers made for single proposals share it."""

    def __init__(self) -> None:
        self._last: Surrogate | None = None

    def get(self, history: History, *, seed: int, refit_growth: float) -> Surrogate:
        """The last model, or a new one when enough trials have finished since.

        Args:
            history: What is known; at least one complete trial.
            seed: Seed of a new model.
            refit_growth: Growth of the number of finished trials that makes the last model stale.
        """
        count = len(history.complete) + len(history.infeasible)
        if (
            self._last is None
            or count >= self._last.num_fitted * (1 + refit_growth)
            or count < self._last.num_fitted
        ):
            self._last = fit_surrogate(history, seed)
        return self._last


class TreeSampler(BaseSampler):
    """Proposes the schedule with the largest expected improvement per token still to be trained."""

    def __init__(
        self,
        define: Define,
        settings: TreeSettings,
        *,
        seed: int,
        spent: Callable[[], float],
        costs: StageCosts | None = None,
        memory: SurrogateMemory | None = None,
    ) -> None:
        """Make a sampler.

        Args:
            define: The space as a function that asks for every parameter.
            settings: How to go about it.
            seed: Seed of all that is random.
            spent: Share of the search's budget that is spent, in [0, 1]; asked before each proposal.
            costs: Cost of each stage of a schedule; None: equal.
            memory: Where fitted models are kept; None: a memory of its own.
        """
        self._define = define
        self._settings = settings
        self._seed = seed
        self._rng = np.random.default_rng(seed)
        self._spent = spent
        self._costs = costs or equal_costs(settings.num_stages)
        self._memory = memory or SurrogateMemory()
        self._plans: dict[int, Plan] = {}
        self._random = RandomSampler(seed=seed)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Decide what the trial is to be, before its first parameter is asked for."""
        plan = self.plan(read_history(study, self._settings.num_stages))
        self._plans = {trial.number: plan}
        if plan.stop_after is not None:
            study._storage.set_trial_user_attr(trial._trial_id, STOP_AFTER, plan.stop_after)
            trial.set_user_attr(STOP_AFTER, plan.stop_after)  # the copy that the live trial reads

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
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def plan(self, history: History) -> Plan:
        """Decide what to train next.

        Args:
            history: What is known.
        """
        settings = self._settings
        probe = next_probe(history, self._define, size=settings.sweep_size, seed=0)
        if probe is not None:
            is_whole = probe.stage == settings.num_stages - 1
            return Plan(params=probe.params, stop_after=None if is_whole else probe.stage)
        whole = sum(one.stop_after is None for one in history.seen)
        if not history.complete or whole < settings.sweep_size + settings.num_roots:
            return Plan(params=complete_params(self._define, self._rng, {}, {}))
        return self._best_candidate(history)

    def _best_candidate(self, history: History) -> Plan:
        drawn = candidates(history, self._define, self._rng, self._settings.num_candidates)
        missing = np.array([self._missing_cost(history, params) for params in drawn])
        eligible = missing > 0
        if self._root_share(history) < self._settings.min_root_share:
            eligible = _prefer(eligible, np.array([history.cached_stages(params) == 0 for params in drawn]))
        if not eligible.any():
            return Plan(params=complete_params(self._define, self._rng, {}, {}))
        surrogate = self._memory.get(history, seed=self._seed, refit_growth=self._settings.refit_growth)
        mean, spread = surrogate.predict(drawn)
        power = 1.0 - min(max(self._spent(), 0.0), 1.0)
        score = log_expected_improvement(surrogate.best_loss, mean, spread)
        score = np.where(eligible, score - power * np.log(np.maximum(missing, 1e-12)), -np.inf)
        best = int(score.argmax())
        return Plan(params=drawn[best], log_score=float(score[best]))

    def _missing_cost(self, history: History, params: Params) -> float:
        """Cost of the stages still to be trained; 0 where a trial in flight is producing the first of them."""
        if history.waits(params):
            return 0.0
        return float(sum(list(self._costs(params))[history.cached_stages(params) :]))

    def _root_share(self, history: History) -> float:
        """Share of the cost so far that went to trials whose first stage was new."""
        done: set[frozenset[tuple[str, str | float | int]]] = set()
        spent = {True: 0.0, False: 0.0}
        for one in history.seen:
            costs = list(self._costs(one.params))
            reached = range(one.last_stage(history.num_stages) + 1)
            missing = [stage for stage in reached if beginning(one.params, stage) not in done]
            spent[0 in missing] += sum(costs[stage] for stage in missing)
            done.update(beginning(one.params, stage) for stage in reached)
        total = sum(spent.values())
        return spent[True] / total if total else 1.0


def _prefer(eligible: NDArray[np.bool_], preferred: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Restrict to the preferred ones where there are any."""
    both: NDArray[np.bool_] = eligible & preferred
    return both if both.any() else eligible
