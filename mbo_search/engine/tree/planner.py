"""Tree searcher: takes a cached prefix as free, and models the final loss of whole schedules.

    1. A sweep: the strategies of the first stage, then of the second after the best boundary, and so on. The
       most promising ones come first, and those with little chance are left out; but a first stage of few
       strategies is swept completely.
    2. Then, again and again: gather candidates, predict their final losses from the losses after all stages so
       far, and take the largest expected improvement per token that has not been trained yet.

References:
    Expected improvement per unit of cost with cooling: Lee et al. 2020, "Cost-aware Bayesian Optimization",
    arXiv:2003.10870. Shared prefixes in multi-stage search: Bajpai et al. 2024, "EEIPU", arXiv:2411.03731.
    Differs from the papers: the model knows the losses after all stages; the cost is known exactly, since the
    cache is; the exponent of the cost falls linearly from 1 to 0 as the budget is spent; the search begins with a
    sweep.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mbo_search.engine.tree.candidates import Candidates, complete_params, draw_candidates, neighbors
from mbo_search.engine.tree.gp import PathModel, observed_losses
from mbo_search.engine.tree.history import History, Params, Prefix, blocks_of
from mbo_search.engine.tree.improvement import log_expected_improvement
from mbo_search.engine.tree.initial_design import best_prefixes
from mbo_search.engine.tree.paths import Floats, Ints
from mbo_search.engine.tree.planned_trial import PlannedTrial
from mbo_search.engine.tree.planner_state import PlannerState, TreeSettings
from mbo_search.engine.tree.points import Define
from mbo_search.engine.tree.prefix_cost import MissingCost

NUM_CENTERS = 10
"""Best candidates of the first round, near which the second round looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scored:
    """Schedule that may be trained now.

    Attributes:
        params: Its parameters.
        done: Number of its leading stages that are cached.
        score: Value by which proposals are compared.
        log_gain: Logarithm of its expected improvement, in log nats.
    """

    params: Params
    done: int
    score: float
    log_gain: float


