"""Proves for every learning-rate shape: factors are finite and in (0, 1], ends and warm-up are right, and what two
stages of different length have in common is equal to the last bit."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.study.catalogue.entries import StageClock
from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.spec.lr_shapes import lr_factor
from mbo_search.study.spec.schedule import LrShape
from tests.study.shapes import clocks, shapes

FALLING = ("constant", "cosine", "inv_sqrt", "linear", "poly", "wsd")


def factors(shape, clock):
    return [lr_factor(shape, step, clock) for step in range(clock.stage_steps)]


def default(kind, /, **hparams):
    return LrShape(kind=kind, hparams={n: i.default for n, i in LR_SHAPES[kind].hparams.items()} | hparams)


@given(shapes(), clocks())
def test_factors_are_finite_positive_and_at_most_one(shape, clock):
    assert all(0.0 < factor <= 1.0 for factor in factors(shape, clock))


@given(shapes(), clocks())
def test_the_warm_up_is_a_line_that_ends_at_the_peak(shape, clock):
    rise = factors(shape, clock)[: clock.warmup_steps]
    assert rise == [(step + 1) / clock.warmup_steps for step in range(clock.warmup_steps)]


@given(shapes(), clocks())
def test_factors_never_fall_below_the_floor(shape, clock):
    floor = shape.hparams.get("floor", 0.0)
    if shape.kind != "one_cycle":  # it rises from a fixed start of its own
        assert all(factor >= floor - 1e-12 for factor in factors(shape, clock)[clock.warmup_steps :])


@given(shapes(kinds=FALLING), clocks())
def test_behind_the_warm_up_factors_start_at_the_peak_and_never_rise(shape, clock):
    falling = factors(shape, clock)[clock.warmup_steps :]
    assert all(later <= earlier for earlier, later in itertools.pairwise(falling))
    if shape.kind != "wsd" or round(shape.hparams["decay"] * clock.stage_steps) < len(falling):
        assert falling[0] == 1.0


@given(shapes(kinds=("cosine", "linear", "poly", "wsd"), max_floor=0.0), st.integers(200, 400))
def test_decaying_shapes_come_close_to_a_floor_of_zero(shape, num_steps):
    clock = StageClock(stage_steps=num_steps, warmup_steps=0, budget_steps=num_steps)
    last = factors(shape, clock)[-1]
    decay_steps = round(shape.hparams.get("decay", 1.0) * num_steps)
    power = min(1.0, shape.hparams.get("power", 1.0))
    assert last <= (1.0 / decay_steps) ** power + 1e-9


@given(st.floats(0.01, 1.0), st.sampled_from(["linear", "sqrt"]), clocks())
def test_the_stable_part_of_wsd_is_exactly_the_peak(decay, kind, clock):
    shape = default("wsd", decay=decay, kind=kind)
    stable_steps = clock.stage_steps - round(decay * clock.stage_steps)
    assert set(factors(shape, clock)[clock.warmup_steps : stable_steps]) <= {1.0}


@pytest.mark.parametrize(("kind", "middle"), [("linear", 0.5), ("cosine", 0.5), ("poly", 0.25)])
def test_half_way_factors_are_those_of_the_formula(kind, middle):
    clock = StageClock(stage_steps=120, warmup_steps=20, budget_steps=200)
    assert lr_factor(default(kind), 70, clock) == pytest.approx(middle)


def test_the_square_root_decay_is_that_of_the_paper():
    clock = StageClock(stage_steps=100, warmup_steps=0, budget_steps=100)
    shape = default("wsd", decay=0.4, kind="sqrt")
    assert [lr_factor(shape, step, clock) for step in (60, 70, 99)] == pytest.approx(
        [1.0, 0.5, 1 - math.sqrt(39 / 40)]
    )


def test_one_cycle_rises_to_its_peak_and_falls_to_its_floor():
    clock = StageClock(stage_steps=1000, warmup_steps=0, budget_steps=1000)
    curve = factors(default("one_cycle", floor=0.1), clock)
    assert curve[0] == pytest.approx(0.04)
    assert max(range(1000), key=curve.__getitem__) == 300
    assert curve[-1] == pytest.approx(0.1, abs=1e-4)


@given(shapes(kinds=("constant", "inv_sqrt")), clocks(200), st.integers(1, 200))
def test_shapes_without_an_end_do_not_depend_on_the_length_of_their_stage(shape, clock, more):
    longer = StageClock(
        stage_steps=clock.stage_steps + more,
        warmup_steps=clock.warmup_steps,
        budget_steps=clock.budget_steps,
    )
    assert factors(shape, longer)[: clock.stage_steps] == factors(shape, clock)
