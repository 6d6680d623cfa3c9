"""Proves that the speed is measured in bounded time, without the first steps, and said to be of a piece."""

from __future__ import annotations

import time

import pytest

from mbo_search.engine import speed as module
from mbo_search.engine.plan import make_plan
from mbo_search.testing.studies import tiny_study


def test_a_long_step_is_measured_by_a_piece(tiny_root, monkeypatch):
    monkeypatch.setattr(module, "_LONGEST_STEP_SECONDS", 1e-9)
    monkeypatch.setattr(module, "PROBE_SECONDS", 0.2)
    plan = make_plan(tiny_study(tiny_root), cache=tiny_root / "cache", backend="local")
    assert plan.pace.is_piece
    assert plan.pace.tokens_per_second > 0


@pytest.mark.slow
def test_an_absurd_step_takes_seconds(tiny_root):
    began = time.process_time()
    wide = ("model={layers: 12, width: 512, heads: 8, context: 512}", "train.batch_tokens=65536")
    study = tiny_study(tiny_root, *wide, "budget.tokens=3M")
    plan = make_plan(study, cache=tiny_root / "cache", backend="local")
    assert plan.pace.is_piece
    assert time.process_time() - began < 60
    assert plan.expected_seconds > 600


def test_the_first_steps_do_not_count(tiny_root):
    study = tiny_study(tiny_root)
    plan = make_plan(study, cache=tiny_root / "cache", backend="local")
    times = [0.0, 9.0, 12.0, 12.1, 12.2, 12.3, 20.0, 20.1]
    found = module._of_steps(times, [64] * 7, None, plan.setup)
    share = plan.setup.points * plan.setup.evaluation_tokens / plan.setup.budget().total_tokens
    assert found.tokens == 64
    assert found.seconds == pytest.approx(0.1 * (1 + 0.4 * share))
