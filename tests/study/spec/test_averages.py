"""Proves the algebra of a mean of weights that imitates a decay: for gradients that do not depend on the weights it
equals gradient descent along that decay, and it begins exactly where a constant stage would go on."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbo_search.study.catalogue.entries import StageClock
from mbo_search.study.spec.annealing import is_annealed
from mbo_search.study.spec.keys import segment_keys
from mbo_search.study.spec.lr_shapes import annealing_factor, lr_factor, mean_share
from mbo_search.study.spec.rungs import rung_of
from mbo_search.study.spec.segments import cut
from tests.study.builders import BUDGET, lr_shape, schedule, stage
from tests.study.shapes import clocks

LIKE = st.sampled_from(["linear", "sqrt"])


def descended(shape, clock, gradients):
    """Weights after gradient descent with these gradients, and the mean that the shape asks for."""
    weight, mean = 0.0, 0.0
    for step in range(clock.stage_steps):
        weight -= lr_factor(shape, step, clock) * gradients[step]
        mean += mean_share(shape, step, clock) * (weight - mean)
    return weight, mean


@given(st.floats(0.01, 1.0), LIKE, clocks(80))
def test_the_mean_equals_the_decayed_run_for_gradients_that_the_weights_do_not_change(span, like, clock):
    average = lr_shape("average", span=span, like=like)
    decay = round(span * clock.budget_steps) / clock.stage_steps
    gradients = [(7 * step) % 5 - 1.5 for step in range(clock.stage_steps)]
    _, mean = descended(average, clock, gradients)
    decayed, _ = descended(lr_shape("wsd", decay=decay, kind=like), clock, gradients)
    if round(decay * clock.stage_steps) > 0:
        assert mean == pytest.approx(decayed, abs=1e-6)


@given(st.floats(0.01, 1.0), LIKE, clocks(80))
def test_shares_are_nothing_then_everything_then_ever_less_than_all(span, like, clock):
    shares = [mean_share(lr_shape("average", span=span, like=like), s, clock) for s in range(clock.stage_steps)]
    begun = [share for share in shares if share]
    assert begun == shares[len(shares) - len(begun) :]
    assert begun[0] == 1.0
    assert all(0 < share < 1 for share in begun[1:])


def test_a_linear_one_is_the_plain_mean_of_the_last_weights():
    clock = StageClock(stage_steps=50, warmup_steps=5, budget_steps=100)
    shape = lr_shape("average", span=0.2)
    assert [mean_share(shape, step, clock) for step in range(30, 50)] == pytest.approx(
        [1 / number for number in range(1, 21)]
    )
    assert mean_share(shape, 29, clock) == 0.0


@pytest.mark.parametrize(("span", "annealed"), [(0.1, True), (0.2, True), (0.05, False)])
def test_it_counts_as_annealed_like_the_decay_that_it_imitates(span, annealed):
    clock = StageClock(stage_steps=500, warmup_steps=0, budget_steps=1000)
    assert is_annealed("adamw", lr_shape("average", span=span), clock) == annealed
    assert is_annealed("adamw", lr_shape("wsd", decay=2 * span, kind="linear"), clock) == annealed
    assert annealing_factor(lr_shape("average", span=span), 499, clock) == pytest.approx(1 / (1000 * span))


def keys(*stages):
    return segment_keys("root", cut(schedule(*stages), BUDGET))


def averaged(span, like="linear", share=1.0, **settings):
    return stage("last", share, lr_shape=lr_shape("average", span=span, like=like), **settings)


@settings(max_examples=25)
@given(st.integers(1, 20), st.integers(1, 20), LIKE)
def test_segments_before_the_span_are_those_of_a_constant_trunk(first, second, like):
    constant, one, other = keys(stage()), keys(averaged(first / 20, like)), keys(averaged(second / 20))
    assert one[: 20 - first] == constant[: 20 - first]
    assert not set(one[20 - first :]) & set(constant)
    is_equal = first == second and (like == "linear" or first * BUDGET.steps_per_segment == 1)
    assert (one == other) == is_equal


@settings(max_examples=25)
@given(st.integers(1, 19), st.integers(1, 19))
def test_keys_are_equal_exactly_if_learning_rates_and_means_are(share, span):
    """A trunk of its own before the last stage changes nothing, unless the stage is too short for the span."""
    trunk = stage("trunk", share / 20)
    two = keys(trunk, averaged(span / 20, share=1 - share / 20, hand_over="carry"))
    assert (two == keys(averaged(span / 20))) == (span <= 20 - share)


def test_a_mean_that_training_goes_on_from_is_another_one():
    one = keys(averaged(0.2, share=0.5), stage("next", 0.5, hand_over="carry"))
    other = keys(averaged(0.2, share=0.6), stage("next", 0.4, hand_over="carry"))
    assert one[5] == other[5]
    assert one[6:] != other[6:]
    assert len({one[9], other[9], keys(stage())[9]}) == 3


def test_the_rung_is_told_by_the_mean_and_not_by_the_constant_rate_alone():
    assert rung_of(schedule(stage())) == "tuned"
    assert rung_of(schedule(averaged(0.2))) == "tuned"
    assert rung_of(schedule(averaged(0.3))) == "shape"
    trunk = stage("trunk", 0.5)
    assert rung_of(schedule(trunk, averaged(0.2, share=0.5, hand_over="carry"))) == "tuned"
    assert rung_of(schedule(trunk, averaged(0.3, share=0.5, hand_over="carry"))) == "shape"
