"""Proves with a real Ray that runs are made as its tasks, and come to what they come to without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbo_search.judging.judge import JudgePlan, judge_change
from mbo_search.judging.pool import PoolPlace
from mbo_search.judging.question import JudgeQuestion
from tests.helpers.alone import run_alone
from tests.judging.programs import training


@pytest.mark.ray
@pytest.mark.timeout(600)
def test_runs_on_ray_come_to_the_same_answer(tmp_path):
    run_alone(check_answers, tmp_path)


def check_answers(folder: Path) -> None:
    sides = training(folder), training(folder, gain=0.1, noise=0.01)
    question = JudgeQuestion(workers=2)
    found = []
    for backend in ("local", "ray"):
        place = PoolPlace(backend=backend)
        plan = JudgePlan(out=folder / backend, place=place, tell=lambda line: None)
        found.append(judge_change(*sides, question, plan)[0])
    assert found[0] == found[1]
    assert found[0].decision == "keep"
    assert len(list((folder / "ray" / "candidate").glob("*.json"))) >= 6
