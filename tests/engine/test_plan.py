"""Proves that a plan tells what a run would do: absolute learning rates, sizes, tokens, and a measured pace."""

from __future__ import annotations

import pytest

from mbo_search.engine.control.confirm import confirm_cost
from mbo_search.engine.plan import make_plan
from mbo_search.errors import StudyError
from mbo_search.study.spec.budget import study_budget
from mbo_search.testing.studies import tiny_study


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("plan")


@pytest.fixture(scope="module")
def plan(tiny, folder):
    return make_plan(tiny, cache=folder / "cache")


def test_learning_rates_are_absolute(plan):
    staged = plan.arms[0]
    found = {(item.stage, item.optimizer): item for item in staged.lr_ranges}
    assert found.keys() == {(stage, name) for stage in ("warm", "cool") for name in ("adamw", "lion")}
    for item in staged.lr_ranges:
        assert (item.low, item.high) == pytest.approx((0.25 * item.reference_lr, 4 * item.reference_lr))


def test_the_most_that_a_confirmation_can_cost_is_counted(tiny_root):
    study = tiny_study(tiny_root, "confirm={top: 2, seeds: 3, attribution: true}")
    cost = confirm_cost(study, study_budget(study))
    assert (cost.schedules, cost.token_multiples, cost.parts) == (8, (0.8, 1.25), 9)
    assert cost.tokens == round(3 * (8 + 2.05 + 9) * 2560)
    assert confirm_cost(tiny_study(tiny_root), study_budget(study)) is None


def test_shapes_are_previewed_stage_by_stage(plan):
    previews = {(item.stage, item.lr_shape): item.factors for item in plan.arms[0].lr_previews}
    assert set(previews[("warm", "constant")]) == {1.0}
    linear = previews[("cool", "linear")]
    assert linear[0] > linear[-1] > 0
    assert {item.lr_shape for item in plan.arms[1].lr_previews} == {"cosine", "linear", "wsd"}


def test_sizes_and_tokens_follow_from_the_study(plan):
    assert (plan.schedule_tokens, plan.steps, plan.trials) == (2560, 40, 6)
    assert plan.most_tokens == 6 * 2560
    assert plan.arms[0].free_numbers == 2
    assert [found.name for found in plan.arms[0].parameters][:2] == ["stage/0/optimizer", "stage/0/lr_relative"]
    assert plan.nodes_that_fit * plan.node_bytes <= plan.store_bytes
    assert (plan.backend, plan.slots) == ("local", 1)
    assert plan.baselines.keys() == {"adamw_cosine"}


def test_the_pace_is_measured(plan):
    assert 0 < plan.pace.tokens <= plan.schedule_tokens
    assert plan.most_seconds == pytest.approx(plan.most_tokens / plan.pace.tokens_per_second)


def test_planning_writes_nothing_but_prepared_data(plan, folder):
    assert [path.name for path in folder.iterdir()] == ["cache"]


def test_a_study_that_cannot_run_cannot_be_planned(tiny_root):
    with pytest.raises(StudyError, match=r"train\.batch_tokens"):
        make_plan(tiny_study(tiny_root, "train.batch_tokens=72"), cache=tiny_root / "cache")
