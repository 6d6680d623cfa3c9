"""Proves that the benchmark of advice reads a table's space right, and loses nothing that the advice keeps."""

from __future__ import annotations

import importlib
import itertools
from pathlib import Path
from types import ModuleType

import pytest

from mbo_search.engine.simulation.stage_table import StageTable

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def advise(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("advise")


@pytest.fixture
def table() -> StageTable:
    """Two stages of four strategies, of which those with one optimizer are always bad in the second."""
    options = tuple({"optimizer": name, "lr": lr} for name in ("adamw", "lion") for lr in (1e-3, 4e-3))
    paths = [path for length in (1, 2) for path in itertools.product(range(4), repeat=length)]
    losses = {
        path: 4.0 - 0.01 * path[0] + (1.0 if len(path) == 2 and path[1] >= 2 else 0.1 * path[-1]) for path in paths
    }
    return StageTable(name="small", stages=2, options=options, losses=losses)


def test_settings_have_the_names_that_searches_give_them(advise: ModuleType, table: StageTable) -> None:
    space, named = advise.space_of(table)
    assert {one.name for one in space} >= {"stage/0/optimizer", "stage/1/lr_relative/lion"}
    assert named[3]["stage/1/optimizer"] == "lion"
    assert len({tuple(sorted(params.items())) for params in named}) == 4


def test_what_is_always_bad_goes_and_the_best_stays(advise: ModuleType, table: StageTable) -> None:
    row = advise.row_of_table(table, seed=0, budget=16, margin=0.05)
    assert row.changes >= 1
    assert row.lost == 0
    assert row.reached_at is not None
