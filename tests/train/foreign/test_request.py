"""Checks what a foreign trainer is told: all that its key holds, and nothing more."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from mbo_search.study.spec.schedule import LrShape, Schedule
from mbo_search.train.execution.path import schedule_path
from mbo_search.train.foreign.request import SpanRequest, span_request
from tests.helpers.foreign import small_path, small_setup
from tests.helpers.schedules import stage

SETUP = small_setup()


def test_a_request_says_what_is_trained_step_by_step():
    path = small_path(SETUP)
    request = span_request(path.segments[4:], key="k", seed=3, total_steps=40)
    (part,) = request.parts
    assert (request.first_step, request.last_step, request.num_steps) == (16, 40, 24)
    assert (request.first_token, request.tokens, request.evaluated_steps) == (1600, 2400, (40,))
    assert part.hand_over == "reset"
    assert part.strategy.optimizer == "lion"
    assert [request.lr(step) for step in range(16, 40)] == list(part.lrs)
    assert part.lrs[0] > part.lrs[-1]


def test_a_whole_schedule_has_a_part_for_each_stage():
    path = small_path(SETUP)
    request = span_request(path.segments, key="k", seed=0, total_steps=40)
    assert [(part.first_step, part.last_step) for part in request.parts] == [(0, 16), (16, 40)]
    assert request.part_of(15) is request.parts[0]
    assert request.part_of(16) is request.parts[1]


def test_a_request_survives_its_document():
    request = span_request(small_path(SETUP).segments, key="k", seed=0, total_steps=40)
    assert SpanRequest.model_validate(json.loads(request.model_dump_json())) == request


def test_an_optimizer_without_decoupled_decay_is_told_of_none():
    schedule = Schedule(stages=(stage("only", 1.0, optimizer="adam", weight_decay=0.3),))
    path = schedule_path(schedule, SETUP, 0)
    assert span_request(path.segments, key="k", seed=0, total_steps=40).parts[0].strategy.weight_decay is None


@st.composite
def _schedules(draw: st.DrawFn) -> Schedule:
    first = stage(
        draw(st.sampled_from(["a", "b"])),
        draw(st.sampled_from([0.3, 0.5])),
        optimizer=draw(st.sampled_from(["adamw", "adam"])),
        lr=draw(st.sampled_from([0.1, 0.2])),
        lr_shape=LrShape(kind=draw(st.sampled_from(["constant", "linear"]))),
        weight_decay=draw(st.sampled_from([0.0, 0.1])),
        clip_norm=draw(st.sampled_from([None, 1.0])),
        custom=draw(st.sampled_from([{}, {"rows": 8}, {"rows": 8.0}, {"rows": True}, {"mix": "web"}])),
    )
    last = stage("last", round(1 - first.share, 6), hand_over=draw(st.sampled_from(["carry", "reset"])))
    return Schedule(stages=(first, last))


@settings(max_examples=200, deadline=None)
@given(_schedules(), _schedules())
def test_equal_keys_mean_equal_requests(one: Schedule, other: Schedule):
    paths = [schedule_path(schedule, SETUP, 0) for schedule in (one, other)]
    for index in range(3):  # within the first stage of both
        requests = [span_request(path.segments[: index + 1], key="", seed=0, total_steps=40) for path in paths]
        is_same_key = paths[0].keys[index] == paths[1].keys[index]
        written = [request.model_dump_json() for request in requests]
        assert is_same_key == (written[0] == written[1])
