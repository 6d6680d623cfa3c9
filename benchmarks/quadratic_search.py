"""Searches of continuous spaces on noisy quadratic problems: no training, seconds a search, for development.

    python benchmarks/quadratic_search.py --problems 14 --seeds 1 --json

Each problem has three stages of shares 0.3, 0.3 and 0.4, four optimizers with learning rates and weight decays from
ranges, shapes and hand-over. The reference rate of an optimizer is right up to a factor of about two, as
in a study. Ours is the tree searcher on an Optuna study, begun with one schedule an optimizer at that rate;
the other side is what Ray Tune users run: TPE and ASHA, a rung at every boundary, nothing shared. `ratio` is its
budget divided by what ours needs for its final mean; `above` the loss of ours above that mean at some costs, with
the standard error over the searches.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import optuna
from optuna.trial import Trial, TrialState
from quadratic_table import DIRECTIONS, DIVERGED, POWERS, STEPS, Quadratic, State, Strategy
from search_cost import AshaReplay

from mbo_search.engine.searcher.planned_sampler import tree_sampler
from mbo_search.engine.searcher.suggest import OptunaSuggest
from mbo_search.engine.tree.history import STOP_AFTER, Params, blocks_of
from mbo_search.engine.tree.planner_state import PlannerState, TreeSettings, initial_design_size
from mbo_search.engine.tree.prefix_cost import SegmentCost
from mbo_search.study.space.parameters import Suggest

SHARES = (0.3, 0.3, 0.4)
BUDGET = 40.0
"""Whole schedules."""
MARKS = (6, 8, 10, 12, 15, 20, 30, 40)
REFERENCE_SEEDS = 4
FACTORS = (2, 4)
NOISE = 0.002
"""Nats; what a loss says beyond its expectation."""

Curve = list[tuple[float, float]]
"""Costs at which the best loss fell, and to what."""


@dataclass(frozen=True)
class Choice:
    """What a stage does."""

    optimizer: str
    lr: float
    weight_decay: float
    hand_over: str
    shape: str


Way = tuple[Choice, ...]


class Problem:
    """A quadratic problem with a space over its stages."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 7])
        self._quadratic = Quadratic(len(POWERS), seed)
        self._strategies = {name: self._calibrated(name, rng) for name in POWERS}
        self._best_decay = {name: rng.uniform(np.log(0.01), np.log(0.3)) for name in POWERS}
        self._carried = {(one, other): 0.01 * rng.standard_normal() for one in POWERS for other in POWERS}
        self._nodes: dict[Way, tuple[State, float, float]] = {}

    def way(self, suggest: Suggest) -> Way:
        """Ask for every parameter of a schedule."""
        chosen = []
        for stage in range(len(SHARES)):
            at, is_last = f"stage/{stage}", stage == len(SHARES) - 1
            chosen.append(
                Choice(
                    optimizer=str(suggest.categorical(f"{at}/optimizer", list(POWERS))),
                    lr=suggest.number(f"{at}/lr_relative", 0.125, 8.0, log=True, step=None),
                    weight_decay=suggest.number(f"{at}/weight_decay", 0.01, 0.3, log=True, step=None),
                    hand_over=str(suggest.categorical(f"{at}/hand_over", ["carry", "reset"])) if stage else "reset",
                    shape=str(suggest.categorical(f"{at}/lr_shape", ["linear", "cosine"])) if is_last else "flat",
                )
            )
        return tuple(chosen)

    def loss(self, way: Way) -> float:
        """Loss behind the last stage of a beginning; `DIVERGED` where it has none."""
        return self._node(way)[2]

    def _node(self, way: Way) -> tuple[State, float, float]:
        """State, what decays and hand-overs have cost so far, and loss."""
        if way not in self._nodes:
            state, penalty, _ = self._node(way[:-1]) if len(way) > 1 else (self._quadratic.start, 0.0, 0.0)
            last = way[-1]
            state = self._trained(state, self._strategies[last.optimizer], last)
            off = np.log(last.weight_decay) - self._best_decay[last.optimizer]
            penalty = 0.7 * penalty + 0.01 * (off / np.log(30)) ** 2
            if len(way) > 1 and last.hand_over == "carry":
                penalty += self._carried[way[-2].optimizer, last.optimizer]
            seed = int(hashlib.sha256(repr(way).encode()).hexdigest()[:8], 16)
            noise = NOISE * np.random.default_rng(seed).standard_normal()
            self._nodes[way] = state, penalty, min(self._quadratic.loss(state) + penalty + noise, DIVERGED)
        return self._nodes[way]

    def _trained(self, state: State, strategy: Strategy, choice: Choice) -> State:
        mean, variance = state.mean, state.variance
        curvature, noise = self._quadratic.curvature, self._quadratic.noise
        with np.errstate(all="ignore"):  # what diverges is cut off at `DIVERGED`
            for step in range(STEPS):
                rate = strategy.rate * choice.lr * _height(choice.shape, step)
                keep = 1 - rate * strategy.preconditioner * curvature
                mean = keep * mean
                variance = keep**2 * variance + (rate * strategy.preconditioner) ** 2 * noise
        return State(mean, variance)

    def _calibrated(self, name: str, rng: np.random.Generator) -> Strategy:
        """Its reference rate is the best one of a schedule of nothing else, up to a factor of about two."""
        strategy = self._quadratic._strategy(name, 1.0, rng)
        rates = np.geomspace(1 / 64, 64, 25)
        losses = [self._alone(strategy, float(rate)) for rate in rates]
        rate = strategy.rate * float(rates[int(np.argmin(losses))]) * float(np.exp(0.6 * rng.standard_normal()))
        return Strategy(name, strategy.preconditioner, rate, 1.0)

    def _alone(self, strategy: Strategy, rate: float) -> float:
        state = State(self._quadratic.start.mean, np.zeros(DIRECTIONS))
        for shape in ("flat", "flat", "linear"):
            state = self._trained(state, strategy, Choice(strategy.name, rate, 0.1, "reset", shape))
        return self._quadratic.loss(state)


