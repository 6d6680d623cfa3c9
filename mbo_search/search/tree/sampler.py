"""The tree searcher: knows that a cached beginning is free, and models the final loss of whole schedules.

    1. A sweep: a few strategies of the first stage, then of the second behind the best boundary, and so on.
    2. A few random schedules.
    3. Then, again and again: gather candidates, predict their final losses with a forest over whole schedules, and
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

import numpy as np
from numpy.typing import NDArray

from mbo_search.search.tree.candidates import Candidates, complete_params, draw_candidates, neighbors
from mbo_search.search.tree.features import Encoder
from mbo_search.search.tree.history import Beginning, History, HistoryReader, Params, blocks_of
from mbo_search.search.tree.planned import Plan, PlannedSampler
from mbo_search.search.tree.points import Define, all_points
from mbo_search.search.tree.surrogate import Surrogate, fit_surrogate, log_expected_improvement
from mbo_search.search.tree.sweep import Sweeper, best_beginnings

__all__ = ["StageCosts", "TreeMemory", "TreePlanner", "TreeSettings", "equal_costs", "sweep_size", "tree_sampler"]

StageCosts = Callable[[Params], Sequence[float]]
"""Cost of each stage of a schedule, in any unit."""

MOST_LISTED = 2000
"""Spaces with at most so many points are scored whole; of larger ones candidates are drawn."""

NUM_CENTERS = 10
"""Best candidates of the first round, near which the second round looks."""


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
    num_candidates: int = 512
    min_root_share: float = 0.2
    refit_growth: float = 0.03


def sweep_size(schedules: float | None) -> int:
    """Points of the sweep of each stage: two fifths of the effort, at least 4 and at most 12.

    Args:
        schedules: Whole schedules that the search may train; None: no limit.

    >>> sweep_size(60), sweep_size(20), sweep_size(5), sweep_size(None)
    (12, 8, 4, 12)
    """
    return 12 if schedules is None else min(12, max(4, round(0.4 * schedules)))


class TreeMemory:
    """What is kept from one proposal to the next: trials read, the last model, the points of small spaces.

    Attributes:
        reader: Reads the study.
        sweeper: Knows the points of the sweeps.
        settings: How to go about it.
        listed: All points of a small space; None of a large one.
        encoder: Turns schedules into numbers for the last model.
    """

    def __init__(
        self, define: Define, settings: TreeSettings, costs: StageCosts | None = None, *, seed: int = 0
    ) -> None:
        """Make a memory for one space and one study.

        Args:
            define: The space.
            settings: How to go about it.
            costs: Cost of each stage of a schedule; None: equal.
            seed: Seed of the order of the sweeps.
        """
        self.reader = HistoryReader(settings.num_stages)
        self.sweeper = Sweeper(define, num_stages=settings.num_stages, size=settings.sweep_size, seed=seed)
        self.settings = settings
        self._costs = costs or equal_costs(settings.num_stages)
        self._costs_of: dict[Beginning, tuple[float, ...]] = {}
        self._last: Surrogate | None = None
        self._encoded: NDArray[np.float32] | None = None
        points = all_points(define, MOST_LISTED, num_stages=settings.num_stages)
        self.listed: Candidates | None = (
            None if points is None else {blocks_of(one, settings.num_stages): one for one in points}
        )
        self.encoder = Encoder(points or [])

    def costs(self, blocks: Beginning, params: Params) -> tuple[float, ...]:
        """Cost of each stage of a schedule.

        Args:
            blocks: The schedule, stage by stage.
            params: The same as one mapping.
        """
        if blocks not in self._costs_of:
            self._costs_of[blocks] = tuple(self._costs(params))
        return self._costs_of[blocks]

    def surrogate(self, history: History, seed: int) -> Surrogate:
        """The last model, or a new one when enough trials have finished since.

        Args:
            history: What is known; at least one complete trial.
            seed: Seed of a new model.
        """
        last, count = self._last, len(history.complete) + len(history.infeasible)
        growth = 1 + self.settings.refit_growth
        if last is None or not last.num_fitted <= count < last.num_fitted * growth:
            if self.listed is None:
                self.encoder = Encoder([one.params for one in (*history.complete, *history.infeasible)])
            self._last = last = fit_surrogate(history, self.encoder, seed)
        return last

    def encoded(self, drawn: Candidates) -> NDArray[np.float32]:
        """Candidates as the last model reads them.

        Args:
            drawn: The candidates.
        """
        if drawn is not self.listed:
            return self.encoder.encode(list(drawn.values()))
        if self._encoded is None:
            self._encoded = self.encoder.encode(list(drawn.values()))
        return self._encoded


class TreePlanner:
    """Proposes the schedule with the largest expected improvement per token still to be trained."""

    def __init__(
        self, define: Define, settings: TreeSettings, *, seed: int, spent: Callable[[], float], memory: TreeMemory
    ) -> None:
        """Make a planner.

        Args:
            define: The space as a function that asks for every parameter.
            settings: How to go about it.
            seed: Seed of all that is random.
            spent: Share of the search's budget that is spent, in [0, 1]; asked before each proposal.
            memory: What is kept from one proposal to the next.
        """
        self._define = define
        self._settings = settings
        self._seed = seed
        self._rng = np.random.default_rng(seed)
        self._spent = spent
        self._memory = memory

    def plan(self, history: History) -> Plan:
        """Decide what to train next.

        Args:
            history: What is known.
        """
        opening = self._opening(history)
        if opening is not None:
            return opening
        return self._best_candidate(history) if history.complete else self._root()

    def _root(self) -> Plan:
        return Plan(params=complete_params(self._define, self._rng, {}, {}))

    def _opening(self, history: History) -> Plan | None:
        """The next point of the sweep; a random schedule while the best boundary is not known yet."""
        settings, last = self._settings, self._settings.num_stages - 1
        # schedules from before the sweep are no part of it
        since = next((index for index, one in enumerate(history.seen) if one.stop_after is not None), 0)
        for stage in range(settings.num_stages):
            bases = best_beginnings(history, stage - 1, 1)
            if not bases:
                return self._root()
            begun = sum(one.stop_after == (None if stage == last else stage) for one in history.seen[since:])
            wanted = len(self._memory.sweeper.points(bases[0], stage)) + settings.num_roots * (stage == last)
            if begun >= wanted:
                continue
            left = self._memory.sweeper.left(history, bases[0], stage)
            if not left and stage == last:
                return self._root()
            if not left:
                continue
            is_waiting = any(one.is_running and one.stop_after == stage - 1 for one in history.seen)
            roots = sum(one.stop_after is None for one in history.seen)
            return self._root() if is_waiting and roots < settings.num_roots else left[0]
        return None

    def _best_candidate(self, history: History) -> Plan:
        surrogate = self._memory.surrogate(history, self._seed)
        scored = self._scored(history, surrogate, self._candidates(history))
        if self._memory.listed is None:
            centers = [params for _, params in scored[:NUM_CENTERS]]
            close = neighbors(
                self._define,
                self._rng,
                centers or [history.complete[0].params],
                count=self._settings.num_candidates // 2,
                num_stages=self._settings.num_stages,
            )
            scored = [*scored[:1], *self._scored(history, surrogate, close)]
        if not scored:
            return self._root()
        (_, gain), params = max(scored, key=lambda pair: pair[0][0])
        return Plan(params=params, expected_gain=gain)

    def _candidates(self, history: History) -> Candidates:
        if self._memory.listed is not None:
            return self._memory.listed
        return draw_candidates(history, self._define, self._rng, self._settings.num_candidates // 2)

    def _scored(
        self, history: History, surrogate: Surrogate, drawn: Candidates
    ) -> list[tuple[tuple[float, float], Params]]:
        """((score, expected improvement in nats), schedule) of the best that may be trained now, best first."""
        done = np.array([history.cached_stages(blocks) for blocks in drawn])
        missing = self._missing_costs(history, drawn, done)
        eligible = missing > 0
        if self._root_share(history) < self._settings.min_root_share and (eligible & (done == 0)).any():
            eligible &= done == 0
        if not eligible.any():
            return []
        predicted = surrogate.predict(self._memory.encoded(drawn)[eligible])
        log_gain = log_expected_improvement(surrogate.best_loss, *predicted)
        power = 1.0 - min(max(self._spent(), 0.0), 1.0)
        score = log_gain - power * np.log(missing[eligible])
        rows = [params for params, wanted in zip(drawn.values(), eligible, strict=True) if wanted]
        order = np.argsort(-score, kind="stable")[:NUM_CENTERS]
        return [((float(score[i]), float(np.exp(log_gain[i]))), rows[i]) for i in order]

    def _missing_costs(self, history: History, drawn: Candidates, done: NDArray[np.int_]) -> NDArray[np.float64]:
        """Cost of the stages still to be trained; 0 where one of them is in flight or known to be a dead end."""
        costs = [
            0.0
            if blocks[: cached + 1] in history.in_flight or history.is_dead(blocks)
            else sum(self._memory.costs(blocks, params)[cached:])
            for (blocks, params), cached in zip(drawn.items(), done.tolist(), strict=True)
        ]
        return np.array(costs, dtype=np.float64)

    def _root_share(self, history: History) -> float:
        """Share of the cost so far that went to trials whose first stage was new."""
        done: set[Beginning] = set()
        spent = [0.0, 0.0]
        for one in history.seen:
            costs = self._memory.costs(one.blocks, one.params)
            reached = [one.blocks[: stage + 1] for stage in range(one.last_stage(history.num_stages) + 1)]
            is_root = reached[0] not in done
            spent[is_root] += sum(cost for cost, node in zip(costs, reached, strict=False) if node not in done)
            done.update(reached)
        return spent[True] / sum(spent) if sum(spent) else 1.0


def tree_sampler(
    define: Define,
    settings: TreeSettings,
    *,
    seed: int,
    spent: Callable[[], float],
    memory: TreeMemory | None = None,
) -> PlannedSampler:
    """Make an Optuna sampler that searches a stage tree; any Optuna study with staged parameter names can use it.

    Args:
        define: The space as a function that asks for every parameter.
        settings: How to go about it.
        seed: Seed of all that is random.
        spent: Share of the search's budget that is spent, in [0, 1]; asked before each proposal.
        memory: What is kept from one sampler of the study to the next; None: a memory of its own.
    """
    kept = memory or TreeMemory(define, settings)
    planner = TreePlanner(define, settings, seed=seed, spent=spent, memory=kept)
    return PlannedSampler(planner=planner, reader=kept.reader, seed=seed)
