"""The thinned course of training: how many points, which steps they cover, and what an interruption changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.study.spec.schedule import Schedule
from mbo_search.study.spec.segments import BudgetSteps, Segment, cut
from mbo_search.train.loop import StepReport
from mbo_search.train.step_series import MOST_POINTS, StepSeries
from mbo_search.trial.reports import StepMean
from tests.helpers.schedules import stage


def segments(num_segments: int, steps_per_segment: int) -> tuple[Segment, ...]:
    budget = BudgetSteps(num_segments=num_segments, steps_per_segment=steps_per_segment, batch_tokens=8)
    return cut(Schedule(stages=(stage("whole", 1.0),)), budget)


def report(step: int) -> StepReport:
    return StepReport(step=step, lr=0.1, loss=1 / step, grad_norm=step / 3)


def collect(segment: Segment, *, resume_after: int | None = None) -> tuple[StepMean, ...]:
    """The points of a segment, perhaps collected by two calls."""
    series = StepSeries()
    for step in range(segment.first_step + 1, segment.last_step + 1):
        series.add(segment, report(step))
        if step == resume_after:
            series = StepSeries(series.sums)
    return series.finish()


@given(num_segments=st.integers(1, 40), steps_per_segment=st.integers(1, 200))
def test_a_schedule_has_few_points_and_no_step_is_left_out(num_segments: int, steps_per_segment: int) -> None:
    whole = segments(num_segments, steps_per_segment)
    means = [mean for segment in whole for mean in collect(segment)]
    assert len(means) <= MOST_POINTS
    assert sum(mean.num_steps for mean in means) == num_segments * steps_per_segment
    ends = [mean.step for mean in means]
    assert ends == sorted(set(ends))
    for segment in whole:
        assert segment.last_step in ends


@given(steps_per_segment=st.integers(1, 300), data=st.data())
def test_an_interruption_changes_no_bit(steps_per_segment: int, data: st.DataObject) -> None:
    segment = segments(4, steps_per_segment)[1]
    after = data.draw(st.integers(segment.first_step + 1, segment.last_step))
    assert collect(segment, resume_after=after) == collect(segment)


def test_a_point_is_the_mean_of_its_steps() -> None:
    segment = segments(250, 4)[0]
    first, second = collect(segment)
    assert (first.step, first.num_steps) == (2, 2)
    assert first.train_loss == pytest.approx((1 + 1 / 2) / 2)
    assert second.grad_norm == pytest.approx((3 + 4) / 3 / 2)
    assert first.seconds >= 0
