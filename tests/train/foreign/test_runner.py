"""Checks the runner around a foreign trainer: folders, costs, and what becomes of answers that are none."""

from __future__ import annotations

import errno
import math
from pathlib import Path

import pytest

from mbo_search.errors import TrialError
from mbo_search.testing import check_runner
from mbo_search.train.foreign.call import SpanCall
from mbo_search.train.foreign.runner import STATE, ForeignRunner
from mbo_search.trial.reports import Node, StageRunner
from tests.helpers.foreign import sections, small_path, small_setup, train

SETUP = small_setup()
PATH = small_path(SETUP)
FIRST, LAST = PATH.segments[:4], PATH.segments[4:]


def run(function, scratch: Path, segments=FIRST, node=None, stop=lambda: False):
    return ForeignRunner(function, SETUP, scratch).run(node, segments, 0, stop)


def test_a_training_function_passes_the_conformance_suite(tmp_path):
    check_runner(sections(), tmp_path, train=train)


def test_the_suite_notices_a_trainer_that_is_not_determined(tmp_path):
    values = iter([1.0, 2.0])
    with pytest.raises(AssertionError, match="the same call twice"):
        check_runner(sections(), tmp_path, train=lambda call: kept(call, next(values)))


def test_the_suite_notices_a_trainer_that_changes_the_state_before(tmp_path):
    def spoil(call: SpanCall):
        if call.state_in is not None:
            (call.state_in / "mine").write_text("x")
        return train(call)

    with pytest.raises(AssertionError, match="was changed"):
        check_runner(sections(), tmp_path, train=spoil)


def test_the_suite_notices_a_trainer_that_does_not_stop(tmp_path):
    def deaf(call: SpanCall):
        return train(SpanCall(**{**_fields(call), "_stop": lambda: False}))

    with pytest.raises(AssertionError, match="asked to stop"):
        check_runner(sections(), tmp_path, train=deaf)


def kept(call: SpanCall, answer: object) -> object:
    """Leave a state and answer."""
    (call.state_out / "state").touch()
    return answer


def test_a_trainer_that_keeps_states_leaves_one(tmp_path):
    folder, report = run(lambda call: 1.0, tmp_path)
    assert folder is None
    assert "left no state" in report.message


def _fields(call: SpanCall) -> dict[str, object]:
    return {name: getattr(call, name) for name in ("request", "state_in", "state_out", "partial", "_tell", "_stop")}


def test_it_is_a_runner(tmp_path):
    assert isinstance(ForeignRunner(train, SETUP, tmp_path), StageRunner)


def test_a_node_holds_the_trainers_state_and_its_result(tmp_path):
    folder, report = run(train, tmp_path)
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")) == [
        "result.json",
        STATE,
        f"{STATE}/state.json",
    ]
    assert report.step == 16
    assert [point.step for point in report.curve] == [4, 8, 12, 16]
    assert report.metrics == report.curve[-1].metrics
    assert (report.cost.executed_tokens, report.cost.wasted_tokens) == (1600, 0)
    assert list(tmp_path.glob("[!.]*")) == []


def test_the_next_span_begins_on_the_state(tmp_path):
    folder, _ = run(train, tmp_path)
    node = Node(key=PATH.keys[3], path=folder)
    _, report = run(train, tmp_path, LAST, node)
    assert [point.step for point in report.curve] == [20, 24, 28, 32, 36, 40]
    runner = ForeignRunner(train, SETUP, tmp_path)
    assert runner.measure(node, FIRST[-1]).loss == pytest.approx(run(train, tmp_path / "b")[1].metrics.loss, abs=0)


def test_work_that_was_saved_on_the_way_is_not_trained_again(tmp_path):
    polls = iter(range(8))
    _, report = run(train, tmp_path, stop=lambda: next(polls, None) is None)
    assert report.reason == "signal"
    done = report.cost.executed_tokens
    assert 0 < done < 1600
    assert ForeignRunner(train, SETUP, tmp_path).has_begun(PATH.keys[3])
    _, report = run(train, tmp_path)
    assert (report.cost.executed_tokens, report.cost.wasted_tokens) == (1600, 0)


