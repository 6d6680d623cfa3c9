"""Proves how fitnesses of nodes are compared, what their searches pay, and that probes leave a table as it was."""

from __future__ import annotations

import importlib
import itertools
import json
import statistics
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from mbo_search.data.prepare import prepare
from mbo_search.study.files.study_file import dump_study
from mbo_search.testing.studies import tiny_study
from mbo_search.train.setup.resolve import resolve_setup

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

REACHABLE = np.array([1.0, 2.0, 3.0, 4.0])
"""Best final loss behind each of four first stages."""


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("node_fitness")


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("stage_table")


def space_of(bench: ModuleType, loss: list[float], probe: list[float], *, cost: float = 0.1):
    """Two stages of four strategies; the third strategy is the best one of the last stage."""
    first, final = np.array(loss), REACHABLE[:, None] + np.array([0.3, 0.2, 0.0, 0.1])
    fitnesses = (bench.Fitness("loss", (first,)), bench.Fitness("probe", (np.array(probe),), cost))
    return bench.Space((first, final), fitnesses)


def test_a_fitness_that_orders_nodes_the_other_way_round_is_told_from_one_that_is_right(bench: ModuleType) -> None:
    space = space_of(bench, [4.0, 3.0, 2.0, 1.0], [1.5, 1.6, 1.7, 1.8])
    assert bench.figures(space, index=0, depth=1) == {
        "spearman": -1.0,
        "regret/1": 3.0,
        "regret/3": 1.0,
        "cost": 0.0,
    }
    right = bench.figures(space, index=1, depth=1)
    assert right == {"spearman": 1.0, "regret/1": 0.0, "regret/3": 0.0, "cost": pytest.approx(0.4)}


def test_nodes_that_diverged_are_left_out_and_cost_no_probe(bench: ModuleType) -> None:
    space = space_of(bench, [bench.DIVERGED, 5.0, 6.0, 7.0], [bench.DIVERGED, 1.7, 1.6, 1.5])
    found = bench.figures(space, index=1, depth=1)
    assert (found["spearman"], found["regret/1"], found["cost"]) == (-1.0, 3.0, pytest.approx(0.3))


def test_a_schedule_that_diverged_counts_as_the_worst_that_did_not(bench: ModuleType) -> None:
    levels = np.array([1.0, 2.0]), np.array([[2.0, bench.DIVERGED], [bench.DIVERGED, bench.DIVERGED]])
    space = bench.Space(levels, (bench.Fitness("loss", levels[:1]),))
    assert space.reachable[0].tolist() == [2.0, 2.0]


def test_the_regret_of_random_nodes_is_the_mean_over_all_draws(bench: ModuleType) -> None:
    found = bench.random_figures(space_of(bench, [1.0] * 4, [1.0] * 4), 1)
    draws = [min(drawn) for drawn in itertools.combinations(REACHABLE - 1.0, 3)]
    assert found["regret/1"] == pytest.approx(1.5)
    assert found["regret/3"] == pytest.approx(statistics.fmean(draws))


def test_a_search_pays_for_every_probe_and_goes_on_with_what_it_saved(bench: ModuleType) -> None:
    space = space_of(bench, [2.0, 1.0, 3.0, 4.0], [1.5, 1.6, 1.7, 1.8], cost=0.5)
    by_loss, by_probe = (bench.BeamSearch(space, one, np.random.default_rng(0)) for one in space.fitnesses)
    assert bench.beam_cost(space, 1, 0.5) == 10.0
    by_probe.run(1, 10.0)
    assert (by_probe.cost, by_probe.best) == (10.0, 1.0)
    by_loss.run(1, 8.0)
    assert (by_loss.cost, by_loss.best) == (8.0, 2.0)
    by_loss.run(2, 12.0)
    assert (by_loss.cost, by_loss.best) == (12.0, 1.0)


def test_a_strategy_is_left_out_of_every_stage(bench: ModuleType) -> None:
    part = space_of(bench, [4.0, 3.0, 2.0, 1.0], [1.5, 1.6, 1.7, 1.8]).without(2)
    assert part.levels[0].tolist() == [4.0, 3.0, 1.0]
    assert part.reachable[0] == pytest.approx([1.1, 2.1, 4.1])
    assert part.fitnesses[1].levels[0].tolist() == [1.5, 1.6, 1.8]


