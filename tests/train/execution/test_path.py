"""Proves where states are kept along a schedule, where schedules can part, and what the log says of a stage."""

from __future__ import annotations

import pytest

from mbo_search.study.spec.schedule import LrShape, Regularizer, Schedule
from mbo_search.study.spec.sections.data import DataSpec
from mbo_search.study.spec.sections.model import ModelSpec
from mbo_search.study.spec.sections.stages import StageSpace
from mbo_search.study.spec.sections.training import BudgetSpec, TrainSpec
from mbo_search.study.spec.sections.values import Range
from mbo_search.study.spec.study import StudySpec
from mbo_search.testing.toy_runner import path_of
from mbo_search.train.execution.path import spans
from mbo_search.train.execution.stage_log import stage_line
from mbo_search.train.setup.resolve import branch_points
from tests.helpers.schedules import stage


def ends(schedule: Schedule, branch_points: list[int] | None = None) -> list[int]:
    found = spans(path_of(schedule, branch_points=branch_points or []))
    assert [segment.index for span in found for segment in span.segments] == list(range(10))
    return [span.segments[-1].index + 1 for span in found]


def one(shape: LrShape, **settings: object) -> Schedule:
    return Schedule(stages=(stage("only", 1.0, lr_shape=shape, **settings),))


WSD = LrShape(kind="wsd", hparams={"decay": 0.4, "kind": "linear", "floor": 0.0})


def test_states_are_kept_at_stage_ends() -> None:
    schedule = Schedule(
        stages=(stage("a", 0.3), stage("b", 0.2, hand_over="carry"), stage("c", 0.5, hand_over="reset"))
    )
    assert ends(schedule) == [3, 5, 10]


@pytest.mark.parametrize(
    ("shape", "kept"),
    [
        (LrShape(kind="constant"), [2, 4, 8, 10]),
        (LrShape(kind="inv_sqrt", hparams={"timescale": 0.1, "floor": 0.0}), [2, 4, 8, 10]),
        (WSD, [2, 4, 6, 10]),
        (LrShape(kind="linear", hparams={"floor": 0.0}), [10]),
        (LrShape(kind="cosine", hparams={"floor": 0.0}), [10]),
        (LrShape(kind="poly", hparams={"power": 2.0, "floor": 0.0}), [10]),
        (LrShape(kind="one_cycle", hparams={"peak_at": 0.3, "floor": 0.0}), [10]),
    ],
)
def test_within_a_stage_states_are_kept_where_a_longer_stage_would_train_alike(
    shape: LrShape, kept: list[int]
) -> None:
    assert ends(one(shape), [2, 4, 8]) == kept


def test_a_warm_up_does_not_depend_on_the_stages_length() -> None:
    assert ends(one(LrShape(kind="constant"), warmup=0.3), [1, 2]) == [1, 2, 10]


def test_nothing_is_kept_within_a_stage_where_no_schedule_of_the_study_parts() -> None:
    assert ends(one(LrShape(kind="constant"))) == [10]


def test_branch_points_lie_within_each_stage() -> None:
    schedule = Schedule(
        stages=(stage("a", 0.4), stage("b", 0.6, hand_over="carry", lr_shape=LrShape(kind="linear")))
    )
    assert ends(schedule, [2, 4, 7]) == [2, 4, 10]


def test_spans_know_their_key_and_their_tokens() -> None:
    path = path_of(Schedule(stages=(stage("a", 0.3), stage("b", 0.7, hand_over="carry"))))
    first, second = spans(path)
    assert (first.key, second.key) == (path.keys[2], path.keys[9])
    assert (first.tokens, second.tokens) == (72, 168)
    assert (first.end_tokens, second.end_tokens) == (72, 240)
    assert first.joined(second).tokens == 240
    assert first.joined(second).key == second.key


def study(*shares: object) -> StudySpec:
    return StudySpec(
        study="s",
        data=DataSpec(source=("docs",)),
        model=ModelSpec(layers=1, width=8, heads=1, context=8),
        budget=BudgetSpec(tokens=10_000, grid=0.1),
        train=TrainSpec(batch_tokens=64),
        stages=tuple(StageSpace(name=f"s{number}", share=share) for number, share in enumerate(shares)),
    )


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ((1.0,), ()),
        ((0.3, 0.7), (3,)),
        ((0.3, "rest"), (3,)),
        (((0.2, 0.4), "rest"), (2, 4)),
        ((Range(low=0.2, high=0.5), "rest"), (2, 3, 4, 5)),
        (((0.2, 0.4), (0.1, 0.3), "rest"), (2, 3, 4, 5, 7)),
        ((0.5, Range(low=0.3, high=0.5), "rest"), (5, 8, 9)),
    ],
)
def test_branch_points_are_all_places_where_a_stage_may_end(shares: tuple, expected: tuple[int, ...]) -> None:
    assert branch_points(study(*shares)) == expected


def test_a_stage_line_says_what_changes_and_nothing_else() -> None:
    before = stage("a", 0.5, regularizers=(Regularizer(kind="dropout", strength=0.1),), hparams={"beta1": 0.9})
    after = stage("b", 0.5, optimizer="lion", lr=0.01, hand_over="carry", clip_norm=None, warmup=0.1, lr_shape=WSD)
    path = path_of(Schedule(stages=(before, after)))
    assert stage_line(None, path.segments[0]) == (
        "stage 1 (a), steps 1 to 15: optimizer adamw; beta1 0.9; lr 0.1; lr shape constant; weight decay 0.1; "
        "clip norm 1; dropout 0.1; trainable all; fresh optimizer state"
    )
    assert stage_line(before, path.segments[5]) == (
        "stage 2 (b), steps 16 to 30: optimizer adamw -> lion; beta1 off (was 0.9); lr 0.1 -> 0.01; "
        "lr shape constant -> wsd (decay 0.4, floor 0, kind linear); clip norm off (was 1); dropout off (was 0.1); "
        "optimizer state carried over; warm-up over 3 steps"
    )


def test_the_line_of_a_stage_that_changes_nothing_says_so() -> None:
    path = path_of(Schedule(stages=(stage("a", 0.5), stage("b", 0.5, hand_over="carry"))))
    assert stage_line(path.segments[0].stage, path.segments[5]) == (
        "stage 2 (b), steps 16 to 30: optimizer state continues unchanged"
    )