def _height(shape: str, step: int) -> float:
    done = step / STEPS
    heights = {"flat": min(1.0, (step + 1) / 8), "linear": 1 - done, "cosine": 0.5 * (1 + np.cos(np.pi * done))}
    return float(heights[shape])


@dataclass
class Search:
    """What a search has paid and found.

    Attributes:
        spent: Cost so far, in whole schedules.
        curve: How the best loss fell.
    """

    problem: Problem
    spent: float = 0.0
    curve: Curve = field(default_factory=list)
    _cached: set[Way] = field(default_factory=set)

    def pay(self, way: Way, *, shares: bool) -> float:
        """Train the last stage of a beginning."""
        if not (shares and way in self._cached):
            self.spent += SHARES[len(way) - 1]
            self._cached.add(way)
        loss = self.problem.loss(way)
        if len(way) == len(SHARES) and loss < (self.curve[-1][1] if self.curve else DIVERGED):
            self.curve.append((self.spent, loss))
        return loss


def ours(problem: Problem, seed: int) -> Curve:
    """The tree searcher on an Optuna study, one trial at a time."""
    settings = TreeSettings(num_stages=len(SHARES), sweep_size=initial_design_size(BUDGET))
    state = PlannerState(problem.way, settings, _cut, seed=seed)
    study, search = optuna.create_study(), Search(problem)
    for optimizer in POWERS:
        study.enqueue_trial(_beginning(optimizer))
        _run(study, search)
    while search.spent < BUDGET:
        study.sampler = tree_sampler(
            problem.way,
            settings,
            seed=seed * 100_003 + len(study.trials),
            spent=lambda: search.spent / BUDGET,
            state=state,
        )
        _run(study, search)
    return search.curve


