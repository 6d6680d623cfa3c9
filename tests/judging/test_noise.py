"""Proves what a user learns of their own noise, and that a control of nothing keeps nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mbo_search.judging.noise import control_of, measure_noise, smallest_effect
from mbo_search.judging.question import JudgeQuestion
from mbo_search.judging.running import finished_run
from mbo_search.results.statistics.seeds_needed import power
from mbo_search.results.statistics.sequential import spending_of

QUESTION = JudgeQuestion()


@pytest.fixture
def runs(rng):
    return [finished_run(seed, {"val_loss": 4 + 0.03 * rng.standard_normal()}) for seed in range(1, 25)]


def test_the_spread_is_that_of_the_seeds_and_the_gain_is_one_that_can_be_found(runs):
    noise = measure_noise(runs, runs[:2], QUESTION)
    assert noise is not None
    assert noise.sd == pytest.approx(np.std([run.values["val_loss"] for run in runs], ddof=1))
    assert noise.detectable == pytest.approx(smallest_effect(12) * math.sqrt(2) * noise.sd)
    assert noise.detectable_percent == pytest.approx(100 * noise.detectable / noise.mean)
    assert (noise.is_repeatable, noise.largest_repeat, noise.num_repeated) == (True, 0.0, 2)


def test_the_smallest_effect_is_found_in_four_cases_of_five():
    assert power(smallest_effect(12), 12, spending_of(1)) == pytest.approx(0.8, abs=0.01)


def test_runs_of_one_seed_that_differ_are_noticed(runs):
    again = [finished_run(1, {"val_loss": runs[0].values["val_loss"] + 0.5}), finished_run(99, {"val_loss": 1.0})]
    noise = measure_noise(runs, again, QUESTION)
    assert noise is not None
    assert (noise.is_repeatable, noise.num_repeated) == (False, 1)
    assert noise.largest_repeat == pytest.approx(0.5)


def test_a_control_keeps_nothing_where_there_is_nothing(runs):
    assert control_of(runs, QUESTION).decision != "keep"


def test_a_control_finds_runs_that_depend_on_each_other():
    drifting = [
        finished_run(seed, {"val_loss": 4 - 0.01 * seed + 0.001 * (seed * seed % 7)}) for seed in range(1, 25)
    ]
    noise = measure_noise(drifting, (), QUESTION)
    assert noise is not None
    assert (noise.control, noise.is_repeatable) == ("keep", None)


def test_runs_that_failed_do_not_count(runs):
    broken = [*runs[:3], finished_run(50, {"val_loss": math.nan})]
    noise = measure_noise(broken, (), QUESTION)
    assert noise is not None
    assert (noise.num_runs, noise.num_failed) == (3, 1)
    assert measure_noise(broken[2:], (), QUESTION) is None


def test_without_a_spread_nothing_is_promised():
    same = [finished_run(seed, {"val_loss": 4.0}) for seed in range(6)]
    noise = measure_noise(same, (), QUESTION)
    assert noise is not None
    assert (noise.sd, noise.detectable, noise.control) == (0.0, None, "discard")
