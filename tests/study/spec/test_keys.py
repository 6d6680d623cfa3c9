"""Proves that equal keys mean equal training: schedules meet as far as they train alike, not a
segment further."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.spec.effective import trainable_in_force
from mbo_search.study.spec.keys import root_key, segment_keys
from mbo_search.study.spec.schedule import Regularizer
from mbo_search.study.spec.segments import BudgetSteps, cut
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


OFF = [
    Regularizer(kind=kind, strength=0.0) for kind, info in REGULARIZERS.items() if info.low == 0 and kind != "ema"
]
EMA = Regularizer(kind="ema", strength=0.9)


@given(st.sets(st.sampled_from([r.kind for r in OFF])))
def test_a_regularizer_of_strength_zero_changes_no_key(kinds):
    kept = (Regularizer(kind="z_loss", strength=1e-4),)
    off = tuple(r for r in OFF if r.kind in kinds - {"z_loss"})
    plain = keys(stage("a", 0.5, regularizers=kept), stage("b", 0.5, lr=1e-4, hand_over="carry"))
    more = keys(stage("a", 0.5, regularizers=(*off, *kept)), stage("b", 0.5, lr=1e-4, hand_over="carry"))
    assert plain == more


def test_zero_means_off_for_every_regularizer_but_a_moving_average():
    assert {r.kind for r in OFF} == set(REGULARIZERS) - {"ema", "clip_value"}


def test_a_moving_average_that_nobody_reads_changes_no_key():
    """It is measured at the schedule's end, where another decay or none is in force."""
    plain = keys(stage("a", 0.5), stage("b", 0.5, lr=1e-4, hand_over="carry"))
    assert keys(stage("a", 0.5, regularizers=(EMA,)), stage("b", 0.5, lr=1e-4, hand_over="carry")) == plain
    last = keys(stage("a", 0.5), stage("b", 0.5, lr=1e-4, hand_over="carry", regularizers=(EMA,)))
    other = Regularizer(kind="ema", strength=0.99)
    both = keys(
        stage("a", 0.5, regularizers=(other,)), stage("b", 0.5, lr=1e-4, hand_over="carry", regularizers=(EMA,))
    )
    assert last == both


def test_a_folded_average_lets_stages_share_up_to_their_last_segment():
    fold = (Regularizer(kind="ema_fold", strength=0.9),)
    thirty = keys(stage("a", 0.3, regularizers=fold), stage("b", 0.7, lr=1e-4, hand_over="carry"))
    forty = keys(stage("a", 0.4, regularizers=fold), stage("b", 0.6, lr=1e-4, hand_over="carry"))
    assert shared(thirty, forty) == 5
    off = (Regularizer(kind="ema_fold", strength=0.0),)
    assert keys(stage("a", 0.3, regularizers=off), stage("b", 0.7, hand_over="carry")) == keys(stage("a"))


def test_a_moving_average_that_is_measured_at_the_end_is_in_the_key_from_where_it_began():
    def three(first, second, third):
        return keys(
            stage("a", 0.4, regularizers=first),
            stage("b", 0.3, lr=5e-4, regularizers=second, hand_over="carry"),
            stage("c", 0.3, lr=1e-4, regularizers=third, hand_over="carry"),
        )

    plain = three((), (), ())
    assert shared(plain, three((), (), (EMA,))) == 14
    assert shared(plain, three((), (EMA,), (EMA,))) == 8
    assert shared(plain, three((EMA,), (), (EMA,))) == 14
    assert three((EMA,), (), (EMA,)) == three((), (), (EMA,))


KINDS = ("embeddings", "attention", "mlp", "norms")


@given(st.permutations(KINDS), st.integers(1, 3))
def test_the_order_of_blocks_changes_no_key(names, number):
    some = "+".join(sorted(names[:number]))
    assert keys(stage(trainable=" + ".join(names[:number]))) == keys(stage(trainable=some))
    assert keys(stage(trainable="+".join([*names[:number], names[0]]))) == keys(stage(trainable=some))
    assert keys(stage(trainable="+".join(names))) == keys(stage())
    assert keys(stage(trainable=some)) != keys(stage())


def test_the_same_blocks_in_another_order_go_on():
    split = keys(stage("a", 0.5, trainable="mlp+norms"), stage("b", 0.5, trainable="norms+mlp", hand_over="carry"))
    assert split == keys(stage("a", trainable="mlp+norms"))


@pytest.mark.parametrize(
    ("expression", "same"),
    [
        ("layers:0-1+layers:2-3", "layers:0-3"),
        ("layers:1-4+layers:0-2", "layers:0-4"),
        ("layers:0-1+layers:3-4", "layers:0-1+layers:3-4"),
        ("mlp+all", "all"),
    ],
)
def test_ranges_of_layers_that_touch_are_one(expression, same):
    assert trainable_in_force(expression) == same


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
