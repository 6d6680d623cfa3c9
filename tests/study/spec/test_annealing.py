"""Proves where a schedule counts as annealed: a small last factor, after a decay over a tenth of the budget."""

from __future__ import annotations

import pytest

from mbo_search.study.catalogue.entries import StageClock
from mbo_search.study.spec.annealing import decay_share, is_annealed, last_factor
from tests.study.builders import lr_shape


def clock(stage_steps=400, warmup_steps=0, budget_steps=1000):
    return StageClock(stage_steps=stage_steps, warmup_steps=warmup_steps, budget_steps=budget_steps)


@pytest.mark.parametrize(
    ("shape", "stage", "annealed"),
    [
        (lr_shape("linear"), clock(), True),
        (lr_shape("cosine"), clock(), True),
        (lr_shape("poly"), clock(), True),
        (lr_shape("one_cycle"), clock(), True),
        (lr_shape("constant"), clock(), False),
        (lr_shape("inv_sqrt"), clock(), False),
        (lr_shape("linear", floor=0.05), clock(), True),
        (lr_shape("linear", floor=0.15), clock(), False),
        (lr_shape("linear"), clock(stage_steps=100), True),
        (lr_shape("linear"), clock(stage_steps=90), False),
        (lr_shape("linear"), clock(stage_steps=120, warmup_steps=50), False),
        (lr_shape("wsd", decay=0.25), clock(), True),
        (lr_shape("wsd", decay=0.2), clock(), False),
        (lr_shape("linear"), clock(stage_steps=5, budget_steps=10), False),
    ],
    ids=str,
)
def test_shapes_are_judged_by_their_end(shape, stage, annealed):
    assert is_annealed("adamw", shape, stage) == annealed


def test_an_optimizer_that_replaces_the_decay_counts_as_annealed():
    assert is_annealed("sf_adamw", lr_shape("constant"), clock())


def test_the_decay_of_wsd_is_measured_from_its_last_step_at_the_peak():
    assert decay_share(lr_shape("wsd", decay=0.5), clock()) == pytest.approx(0.2, abs=0.002)
    assert last_factor(lr_shape("wsd", decay=0.5, kind="linear"), clock()) == pytest.approx(1 / 200)
