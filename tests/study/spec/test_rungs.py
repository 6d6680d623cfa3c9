"""Proves that a schedule's rung follows from what it trains, however its stages are written down."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.spec.keys import segment_keys
from mbo_search.study.spec.rungs import RUNGS, rung_of, rungs_below
from mbo_search.study.spec.schedule import Regularizer
from mbo_search.study.spec.segments import BudgetSteps, cut
from tests.study.builders import lr_shape, schedule, stage

ROOT = "0" * 64
FINE = BudgetSteps(num_segments=10, steps_per_segment=40, batch_tokens=64)
"""Every share and every decay of these schedules is a whole number of its steps."""


def carried(name, share, optimizer="adamw", **settings):
    return stage(name, share, optimizer, hand_over="carry", **settings)


def keys(*stages):
    return segment_keys(ROOT, cut(schedule(*stages), FINE))


def linear(floor=0.0):
    return lr_shape("linear", floor=floor)


def sqrt_decay():
    return lr_shape("wsd", decay=1.0)


THREE_OF_MUON = (
    stage("a", 0.2, "muon"),
    carried("b", 0.4, "muon"),
    carried("c", 0.4, "muon", lr_shape=linear()),
)


def test_a_hand_made_cooldown_trains_like_a_decay_of_another_length_and_is_no_change_of_settings():
    one = stage("one", 1.0, "muon", lr_shape=lr_shape("wsd", decay=0.4, kind="linear"))
    assert keys(*THREE_OF_MUON) == keys(one)
    assert rung_of(schedule(*THREE_OF_MUON)) == rung_of(schedule(one)) == "shape"


@pytest.mark.parametrize(
    ("stages", "named"),
    [
        ((stage("a", 0.7), carried("b", 0.3, lr_shape=sqrt_decay())), "wsd"),
        ((stage("a", 0.7, warmup=0.02), carried("b", 0.3, lr_shape=sqrt_decay())), "wsd"),
        ((stage("a", 0.2), carried("b", 0.5), carried("c", 0.3, lr_shape=sqrt_decay())), "wsd"),
        ((stage("a", 0.5, lr_shape=linear(0.5)), carried("b", 0.5, lr=5e-4, lr_shape=linear())), "linear"),
        ((stage("a", 0.5), carried("b", 0.5)), "constant"),
    ],
)
def test_stages_that_train_like_a_named_shape_are_tuned(stages, named):
    one = stage("one", 1.0, lr_shape=lr_shape(named), warmup=stages[0].warmup)
    pairs = zip(cut(schedule(*stages), FINE), cut(schedule(one), FINE), strict=True)
    assert all(
        a.lr(step) == pytest.approx(b.lr(step)) for a, b in pairs for step in (a.first_step, a.last_step - 1)
    )
    assert rung_of(schedule(*stages)) == "tuned"


@pytest.mark.parametrize("kind", sorted(LR_SHAPES))
def test_one_stage_with_a_shape_in_its_default_settings_is_tuned(kind):
    assert rung_of(schedule(stage(lr_shape=lr_shape(kind), warmup=0.05))) == "tuned"


@pytest.mark.parametrize(
    "shape",
    [linear(0.1), lr_shape("wsd", decay=0.4), lr_shape("wsd", kind="linear"), lr_shape("poly", power=1.5)],
)
def test_one_stage_with_other_settings_of_its_shape_is_another_shape(shape):
    assert rung_of(schedule(stage(lr_shape=shape))) == "shape"


def test_another_way_to_write_a_named_shape_is_that_shape():
    assert rung_of(schedule(stage(lr_shape=lr_shape("poly", power=1.0)))) == "tuned"
    assert rung_of(schedule(stage(lr_shape=lr_shape("wsd", decay=1.0, kind="linear")))) == "tuned"


@pytest.mark.parametrize(
    "second",
    [
        {"lr": 2e-3, "lr_shape": sqrt_decay()},
        {"lr_shape": linear()},
        {"lr_shape": sqrt_decay(), "warmup": 0.02},
    ],
    ids=["a step of the rate", "another line", "a warm-up in between"],
)
def test_a_learning_rate_that_no_named_shape_has_is_another_shape(second):
    assert rung_of(schedule(stage("a", 0.7), carried("b", 0.3, **second))) == "shape"


def z_loss(strength):
    return (Regularizer(kind="z_loss", strength=strength),)


@pytest.mark.parametrize(
    "changed",
    [
        {"hand_over": "reset"},
        {"regularizers": z_loss(1e-4)},
        {"weight_decay": 0.2},
        {"clip_norm": None},
        {"trainable": "mlp"},
        {"hparams": {"beta1": 0.8, "beta2": 0.95, "eps": 1e-8}},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_whatever_is_no_learning_rate_is_a_setting(changed):
    second = carried("b", 0.3, lr_shape=sqrt_decay()).model_copy(update=changed)
    assert rung_of(schedule(stage("a", 0.7), second)) == "settings"


def test_a_reset_of_the_first_stage_resets_nothing():
    first = stage("a", 0.7, hand_over="reset")
    assert rung_of(schedule(first, carried("b", 0.3, lr_shape=sqrt_decay()))) == "tuned"


@pytest.mark.parametrize(
    "inert",
    [
        {"regularizers": (Regularizer(kind="ema", strength=0.99),)},
        {"regularizers": z_loss(0.0)},
        {"trainable": "mlp+attention"},
    ],
    ids=["averages beside the weights", "strength 0", "the order of the blocks"],
)
def test_what_training_does_not_see_is_no_setting(inert):
    blocks = "attention+mlp" if "trainable" in inert else "all"
    second = carried("b", 0.3, lr_shape=sqrt_decay(), **({"trainable": blocks} | inert))
    assert rung_of(schedule(stage("a", 0.7, trainable=blocks), second)) == "tuned"


def test_a_weight_decay_that_the_optimizer_has_not_is_no_setting():
    second = carried("b", 0.3, "adam", lr_shape=sqrt_decay(), weight_decay=0.5)
    assert rung_of(schedule(stage("a", 0.7, "adam"), second)) == "tuned"


def test_another_optimizer_is_a_switch_whatever_else_happens():
    assert rung_of(schedule(stage("a", 0.7, "muon"), carried("b", 0.3, lr_shape=sqrt_decay()))) == "switch"
    back = (stage("a", 0.4), carried("b", 0.3, "muon"), carried("c", 0.3, lr_shape=linear()))
    assert rung_of(schedule(*back)) == "switch"


def test_rungs_below_are_those_before_in_order():
    assert [len(rungs_below(rung)) for rung in RUNGS] == [0, 1, 2, 3, 4]
    assert rungs_below("switch") == RUNGS[:-1]


def _stages(counts):
    """Stages of so many segments, out of few values, so that schedules often meet."""
    return st.tuples(
        *(
            st.builds(
                stage,
                name=st.sampled_from(["x", "y"]),
                share=st.just(count / 10),
                optimizer=st.sampled_from(["adamw", "adam"]),
                lr=st.sampled_from([1e-3, 5e-4]),
                lr_shape=st.sampled_from([lr_shape(), linear(), linear(0.5), sqrt_decay()]),
                weight_decay=st.sampled_from([0.1, 0.2]),
                regularizers=st.sampled_from([(), z_loss(1e-4)]),
                hand_over=st.just(None) if index == 0 else st.sampled_from(["carry", "reset"]),
            )
            for index, count in enumerate(counts)
        )
    )


SCHEDULES = st.sampled_from([(10,), (5, 5), (7, 3), (2, 5, 3), (5, 2, 3)]).flatmap(_stages)


@given(SCHEDULES, st.integers(1, 9), st.data())
def test_schedules_with_equal_keys_have_equal_rungs(stages, cut_at, data):
    """A constant stage may be cut anywhere; a setting may change where the optimizer does not have it."""
    index = data.draw(st.integers(0, len(stages) - 1))
    whole = stages[index]
    segments = round(whole.share * 10)
    left = min(cut_at, segments - 1)
    shares = (left / 10, (segments - left) / 10) if left else (whole.share,)
    parts = [
        whole.model_copy(update={"share": share, "name": f"part{number}"}) for number, share in enumerate(shares)
    ]
    parts[1:] = [part.model_copy(update={"hand_over": "carry"}) for part in parts[1:]]
    other = (*stages[:index], *parts, *stages[index + 1 :])
    if whole.optimizer == "adam":
        other = tuple(
            one.model_copy(update={"weight_decay": 0.3}) if one.optimizer == "adam" else one for one in other
        )
    is_alike = keys(*stages) == keys(*other)
    assert is_alike or left or any(one.optimizer == "adam" for one in stages)
    if whole.lr_shape == lr_shape():
        assert is_alike
    if is_alike:
        assert rung_of(schedule(*stages)) == rung_of(schedule(*other))