def _beginning(optimizer: str) -> dict[str, str | float]:
    """One optimizer throughout, all numbers in the middle of their ranges on a logarithmic scale."""
    params: dict[str, str | float] = {}
    for stage in range(len(SHARES)):
        own = {"optimizer": optimizer, "lr_relative": 1.0, "weight_decay": float(np.sqrt(0.01 * 0.3))}
        params |= {f"stage/{stage}/{name}": value for name, value in (own | {"hand_over": "carry"}).items()}
    return params | {f"stage/{len(SHARES) - 1}/lr_shape": "linear"}


def _cut(params: Params) -> Sequence[Sequence[SegmentCost]]:
    return [[(block, SHARES[stage])] for stage, block in enumerate(blocks_of(params, len(SHARES)))]


def _run(study: optuna.Study, search: Search) -> None:
    trial: Trial = study.ask()
    way = search.problem.way(OptunaSuggest(trial))
    stop_after = trial.user_attrs.get(STOP_AFTER)
    last = len(SHARES) - 1 if stop_after is None else stop_after
    for stage in range(last + 1):
        loss = search.pay(way[: stage + 1], shares=True)
        if loss >= DIVERGED - 1:
            study.tell(trial, state=TrialState.PRUNED)
            return
        if stage < len(SHARES) - 1:
            trial.report(loss, stage)
    study.tell(trial, loss if stop_after is None else None, state=None if stop_after is None else TrialState.PRUNED)


def reference(problem: Problem, seed: int, *, reduction_factor: int) -> Curve:
    """TPE and ASHA, one trial at a time, every schedule from scratch."""
    judge, study = AshaReplay(reduction_factor), optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    search = Search(problem)
    while search.spent < BUDGET:
        trial = study.ask()
        way = problem.way(OptunaSuggest(trial))
        for stage in range(1, len(SHARES) + 1):
            loss = search.pay(way[:stage], shares=False)
            if loss >= DIVERGED - 1 or (stage < len(SHARES) and judge.stops(stage, loss)):
                break
            trial.report(loss, stage)
        study.tell(trial, loss)
    return search.curve


def best_at(curve: Curve, cost: float) -> float:
    """Lowest loss found for a cost."""
    return min((loss for paid, loss in curve if paid <= cost + 1e-9), default=DIVERGED)


def measure(problem_seed: int, num_seeds: int) -> list[dict[str, object]]:
    """Search one problem with both sides."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    problem = Problem(problem_seed)
    finals = [
        statistics.fmean(
            best_at(reference(problem, seed, reduction_factor=factor), np.inf) for seed in range(REFERENCE_SEEDS)
        )
        for factor in FACTORS
    ]
    target, found = min(finals), []
    for seed in range(num_seeds):
        curve = ours(problem, seed)
        paid = next((cost for cost, loss in curve if loss <= target), 2 * BUDGET)
        above = {str(mark): round(best_at(curve, mark) - target, 4) for mark in MARKS}
        found.append({"problem": problem_seed, "seed": seed, "ratio": round(BUDGET / paid, 3), "above": above})
        print(found[-1], file=sys.stderr, flush=True)
    return found


def main() -> None:
    """Measure several problems."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=14)
    parser.add_argument("--first", type=int, default=0, help="seed of the first problem")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    chosen = range(arguments.first, arguments.first + arguments.problems)
    with ProcessPoolExecutor(arguments.processes) as pool:
        found = [one for many in pool.map(partial(measure, num_seeds=arguments.seeds), chosen) for one in many]
    geometric = statistics.geometric_mean([one["ratio"] for one in found])
    above = {
        str(mark): (
            round(statistics.fmean(one["above"][str(mark)] for one in found), 4),
            round(statistics.stdev([one["above"][str(mark)] for one in found]) / len(found) ** 0.5, 4),
        )
        for mark in MARKS
    }
    summary = {"ratio": round(geometric, 3), "above": above, "searches": found}
    print(json.dumps(summary) if arguments.json else f"ratio {geometric:.2f}, above {above}")


if __name__ == "__main__":
    main()
