"""Proves that a step which passes over its tokens several times is charged for each, and all else follows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.errors import StudyError
from mbo_search.extensions import with_extensions
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.space.space import staged_space
from mbo_search.study.spec.budget import rounding_note, study_budget
from mbo_search.study.spec.keys import segment_keys
from mbo_search.study.spec.schedule import Regularizer
from mbo_search.study.spec.sections.choices import RegularizerChoice
from mbo_search.study.spec.sections.training import BudgetSpec
from mbo_search.study.spec.segments import cut, passes_of
from mbo_search.study.study import Study
from tests.helpers.foreign import sections
from tests.study.builders import BUDGET, optimizers, schedule, stage, stage_space, study

TWICE = replace(REGULARIZERS["z_loss"], name="twice", version="1", passes=2)
THRICE = replace(OPTIMIZERS["adamw"], name="thrice", version="1", passes=3)
EVEN = replace(BUDGET, steps_per_segment=12)


@pytest.fixture(autouse=True)
def _known():
    with with_extensions(TWICE, THRICE):
        yield


def twice(name, share, strength=1e-4, **settings):
    return stage(name, share, regularizers=(Regularizer(kind="twice", strength=strength),), **settings)


@given(st.integers(1, 19), st.booleans())
def test_every_segment_costs_the_same_and_dear_steps_are_fewer(count, is_first):
    shares = (count / 20, 1 - count / 20)
    dear, plain = twice("dear", shares[0]), stage("plain", shares[1], hand_over="carry")
    stages = (dear, plain) if is_first else (stage("plain", shares[1]), twice("dear", shares[0], hand_over="carry"))
    segments = cut(schedule(*stages), EVEN)
    assert {segment.tokens for segment in segments} == {EVEN.segment_tokens}
    assert segments[0].first_step == 0
    assert [s.first_step for s in segments[1:]] == [s.last_step for s in segments[:-1]]
    assert segments[-1].last_step == 6 * count + 12 * (20 - count)
    ends = [segment.tokens_at(segment.last_step) for segment in segments]
    assert ends == [(index + 1) * EVEN.segment_tokens for index in range(20)]
    read = {segment.stage.name: segment.read_tokens for segment in segments}
    assert read == {"dear": EVEN.segment_tokens // 2, "plain": EVEN.segment_tokens}


def test_clocks_are_in_steps_of_the_stage():
    segments = cut(schedule(twice("dear", 0.5, warmup=0.1), stage("plain", 0.5, hand_over="carry")), EVEN)
    assert (segments[0].clock.stage_steps, segments[0].clock.warmup_steps) == (60, 12)
    assert (segments[0].clock.budget_steps, segments[-1].clock.budget_steps) == (120, 240)
    assert segments[10].stage_first_step == 60


def test_later_stages_do_not_change_earlier_keys():
    first = stage("a", 0.5, warmup=0.1)
    alone = segment_keys("", cut(schedule(first, stage("b", 0.5, hand_over="carry")), EVEN))
    before = segment_keys("", cut(schedule(first, twice("b", 0.5, hand_over="carry")), EVEN))
    assert alone[:10] == before[:10]
    assert alone[10] != before[10]


def test_what_is_switched_off_is_not_charged():
    assert passes_of(twice("a", 1.0)) == 2
    assert passes_of(twice("a", 1.0, strength=0.0)) == 1
    assert passes_of(twice("a", 1.0, optimizer="thrice")) == 6
    keys = [segment_keys("", cut(schedule(one), EVEN)) for one in (twice("a", 1.0, strength=0.0), stage("a", 1.0))]
    assert keys[0] == keys[1]


def test_a_budget_leaves_whole_steps_to_every_combination():
    dear = (RegularizerChoice(kind="twice", strength=1e-4),)
    found = study(
        stage_space("a", 0.5, optimizer=optimizers("adamw", "thrice")),
        stage_space("b", regularizers=((), dear)),
        budget=BudgetSpec(tokens=64 * 20 * 13),
    )
    budget = study_budget(found)
    assert (budget.num_segments, budget.steps_per_segment, budget.unit_steps) == (20, 12, 6)
    assert "12 steps of 64 tokens" in rounding_note(found)
    assert staged_space(found).budget.of_stage(twice("a", 1.0, optimizer="thrice")).steps_per_segment == 2


def test_steps_that_do_not_fill_a_segment_are_refused_with_a_budget_that_fits():
    with pytest.raises(StudyError, match=r"stages\.dear.*multiple of 2560"):
        cut(schedule(twice("dear", 1.0)), replace(BUDGET, steps_per_segment=11))


def test_a_trainer_of_ones_own_takes_one_pass():
    changes = {"runner": {"command": "python train.py"}, "stage_defaults": {"regularizers": {"twice": 1e-4}}}
    with pytest.raises(StudyError, match=r"stage_defaults\.regularizers"):
        Study.model_validate(sections() | changes)
