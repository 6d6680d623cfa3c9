"""Proves that every searcher finds its way where stages may be left out and limits hold: by the real controller,
with nothing drawn in vain, and the tree searcher without asking twice for what trains alike."""

from __future__ import annotations

import importlib
import itertools
from pathlib import Path
from types import ModuleType

import pytest

from mbo_search.engine.simulation.simulate import Simulation, simulate
from mbo_search.engine.simulation.stage_table import StageTable
from mbo_search.study.spec.sections.stages import AtMostSpec

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
OPTIONS = (
    {"optimizer": "adamw", "lr": 1e-3},
    {"optimizer": "adamw", "lr": 4e-3},
    {"optimizer": "lion", "lr": 1e-4},
    {"optimizer": "muon", "lr": 2e-3},
)
ONE_CHANGE = AtMostSpec(optimizer_changes=1)


@pytest.fixture
def spaces(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("optional_stages")


@pytest.fixture(scope="module")
def table() -> StageTable:
    """The best sequence changes the optimizer twice; the best with one change keeps its first strategy."""
    paths = [path for length in (1, 2, 3) for path in itertools.product(range(4), repeat=length)]
    good = {(1, 2, 3): 1.0, (1, 1, 3): 0.8}
    losses = {path: 4.0 - 0.2 * sum(1 / (1 + abs(one - 1)) for one in path) - good.get(path, 0.0) for path in paths}
    return StageTable(name="small", stages=3, options=OPTIONS, losses=losses)


@pytest.mark.parametrize(
    ("searcher", "limits"),
    [
        ("tree", AtMostSpec()),
        ("tree", ONE_CHANGE),
        ("tree", AtMostSpec(stages=2)),
        ("random", ONE_CHANGE),
        ("tpe", ONE_CHANGE),
        ("beam2", ONE_CHANGE),
        ("grid", ONE_CHANGE),
    ],
)
def test_nothing_is_drawn_in_vain(spaces: ModuleType, table: StageTable, searcher: str, limits: AtMostSpec) -> None:
    space = spaces.table_space(table, is_optional=True, limits=limits)
    what, draws = Simulation(searcher=searcher, budget_stage_runs=18, seed=1), spaces.Draws()
    found = simulate(table, what, spaces.search_space(table, space, what, draws))
    assert draws.broken == 0
    assert found.curve[-1].best_loss is not None
    if searcher == "tree":
        assert draws.all == 2 * found.trials, "one draw for each trial, and one to write it down"


def test_what_is_found_keeps_the_limit_and_is_the_best_that_does(spaces: ModuleType, table: StageTable) -> None:
    space = spaces.table_space(table, is_optional=True, limits=ONE_CHANGE)
    what = Simulation(searcher="tree", budget_stage_runs=30)
    found = simulate(table, what, spaces.search_space(table, space, what, spaces.Draws()))
    best = spaces.best_within(table, ONE_CHANGE)
    assert best == table.losses[1, 1, 3] > table.best_loss
    assert found.curve[-1].best_loss == best


def test_probes_of_several_slots_end_after_stages_that_are_trained(spaces: ModuleType, table: StageTable) -> None:
    space = spaces.table_space(table, is_optional=True, limits=ONE_CHANGE)
    what = Simulation(searcher="tree", budget_stage_runs=30, slots=4, seed=2)
    found = simulate(table, what, spaces.search_space(table, space, what, spaces.Draws()))
    assert found.curve[-1].best_loss == spaces.best_within(table, ONE_CHANGE)
