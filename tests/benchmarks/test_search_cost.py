"""Proves that the benchmark of search costs keeps the same accounts for everybody: nobody pays for what lies behind
a stage that diverged, and nothing counts that a search spent after it had found what it found."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from mbo_search.engine.simulation.simulate import Simulation, simulate
from mbo_search.engine.simulation.stage_table import StageTable

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
DIVERGED = 20.0


@pytest.fixture
def cost(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("search_cost")


@pytest.fixture
def table() -> StageTable:
    """Three stages of two strategies; whatever begins with the second one diverges at once."""
    options = ({"optimizer": "adamw", "lr": 1e-3}, {"optimizer": "adamw", "lr": 4e-3})
    paths = [path for length in (1, 2, 3) for path in np.ndindex(*(2,) * length)]
    losses = {path: DIVERGED if path[0] else 4.0 - sum(path) - len(path) / 4 for path in paths}
    return StageTable(name="small", stages=3, options=options, losses=losses)


def test_a_schedule_ends_with_the_stage_that_diverged(cost: ModuleType, table: StageTable) -> None:
    ledger = cost.Ledger(table, 100)
    assert ledger.run_cached((1, 0, 1)) == 1
    assert ledger.run_cached((1, 1, 1)) == 0
    assert ledger.run_cached((0, 0, 1)) == 3
    assert np.isinf(ledger.best[0])
    assert ledger.best[-1] == table.losses[0, 0, 1]


def test_no_loss_is_told_of_a_schedule_that_diverged_at_its_end(cost: ModuleType, table: StageTable) -> None:
    losses = {**table.losses, (0, 0, 0): DIVERGED}
    ledger = cost.Ledger(table.model_copy(update={"losses": losses}), 10)
    ledger.run_cached((0, 0, 0))
    assert (ledger.curve() == ledger.table.median_loss).all()
    assert np.isinf(ledger.best).all()


@pytest.mark.parametrize("seed", range(3))
def test_every_search_pays_one_stage_run_for_a_beginning_that_diverges(
    cost: ModuleType, table: StageTable, seed: int
) -> None:
    """All strategies of the first stage but one diverge: no more than its seven stage runs lead to an end."""
    for curve in (cost.local_curve(table, 30, seed), cost.optuna_curve(table, 30, seed, sampler="optuna-tpe")):
        assert cost.first_at(curve, table.best_loss) <= 7 + 1
    reference = cost.reference_curve(table, 60, seed, reduction_factor=4)
    assert reference[-1] == table.best_loss
    ours = simulate(table, Simulation(searcher="tree", budget_stage_runs=30, seed=seed, ends_at_best=True))
    assert min(step.best_loss for step in ours.curve if step.best_loss is not None) == table.best_loss


def test_what_a_search_spends_behind_its_last_gain_costs_nothing(cost: ModuleType) -> None:
    ours, other = np.array([4.0, 3.0, 3.0, 3.0, 3.0, 3.0]), np.array([5.0, 4.0, 4.0, 3.0, 3.0, 3.0])
    assert cost.cost_ratio(ours, other) == 4 / 2
    assert cost.cost_ratio(other, ours) == 2 / 4
    never = np.array([4.0, 4.0, 3.5, 3.5, 3.5, 3.5])
    assert cost.cost_ratio(never, ours) == 2 / 3
