"""Proves that a learning curve holds what its own schedule would have measured, whoever trained its prefix."""

from __future__ import annotations

import pytest

from mbo_search.study.spec.schedule import Schedule
from mbo_search.testing.toy_runner import path_of
from mbo_search.trial.curve import curve_rows, join_points, step_rows
from mbo_search.trial.reports import CurvePoint, Metrics, StepMean
from tests.helpers.schedules import stage


def point(step: int, *, loss: float | None = None, stage_end: float | None = None) -> CurvePoint:
    metrics = None
    if stage_end is not None:
        metrics = Metrics(loss=stage_end, accuracy=0.1, bits_per_byte=1.0, num_tokens=8)
    return CurvePoint(
        step=step, tokens=8 * step, lr=0.1, train_loss=float(step), grad_norm=2.0 * step, loss=loss, metrics=metrics
    )


def segments() -> tuple:
    return path_of(Schedule(stages=(stage("a", 0.3), stage("b", 0.7, hand_over="carry")))).segments


def test_rows_stand_where_all_schedules_evaluate_and_at_the_own_stage_ends() -> None:
    points = [point(3), point(6, loss=2.0), point(9, stage_end=1.5), point(12, loss=1.2)]
    rows = curve_rows(segments(), points)
    assert [(row.step, row.loss, row.stage) for row in rows] == [(6, 2.0, 0), (9, 1.5, 0), (12, 1.2, 1)]


def test_stage_ends_of_another_schedule_are_no_rows() -> None:
    points = [point(3), point(6, stage_end=9.0), point(9, stage_end=1.5), point(12, loss=1.2, stage_end=1.2)]
    assert [row.step for row in curve_rows(segments(), points)] == [9, 12]


def test_training_losses_are_means_since_the_row_before() -> None:
    points = [point(3), point(6), point(9, stage_end=1.5), point(12), point(15, loss=1.0)]
    rows = curve_rows(segments(), points)
    assert [row.train_loss for row in rows] == pytest.approx([(3 + 6 + 9) / 3, (12 + 15) / 2])
    assert [row.grad_norm for row in rows] == pytest.approx([(6 + 12 + 18) / 3, (24 + 30) / 2])


def test_points_at_the_end_of_no_segment_are_left_out() -> None:
    assert [row.step for row in curve_rows(segments(), [point(5, loss=3.0), point(6, loss=2.0)])] == [6]


def test_joined_points_have_each_step_once_and_the_later_call_counts() -> None:
    joined = join_points([point(3), point(6, loss=2.0)], [point(6, loss=2.0, stage_end=2.0), point(9)])
    assert [found.step for found in joined] == [3, 6, 9]
    assert joined[1].metrics is not None


def test_an_evaluation_stays_where_a_later_call_only_passed() -> None:
    joined = join_points([point(3, stage_end=2.0)], [point(3, loss=1.0), point(6)])
    assert [(found.step, found.loss) for found in joined] == [(3, 1.0), (6, None)]
    assert joined[0].metrics is not None
    assert joined[0].metrics.loss == 2.0


def test_the_course_of_training_adds_up_seconds_and_tells_the_speed() -> None:
    means = [
        StepMean(step=2, num_steps=2, train_loss=3.0, grad_norm=1.0, seconds=0.5),
        StepMean(step=3, num_steps=1, train_loss=2.0, grad_norm=0.5, seconds=0.0),
    ]
    first, second = step_rows(segments(), means)
    assert (first.step, first.tokens, first.seconds, first.tokens_per_second) == (2, 16, 0.5, 32.0)
    assert (second.tokens, second.seconds, second.tokens_per_second) == (24, 0.5, None)
