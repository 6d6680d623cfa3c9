"""Proves that the policies with a second seed see what the seeds say, pay for it, and are judged on other seeds."""

from __future__ import annotations

import importlib
import itertools
import json
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

NUM_SEEDS = 5
LUCKY_SEED = 0
LUCKY = 3
"""A beginning that looks best on one seed and is the worst on all others."""


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("second_seed")


@pytest.fixture
def seeds(bench: ModuleType, tmp_path: Path):
    """Two stages of four strategies; luck is worth 0.4 nats to whatever begins with the lucky strategy."""
    options = [{"optimizer": "adamw", "lr": 1e-3 * 2**number} for number in range(4)]
    losses = {}
    for path in itertools.chain.from_iterable(itertools.product(range(4), repeat=length) for length in (1, 2)):
        true = 3.0 + 0.1 * path[0] - sum(0.2 - 0.05 * option for option in path[1:])
        luck = 0.4 if path[0] == LUCKY else 0.0
        losses[",".join(map(str, path))] = [
            true - (luck if seed == LUCKY_SEED else 0.0) for seed in range(NUM_SEEDS)
        ]
    fields = ["loss", *(f"loss/{seed}" for seed in range(1, NUM_SEEDS))]
    file = tmp_path / "table.json"
    content = {"schema": "mbo-search/stage-table/1", "name": "luck", "stages": 2, "options": options}
    file.write_text(json.dumps(content | {"fields": fields, "loss": losses}), encoding="utf-8")
    return bench.read_seeds(file)


def test_a_search_s_stage_runs_are_known_in_their_order_and_none_twice(seeds) -> None:
    found = seeds.search(seeds.losses[LUCKY_SEED], 12, seed=0)
    assert len(found.stage_runs) == len(set(found.stage_runs)) == 12
    assert all(path[:1] in found.stage_runs[: found.stage_runs.index(path)] for path in found.finals)
    assert found.finals[found.best] == min(found.finals.values())
    assert found.best[0] == LUCKY


def test_a_check_of_the_beginning_ends_the_reign_of_a_lucky_one_and_takes_stage_runs(
    bench: ModuleType, seeds
) -> None:
    roles = bench.Roles(LUCKY_SEED, 1, (2, 3), (4,))
    guard = bench.Guard(seeds, roles, lambda path, mine: path[0] == mine[0])
    found = guard.run(16)
    assert LUCKY in guard.checked
    assert found.best == (0, 0)
    assert len(found.stage_runs) <= 16 - 2 * seeds.table.stages
    shift = guard.losses[(LUCKY, 0)] - seeds.losses[LUCKY_SEED][(LUCKY, 0)]
    assert shift == pytest.approx(0.2), "half of the difference that the second seed makes"


def test_no_seed_has_two_roles_and_every_pair_is_there(bench: ModuleType) -> None:
    found = list(bench._roles(NUM_SEEDS))
    assert {(roles.first, roles.second) for roles in found} == set(itertools.permutations(range(NUM_SEEDS), 2))
    for roles in found:
        everybody = [roles.first, roles.second, *roles.confirm, *roles.unseen]
        assert sorted(everybody) == list(range(NUM_SEEDS))


@pytest.mark.slow
def test_policies_are_judged_on_the_unseen_seeds(bench: ModuleType, seeds) -> None:
    found = bench.measure(seeds, 16)
    mean, error = bench.difference(found["beginning"], found["none"], NUM_SEEDS)
    lucky_searches = 1 / NUM_SEEDS
    assert mean == pytest.approx(lucky_searches * (3.0 - 0.2 - (3.3 - 0.2)))
    assert error > 0
    assert min(found["none"]) == pytest.approx(2.8)