class TreePlanner:
    """Planner that chooses the largest expected improvement per token still to be trained."""

    def __init__(
        self, define: Define, settings: TreeSettings, *, seed: int, spent: Callable[[], float], state: PlannerState
    ) -> None:
        """Make a planner."""
        self._define = define
        self._settings = settings
        self._rng = np.random.default_rng(seed)
        self._spent = spent
        self._state = state

    def plan(self, history: History) -> PlannedTrial:
        """Choose the next trial."""
        opening = self._opening(history)
        if opening is not None:
            return opening
        return self._best_candidate(history) if history.complete else self._root()

    def _root(self) -> PlannedTrial:
        return PlannedTrial(params=complete_params(self._define, self._rng, {}, {}))

    def _opening(self, history: History) -> PlannedTrial | None:
        """The next point of the sweep; a random schedule while the best boundary is not known yet."""
        last = self._settings.num_stages - 1
        # schedules from before the sweep are not part of it
        since = next((index for index, one in enumerate(history.trials) if one.stop_after is not None), 0)
        for stage in range(self._settings.num_stages):
            bases = best_prefixes(history, stage - 1, 1)
            if not bases:
                return self._root()
            begun = sum(one.stop_after == (None if stage == last else stage) for one in history.trials[since:])
            if stage in self._state.swept or begun >= len(self._state.design.points(bases[0], stage)):
                continue
            if self._is_waiting(history, stage):
                return self._root()
            point = self._next_of_sweep(history, bases[0], stage, begun)
            if point is not None:
                return point
            self._state.swept.add(stage)
        return None

    def _is_waiting(self, history: History, stage: int) -> bool:
        """Whether the best boundary may still change, and random schedules can fill the time."""
        is_waiting = any(one.is_running and one.stop_after == stage - 1 for one in history.trials)
        return is_waiting and sum(one.stop_after is None for one in history.trials) < self._settings.num_roots

    def _next_of_sweep(self, history: History, base: Params, stage: int, begun: int) -> PlannedTrial | None:
        """The most promising strategy of a stage; None if none is likely to be better than those tried."""
        from scipy.stats import norm

        left, losses = self._state.design.left(history, base, stage), observed_losses(history)
        if not left or not losses or (stage == 0 and self._is_swept_completely(history, base)):
            return left[0] if left else None
        head = blocks_of(base, self._settings.num_stages)[:stage]
        here = [loss for path, loss in losses.items() if len(path) == stage + 1 and path[:stage] == head]
        model = self._state.model(history)
        paths = [blocks_of(plan.params, self._settings.num_stages)[: stage + 1] for plan in left]
        mean, spread = model.predict(model.encode(paths))
        if not here:
            return left[int(mean.argmin())]
        best = min(here)
        if (
            begun >= self._settings.sweep_least
            and norm.cdf((best - mean) / spread).max() < self._settings.sweep_chance
        ):
            return None
        return left[int(log_expected_improvement(best, mean, spread).argmax())]

    def _is_swept_completely(self, history: History, base: Params) -> bool:
        """Whether the first stage is swept to the end: where that is everything, or nothing came before."""
        came_before = bool(history.trials) and history.trials[0].stop_after is None
        return not came_before or self._state.design.is_exhaustive(base, 0)

    def _best_candidate(self, history: History) -> PlannedTrial:
        model = self._state.model(history)
        self._state.prefix_costs.read(history)
        wants_root = self._root_share(history) < self._settings.min_root_share
        scored = self._scored(history, model, self._candidates(history), wants_root=wants_root)
        if self._state.listed is None:
            centers = [one.params for one in scored[:NUM_CENTERS]]
            close = neighbors(
                self._define,
                self._rng,
                centers or [history.complete[0].params],
                count=self._settings.num_candidates // 2,
                num_stages=self._settings.num_stages,
            )
            scored = [*scored, *self._scored(history, model, close, wants_root=wants_root)]
        if not scored:
            return self._root()
        best = max(scored, key=lambda one: one.score)
        gain = float(np.exp(max(one.log_gain for one in scored)))
        last = self._settings.num_stages - 1
        # in ranges there is always another neighbor that is as uncertain: probes of it would never be followed up
        decides_again = self._state.listed is not None and best.done < last
        stop_after = best.done if decides_again else None
        return PlannedTrial(params=best.params, stop_after=stop_after, expected_gain=gain)

    def _candidates(self, history: History) -> Candidates:
        if self._state.listed is not None:
            return self._state.listed
        return draw_candidates(history, self._define, self._rng, self._settings.num_candidates // 2)

    def _scored(self, history: History, model: PathModel, drawn: Candidates, *, wants_root: bool) -> list[_Scored]:
        """Score the candidates that may be trained now; the most promising ones, best first."""
        costs = [self._state.prefix_costs.cost(blocks, params) for blocks, params in drawn.items()]
        done = self._trained_stages(history, drawn, costs)
        is_root = done == np.array([history.first_stage(blocks) for blocks in drawn])
        missing = self._missing_costs(history, drawn, costs)
        eligible = missing > 0
        if wants_root and (eligible & is_root).any():
            eligible &= is_root
        if not eligible.any():
            return []
        mean, spread = self._state.predicted(model, drawn)
        best_loss = history.complete[0].loss or 0.0
        log_gain = log_expected_improvement(best_loss, mean, spread)
        power = 1.0 - min(max(self._spent(), 0.0), 1.0)
        score = np.where(eligible, log_gain - power * np.log(np.where(eligible, missing, 1.0)), -np.inf)
        rows = list(drawn.values())
        order = [*np.argsort(-score, kind="stable")[:NUM_CENTERS], np.argmax(np.where(eligible, log_gain, -np.inf))]
        return [
            _Scored(params=rows[i], done=int(done[i]), score=float(score[i]), log_gain=float(log_gain[i]))
            for i in order
            if eligible[i]
        ]

    def _trained_stages(self, history: History, drawn: Candidates, costs: Sequence[MissingCost]) -> Ints:
        """Leading stages whose training is done; where stages are optional it may be under another description."""
        if self._settings.left_out is not None:
            return np.array([cost.stage for cost in costs])
        return np.array([history.cached_stages(blocks) for blocks in drawn])

    def _missing_costs(self, history: History, drawn: Candidates, costs: Sequence[MissingCost]) -> Floats:
        """Cost of what is still to be trained; 0 where another trial is producing it, or for a known dead end."""
        excluded = np.array([history.is_dead(blocks) for blocks in drawn])
        coming = np.array([cost.is_coming for cost in costs])
        return np.where(excluded | coming, 0.0, np.array([cost.missing for cost in costs]))

    def _root_share(self, history: History) -> float:
        """Share of the cost so far that went to trials whose first stage was new."""
        done: set[Prefix] = set()
        spent = [0.0, 0.0]
        for one in history.trials:
            costs = self._state.prefix_costs.stage_costs(one.blocks, one.params)
            reached = [one.blocks[: stage + 1] for stage in range(one.last_stage(history.num_stages) + 1)]
            is_root = one.blocks[: history.first_stage(one.blocks) + 1] not in done
            spent[is_root] += sum(cost for cost, node in zip(costs, reached, strict=False) if node not in done)
            done.update(reached)
        return spent[True] / sum(spent) if sum(spent) else 1.0
