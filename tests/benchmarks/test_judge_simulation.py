"""Proves that the simulation of judging counts what it says, and that a fixed test is what it is compared with."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from scipy import stats

from mbo_search.judging.question import JudgeQuestion

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("judge_simulation")


def test_a_large_gain_is_kept_at_the_first_look_and_none_is_not(bench, rng):
    question, draw = JudgeQuestion(), bench.DRAWS["normal"]
    settings = {"sd": 0.01, "rng": rng, "num_studies": 8}
    row = bench.shares(bench.studies(draw, question, gain=0.2, **settings))
    assert (row["keep"], row["pairs"]) == (1.0, 6.0)
    assert bench.shares(bench.studies(draw, question, gain=-0.2, **settings))["discard"] == 1.0


def test_the_fixed_test_finds_as_much_with_its_seeds(bench):
    num_seeds = bench.fixed_seeds(1.0, 0.8)
    found = stats.nct.sf(stats.t.isf(0.025, num_seeds - 1), num_seeds - 1, num_seeds**0.5)
    assert found == pytest.approx(0.8, abs=1e-6)
    assert bench.fixed_seeds(5.0, 0.5) == 3.0
