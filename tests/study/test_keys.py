"""Proves that equal keys mean equal training: schedules meet as far as they train alike, not a
segment further."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.study.keys import root_key, segment_keys
from mbo_search.study.schedule import Regularizer
from mbo_search.study.segments import BudgetSteps, cut
from tests.study.builders import BUDGET, lr_shape, schedule, stage

ROOT = root_key(model={"layers": 1}, data_fingerprint="d", seed=0, numerics={"dtype": "float32"})


def keys(*stages, budget=BUDGET):
    return segment_keys(ROOT, cut(schedule(*stages), budget))


def shared(one, other):
    """Segments that two schedules share from the start."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b), len(one))


@given(st.integers(1, 19), st.integers(1, 19))
def test_constant_stages_share_as_far_as_the_shorter_one(first, second):
    one = keys(stage("a", first / 20), stage("b", 1 - first / 20, lr=1e-4, hand_over="carry"))
    other = keys(stage("a", second / 20), stage("b", 1 - second / 20, lr=1e-4, hand_over="carry"))
    assert shared(one, other) == (20 if first == second else min(first, second))


def test_a_longer_constant_stage_continues_a_shorter_one():
    thirty = keys(stage("a", 0.3), stage("b", 0.7, lr=1e-4, hand_over="carry"))
    forty = keys(stage("a", 0.4), stage("b", 0.6, lr=1e-4, hand_over="carry"))
    assert shared(thirty, forty) == 6


def test_the_stable_part_of_wsd_meets_a_constant_trunk():
    wsd = keys(stage("a", lr_shape=lr_shape("wsd", decay=0.3)))
    trunk = keys(stage("a", 0.7), stage("b", 0.3, lr_shape=lr_shape("linear"), hand_over="carry"))
    assert shared(wsd, trunk) == 14


def test_a_linear_wsd_equals_a_constant_stage_with_a_linear_stage_behind():
    wsd = keys(stage("a", lr_shape=lr_shape("wsd", decay=0.3, kind="linear")))
    trunk = keys(stage("a", 0.7), stage("b", 0.3, lr_shape=lr_shape("linear"), hand_over="carry"))
    assert wsd == trunk


def test_wsd_decays_of_different_length_share_until_the_first_one_begins():
    one = keys(stage("a", lr_shape=lr_shape("wsd", decay=0.3)))
    other = keys(stage("a", lr_shape=lr_shape("wsd", decay=0.5)))
    assert shared(one, other) == 10


def test_names_of_stages_change_no_key():
    assert keys(stage("a", 0.5), stage("b", 0.5, hand_over="carry")) == keys(
        stage("x", 0.5), stage("y", 0.5, hand_over="carry")
    )


def test_splitting_a_stage_in_two_equal_ones_changes_no_key():
    assert keys(stage("a")) == keys(stage("x", 0.5), stage("y", 0.5, hand_over="carry"))


def test_the_order_of_regularizers_changes_no_key():
    z_loss, dropout = Regularizer(kind="z_loss", strength=1e-4), Regularizer(kind="dropout", strength=0.1)
    assert keys(stage(regularizers=(z_loss, dropout))) == keys(stage(regularizers=(dropout, z_loss)))


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer": "nadamw"},
        {"hparams": {"beta1": 0.9, "beta2": 0.951}},
        {"lr": 1.001e-3},
        {"lr_shape": lr_shape("linear")},
        {"warmup": 0.01},
        {"weight_decay": 0.11},
        {"clip_norm": None},
        {"clip_norm": 0.5},
        {"regularizers": (Regularizer(kind="dropout", strength=0.1),)},
        {"trainable": "norms"},
    ],
    ids=str,
)
def test_every_setting_that_matters_changes_the_first_key(change):
    assert shared(keys(stage()), keys(stage(**change))) == 0


@pytest.mark.parametrize("kind", ["dropout", "label_smoothing"])
def test_the_strength_of_a_regularizer_changes_the_key(kind):
    weak, strong = (stage(regularizers=(Regularizer(kind=kind, strength=s),)) for s in (0.1, 0.11))
    assert shared(keys(weak), keys(strong)) == 0


@pytest.mark.parametrize(
    "budget",
    [
        BudgetSteps(num_segments=20, steps_per_segment=11, batch_tokens=64),
        BudgetSteps(num_segments=20, steps_per_segment=10, batch_tokens=128),
    ],
)
def test_steps_and_batch_change_the_key(budget):
    assert shared(keys(stage()), keys(stage(), budget=budget)) == 0


@pytest.mark.parametrize(("optimizer", "common"), [("adamw", 20), ("ademamix", 0)])
def test_only_optimizers_with_a_clock_of_the_budget_depend_on_its_length(optimizer, common):
    twice = BudgetSteps(num_segments=40, steps_per_segment=10, batch_tokens=64)
    short = keys(stage("a", 0.5, optimizer=optimizer), stage("b", 0.5, lr=1e-4, hand_over="carry"))
    long = keys(stage("a", 0.25, optimizer=optimizer), stage("b", 0.75, lr=1e-4, hand_over="carry"), budget=twice)
    assert shared(short, long[:20]) == common


def test_reset_and_carry_part_where_the_stage_begins():
    carried = keys(stage("a", 0.5), stage("b", 0.5, hand_over="carry"))
    reset = keys(stage("a", 0.5), stage("b", 0.5, hand_over="reset"))
    assert shared(carried, reset) == 10


def test_equal_segments_behind_different_ones_have_different_keys():
    one = keys(stage("a", 0.5, lr=1e-3), stage("b", 0.5, hand_over="carry"))
    other = keys(stage("a", 0.5, lr=2e-3), stage("b", 0.5, hand_over="carry"))
    assert not set(one) & set(other)


@pytest.mark.parametrize(
    "change",
    [{"model": {"layers": 2}}, {"data_fingerprint": "e"}, {"seed": 1}, {"numerics": {"dtype": "bfloat16"}}],
    ids=str,
)
def test_model_data_seed_and_numerics_change_the_root(change):
    same = {"model": {"layers": 1}, "data_fingerprint": "d", "seed": 0, "numerics": {"dtype": "float32"}}
    assert root_key(**same) == ROOT
    assert root_key(**(same | change)) != ROOT
