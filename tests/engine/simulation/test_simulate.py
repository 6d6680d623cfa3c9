"""Proves that simulated searches pay for every node once, through the real controller, and find the best."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from mbo_search.engine.control.pruner import BoundaryPruner
from mbo_search.engine.simulation.simulate import Simulation, simulate
from mbo_search.engine.simulation.stage_table import StageTable

RATES = (0.5, 1.0, 2.0)
OPTIONS = tuple({"optimizer": name, "lr": rate} for name in ("adamw", "lion") for rate in RATES)
TRAP = (5, 2, 3)
"""The best schedule begins with what looks worst."""


def loss_of(path: tuple[int, ...]) -> float:
    loss = 4.0 - sum((0.3 + 0.1 * option) / (1 + abs(option - 2 * stage)) for stage, option in enumerate(path))
    return loss - 1.0 if path == TRAP else loss + 0.5 * (path[0] == 5)


@pytest.fixture(scope="module")
def table() -> StageTable:
    paths = [path for length in (1, 2, 3) for path in itertools.product(range(6), repeat=length)]
    return StageTable(name="trap", stages=3, options=OPTIONS, losses={path: loss_of(path) for path in paths})


@pytest.mark.parametrize("searcher", ["tree", "random", "tpe", "greedy", "beam2", "grid"])
def test_every_stage_run_is_paid_for_once_and_the_curve_only_falls(table, searcher):
    found = simulate(table, Simulation(searcher=searcher, budget_stage_runs=40))
    losses = [step.best_loss for step in found.curve if step.best_loss is not None]
    assert [step.stage_runs for step in found.curve] == list(range(1, 41))
    assert losses == sorted(losses, reverse=True)
    assert found.regret == pytest.approx(losses[-1] - table.best_loss)


def test_the_grid_finds_the_optimum_of_the_whole_table(table):
    num_nodes = 6 + 36 + 216
    found = simulate(table, Simulation(searcher="grid", budget_stage_runs=num_nodes))
    assert found.regret == 0
    assert found.curve[-1].stage_runs == num_nodes


def test_greedy_takes_the_best_boundary_of_every_stage(table):
    path: tuple[int, ...] = ()
    while len(path) < 3:
        path = min(((*path, option) for option in range(6)), key=lambda one: table.losses[one])
    found = simulate(table, Simulation(searcher="greedy", budget_stage_runs=18))
    assert found.curve[-1].best_loss == table.losses[path]


def test_equal_seeds_give_equal_searches(table):
    what = Simulation(searcher="tree", budget_stage_runs=40, seed=3)
    assert simulate(table, what) == simulate(table, what)


def test_slots_share_the_time_and_not_the_cost(table):
    what = {slots: Simulation(searcher="tree", budget_stage_runs=60, slots=slots) for slots in (1, 4)}
    one, four = (simulate(table, what[slots]) for slots in (1, 4))
    assert one.hours >= 60
    assert four.hours <= 60 / 3


def test_a_pruner_ends_trials_early(table):
    alone = Simulation(searcher="random", budget_stage_runs=150)
    judged = replace(alone, pruner=BoundaryPruner())
    assert simulate(table, judged).trials > simulate(table, alone).trials


def test_strategies_that_diverge_end_a_trial_and_are_paid_for(table):
    losses = {path: 20.0 if path[0] == 0 else loss for path, loss in table.losses.items()}
    found = simulate(table.model_copy(update={"losses": losses}), Simulation(searcher="tree", budget_stage_runs=60))
    assert found.regret is not None
    assert found.regret < 1.0
