"""Proves which runs the noise of a command is measured with."""

from __future__ import annotations

import pytest

from mbo_search.errors import MboError
from mbo_search.judging.judge import JudgePlan
from mbo_search.judging.own_noise import measure_own_noise
from mbo_search.judging.pool import PoolPlace
from mbo_search.judging.question import JudgeQuestion
from tests.judging.programs import program, results, training


@pytest.fixture
def plan(tmp_path):
    return JudgePlan(out=tmp_path / "out", place=PoolPlace(), tell=lambda line: None)


def test_two_seeds_run_twice_and_all_others_once(tmp_path, plan):
    noise, folder = measure_own_noise(
        training(tmp_path), JudgeQuestion(max_seeds=6, first_seed=40, workers=2), plan
    )
    assert (noise.num_runs, noise.num_repeated, noise.is_repeatable) == (12, 2, True)
    assert noise.control != "keep"
    assert sorted(path.name for path in (folder / "again").glob("*.json")) == ["seed-40.json", "seed-41.json"]


def test_a_training_that_does_not_repeat_itself_is_found_out(tmp_path, plan):
    text = "import json, random; print(json.dumps({'val_loss': random.gauss(4, 0.1)}))"
    noise, _ = measure_own_noise(program(tmp_path, text), JudgeQuestion(max_seeds=6, workers=2), plan)
    assert noise.is_repeatable is False
    assert noise.largest_repeat > 0


def test_results_that_are_there_are_enough(tmp_path, plan):
    folder = results(tmp_path / "results", {seed: 4 + 0.01 * (seed % 5) for seed in range(12)})
    noise, _ = measure_own_noise(str(folder), JudgeQuestion(), plan)
    assert (noise.num_runs, noise.is_repeatable) == (12, None)


def test_one_result_is_too_few(tmp_path, plan):
    with pytest.raises(MboError, match="fewer than two runs"):
        measure_own_noise(str(results(tmp_path / "results", {1: 4.0})), JudgeQuestion(), plan)