def test_what_a_trainer_without_checkpoints_trains_again_is_waste(tmp_path):
    def forgetful(call: SpanCall):
        for step in range(call.request.first_step, call.request.last_step):
            if call.should_stop():
                return None
            call.report(step + 1)
        return kept(call, 1.0)

    polls = iter(range(10))
    run(forgetful, tmp_path, stop=lambda: next(polls, None) is None)
    _, report = run(forgetful, tmp_path)
    assert report.cost.executed_tokens == 1600
    assert report.cost.wasted_tokens > 0


@pytest.mark.parametrize(
    ("answer", "reason", "message"),
    [
        (None, "exception", "gave no result"),
        ({"val_los": 1.0}, "exception", "val_los"),
        ("low", "exception", "val_loss"),
        (math.nan, "non_finite", "not finite"),
        ({"val_loss": 1.0, "metrics": {"bleu": math.inf}}, "non_finite", "not finite"),
    ],
)
def test_an_answer_that_is_none_ends_the_trial(tmp_path, answer, reason, message):
    folder, report = run(lambda call: answer, tmp_path)
    assert folder is None
    assert report.reason == reason
    assert message in report.message
    assert list(tmp_path.glob("*")) == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError("no"), "exception"),
        (MemoryError(), "out_of_memory"),
        (TrialError("hung", "too long"), "hung"),
    ],
)
def test_an_error_ends_the_trial(tmp_path, error, reason):
    def fail(call: SpanCall):
        raise error

    assert run(fail, tmp_path)[1].reason == reason


def test_a_full_disk_is_not_the_trials_fault(tmp_path):
    def fail(call: SpanCall):
        raise OSError(errno.ENOSPC, "no space")

    with pytest.raises(OSError, match="no space"):
        run(fail, tmp_path)


def test_results_may_hold_other_numbers(tmp_path):
    _, report = run(
        lambda call: kept(
            call, {"val_loss": 2.0, "averaged_val_loss": 1.5, "accuracy": 0.5, "metrics": {"f": -3.0}}
        ),
        tmp_path,
    )
    metrics = report.metrics
    assert (metrics.loss, metrics.averaged_loss, metrics.accuracy, metrics.bits_per_byte) == (2.0, 1.5, 0.5, None)
    assert metrics.scores == {"f": -3.0}


def test_a_trainer_without_states_trains_whole_schedules(tmp_path):
    setup = small_setup(python="train", reuse=False)
    path = small_path(setup)

    def whole(call: SpanCall):
        for step in call.request.evaluated_steps[:-1]:
            call.report(step, val_loss=3.0)
        return 2.0

    _, report = ForeignRunner(whole, setup, tmp_path).run(None, path.segments, 0, lambda: False)
    assert [(point.step, point.metrics.loss) for point in report.curve if point.metrics] == [(16, 3.0), (40, 2.0)]


def test_a_whole_schedule_needs_a_loss_at_the_end_of_each_stage(tmp_path):
    setup = small_setup(python="train", reuse=False)
    path = small_path(setup)
    told = {"nothing": None, "not a number": math.nan, "a loss": 3.0}

    def train(told: float | None):
        def whole(call: SpanCall):
            call.report(call.request.evaluated_steps[0], val_loss=told)
            call.report(
                call.request.evaluated_steps[0], train_loss=1.0
            )  # a second line of a step adds to the first
            return 2.0

        return whole

    reports = {
        name: ForeignRunner(train(loss), setup, tmp_path / name).run(None, path.segments, 0, lambda: False)[1]
        for name, loss in told.items()
    }
    assert [report.reason for report in reports.values()] == ["exception", "non_finite", None]
    assert "report a line with val_loss at step 16" in reports["nothing"].message
    assert reports["a loss"].curve[3].train_loss == 1.0