@pytest.mark.parametrize("name", ["four-by-six", "three-by-six-annealed"])
def test_measured_tables_without_probes_are_compared_by_what_they_hold(bench: ModuleType, name: str) -> None:
    sample = bench.sample_of(BENCHMARKS / "tables" / f"{name}.json")
    assert [one.name for one in sample.whole[0].fitnesses] == ["loss", "averaged_loss"]
    assert len(sample.parts) == 6
    found = bench.figures(sample.whole[0], index=0, depth=2)
    assert -1.0 <= found["spearman"] <= 1.0
    assert 0.0 <= found["regret/3"] <= found["regret/1"]


SPEC = """
name: tiny
warmup: 0.0
seeds: [0, 1]
{probes}
options:
  - {{optimizer: adamw, lr_relative: 1.0}}
  - {{optimizer: adamw, lr_relative: 1.0, lr_shape: cosine}}
  - {{optimizer: sgd_nesterov, lr_relative: 1.0e+9}}
study_file: |
{study}
"""


def built(tables: ModuleType, folder: Path, probes: str) -> dict:
    """Really train a small table."""
    study = tiny_study(folder, "budget.grid=0.5")
    lines = "\n".join(f"  {line}" for line in dump_study(study).splitlines())
    file = folder / ("probed.yaml" if probes else "plain.yaml")
    file.write_text(SPEC.format(probes=probes, study=lines))
    spec = tables.read_spec(file)
    setup = resolve_setup(spec.study, prepare(spec.study.data, folder), 1)
    builder = tables.Builder(spec, setup, file.with_suffix(".json"))
    builder.build(folder / "scratch")
    builder.write()
    return json.loads(file.with_suffix(".json").read_text())


def test_probes_are_trained_beside_the_losses_and_change_none_of_them(
    bench: ModuleType, tables: ModuleType, tmp_path: Path
) -> None:
    plain = built(tables, tmp_path, "")
    probed = built(tables, tmp_path, "average: 0.1\nprobes: [0.1, 0.3]")
    assert plain["fields"] == ["loss", "averaged_loss", "loss/1", "averaged_loss/1"]
    probes = ["probe/0.1", "probe/0.3", "probe/0.1/1", "probe/0.3/1"]
    assert probed["fields"][4:] == [*probes, "averaged/0.1", "averaged/0.1/1"]
    assert {key: row[:4] for key, row in probed["loss"].items()} == plain["loss"]
    assert {len(row) for key, row in probed["loss"].items() if "," in key} == {4}
    constant, annealed, diverged = (probed["loss"][key] for key in "012")
    assert constant[5] < constant[4] < constant[0]
    assert abs(annealed[0] - annealed[4]) < 0.1 * (constant[0] - constant[4])
    assert constant[8] < constant[1]
    assert diverged == [bench.DIVERGED] * 10
    spaces = bench.read_spaces(tmp_path / "probed.json")
    known = [{one.name: one for one in space.fitnesses} for space in spaces]
    assert [names["probe/0.3"].levels[0][0] for names in known] == [constant[5], constant[7]]
    assert [names["averaged/0.1"].levels[0][0] for names in known] == [constant[8], constant[9]]
    assert known[0]["probe/0.3"].cost == pytest.approx(0.6)


def test_a_probe_cools_from_the_rate_of_the_last_step_to_zero_and_pieces_train_as_the_stage_does(
    tables: ModuleType,
) -> None:
    spec = tables.read_spec(BENCHMARKS / "tables" / "four-by-five-probed.yaml")
    budget = tables.BudgetSteps(num_segments=4, steps_per_segment=30, batch_tokens=256)
    stages = tuple(tables.stage_of(spec, position, 3) for position in range(4))
    last = tables.cut(tables.Schedule(stages=stages), budget)[1]
    probe = tables.probe_of(last, 0.05, budget)
    rates = [probe.lr(step) / last.stage.lr for step in range(probe.first_step, probe.last_step)]
    assert (probe.first_step, probe.num_steps) == (60, 6)
    assert rates == pytest.approx([1.0, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
    assert (probe.hand_over, probe.stage.optimizer) == ("continue", "lion")
    halves = tables.halves_of(last, 0.05, budget)
    assert [(one.first_step, one.last_step, one.ends_stage) for one in halves] == [(30, 54, False), (54, 60, True)]
    assert {one.lr(step) for one in halves for step in range(one.first_step, one.last_step)} == {
        last.lr(step) for step in range(30, 60)
    }
