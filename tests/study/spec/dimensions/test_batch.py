"""Proves that a stage's batch and context are in its key exactly as far as its steps depend on them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.errors import StudyError
from mbo_search.study.spec.budget import rounding_note, study_budget
from mbo_search.study.spec.dimensions.table import dimension_words
from mbo_search.study.spec.keys import segment_keys
from mbo_search.study.spec.rungs import rung_of
from mbo_search.study.spec.schedule import Schedule, Stage
from mbo_search.study.spec.sections.training import BudgetSpec
from mbo_search.study.spec.segments import cut
from tests.study.builders import BUDGET, lr_shape, schedule, stage, stage_space, study

STEPS = replace(BUDGET, steps_per_segment=12, context=32)


def stages() -> st.SearchStrategy[dict[str, object]]:
    return st.fixed_dictionaries(
        {
            "batch_tokens": st.sampled_from([None, 32, 64, 128, 192]),
            "context": st.sampled_from([None, 8, 16, 32]),
            "lr_shape": st.sampled_from([lr_shape(), lr_shape("linear")]),
        }
    )


def two_stages(count: int, first: dict[str, object], second: dict[str, object]) -> Schedule:
    return schedule(stage("a", count / 20, **first), stage("b", 1 - count / 20, hand_over="carry", **second))


def steps_of(found: Schedule) -> list[tuple[object, ...]]:
    """Everything that the steps of each segment depend on here, spelled out."""
    segments = cut(found, STEPS)
    return [
        (s.batch_tokens, s.stage.context or 32, [s.lr(step) for step in range(s.first_step, s.last_step)])
        for s in segments
    ]


@given(st.data())
def test_keys_are_equal_exactly_as_long_as_the_steps_are(data):
    one, other = (
        two_stages(data.draw(st.integers(1, 19)), *data.draw(st.tuples(stages(), stages()))) for _ in "12"
    )
    ours, theirs = steps_of(one), steps_of(other)
    keys = zip(segment_keys("", cut(one, STEPS)), segment_keys("", cut(other, STEPS)), strict=True)
    assert [mine == others for mine, others in keys] == [ours[: i + 1] == theirs[: i + 1] for i in range(20)]


def test_naming_the_plain_batch_and_context_changes_nothing():
    plain, named = stage("a"), stage("a", batch_tokens=64, context=32)
    assert cut(schedule(plain), STEPS) == cut(schedule(named), STEPS)
    assert segment_keys("", cut(schedule(stage("a")), BUDGET)) == segment_keys("", cut(schedule(plain), BUDGET))


def test_a_ramp_takes_fewer_steps_for_as_many_tokens():
    found = schedule(stage("a", 0.5, batch_tokens=32), stage("b", 0.5, hand_over="carry", batch_tokens=192))
    segments = cut(found, STEPS)
    assert {segment.tokens for segment in segments} == {768}
    assert [segments[0].num_steps, segments[-1].num_steps] == [24, 4]
    assert segments[-1].last_step == 10 * 24 + 10 * 4
    assert [segments[0].clock.budget_steps, segments[-1].clock.budget_steps] == [480, 80]


def test_what_a_stage_leaves_unset_is_not_written():
    assert {"batch_tokens", "context"}.isdisjoint(stage("a").model_dump())
    found = stage("a", batch_tokens=128, context=16)
    assert Stage.model_validate(found.model_dump(mode="json")) == found
    assert dimension_words(found) == {"batch": "128", "context": "16"}


@pytest.mark.parametrize("settings", [{"context": 24}, {"batch_tokens": 48}, {"batch_tokens": 320}])
def test_batches_that_are_no_whole_rows_or_segments_are_refused(settings):
    with pytest.raises(StudyError, match=r"stages\.a: has"):
        cut(schedule(stage("a", **settings)), STEPS)


def test_changing_the_batch_is_a_setting_and_choosing_it_once_is_not():
    linear = {"lr_shape": lr_shape("linear")}
    both = (stage("a", 0.5, batch_tokens=128), stage("b", 0.5, hand_over="carry", batch_tokens=64, **linear))
    assert rung_of(schedule(*both)) == "settings"
    assert rung_of(schedule(stage("a", batch_tokens=128, **linear))) == "tuned"


def test_a_budget_is_rounded_to_whole_steps_of_every_batch():
    found = study(stage_space("a", 0.5, batch_tokens=[64, 128]), stage_space("b", batch_tokens=192))
    with pytest.raises(StudyError, match=r"at least 7680 tokens"):
        study_budget(found.model_copy(update={"budget": BudgetSpec(tokens=7_000)}))
    budget = study_budget(found)
    assert (budget.steps_per_segment, budget.unit_steps) == (6, 6)
    assert "6 steps of 64 tokens in each of 20 grid segments" in rounding_note(found)
