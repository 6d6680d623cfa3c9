"""Proves that executing a schedule gives the same outcome however much of it was trained before, and that
everything that can happen to a trial becomes an outcome.

The trainer is a small real one over JSON (see `toy`), the store is the real one.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mbo_search.errors import StoreError
from mbo_search.store.local import StageStore
from mbo_search.study.spec.schedule import LrShape, Schedule
from mbo_search.study.spec.segments import Segment
from mbo_search.testing.toy_runner import BUDGET, SECONDS_PER_STEP, ToyRunner, path_of
from mbo_search.train.execution.execute import execute
from mbo_search.train.execution.path import SchedulePath
from mbo_search.trial.outcome import BoundaryEvent, TrialOutcome
from mbo_search.trial.reports import BoundaryReport, Metrics, Node
from tests.helpers.schedules import constant_then_linear, stage

WINDOWS = "w" * 64
TOTAL = BUDGET.total_tokens


class Bench:
    """A place to execute schedules in: a store, a scratch folder, and what was said and seen."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = StageStore(root / "stages", None, WINDOWS)
        self.lines: list[str] = []
        self.events: list[BoundaryEvent] = []
        self.runner = ToyRunner(root / "scratch")

    def execute(
        self,
        path: SchedulePath,
        *,
        stop_before: Sequence[int] = (),
        prune_at: int | None = None,
        failure: Callable[[int], None] | None = None,
    ) -> TrialOutcome:
        self.lines, self.events = [], []
        self.runner = ToyRunner(self.root / "scratch", failure)
        polls = iter(range(10**6))
        return execute(
            path,
            self.runner,
            self.store,
            stop=lambda: next(polls) in stop_before,
            on_boundary=lambda event: self.events.append(event) or event.boundary.stage == prune_at,
            log=self.lines.append,
        )

    def weights(self, path: SchedulePath) -> float:
        return json.loads((self.store.load(path.keys[-1]).node.path / "state.json").read_text())["x"]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def results_of(outcome: TrialOutcome) -> dict:
    """What an outcome says of the schedule, its cost and who trained what aside."""
    shown = outcome.model_dump(exclude={"cost", "path_seconds", "produced"})
    for boundary in shown["boundaries"]:
        boundary.pop("shared")
    return shown


def test_a_schedule_trains_stage_by_stage_and_says_so(bench: Bench) -> None:
    path = path_of(constant_then_linear(0.4))
    outcome = bench.execute(path)
    assert outcome.state == "complete"
    assert outcome.reason is None
    assert bench.runner.calls == [(0, 12), (12, 30)]
    assert [boundary.stage for boundary in outcome.boundaries] == [0, 1]
    assert [boundary.node for boundary in outcome.boundaries] == [path.keys[3], path.keys[9]]
    assert outcome.produced == (path.keys[3], path.keys[9])
    assert (outcome.requested_tokens, outcome.cost.executed_tokens, outcome.cost.wasted_tokens) == (TOTAL, TOTAL, 0)
    assert [row.step for row in outcome.curve] == [6, 12, 18, 24, 30]
    assert [row.stage for row in outcome.curve] == [0, 0, 1, 1, 1]
    assert outcome.cost.peak_memory_bytes == 1030
    assert "stage 1 (trunk), steps 1 to 12: optimizer adamw" in bench.lines[0]
    assert "optimizer adamw -> lion; lr shape constant -> linear; optimizer state reset" in bench.lines[2]


def test_boundaries_are_reported_as_they_are_reached(bench: Bench) -> None:
    path = path_of(constant_then_linear(0.4))
    bench.execute(path)
    assert [event.is_last for event in bench.events] == [False, True]
    assert [event.cost.executed_tokens for event in bench.events] == [96, TOTAL]
    assert bench.events[0].produced == (path.keys[3],)
    assert bench.events[1].boundary.step == 30


def test_a_known_schedule_costs_nothing_and_says_the_same(bench: Bench) -> None:
    path = path_of(constant_then_linear(0.4))
    first = bench.execute(path)
    again = bench.execute(path)
    assert bench.runner.calls == []
    assert results_of(again) == results_of(first)
    assert (again.requested_tokens, again.cost.executed_tokens, again.produced) == (TOTAL, 0, ())
    assert all(boundary.shared for boundary in again.boundaries)


def test_a_shared_prefix_is_not_trained_twice(bench: Bench) -> None:
    bench.execute(path_of(constant_then_linear(0.4)))
    other = path_of(constant_then_linear(0.4, optimizer="muon"))
    shared = bench.execute(other)
    assert bench.runner.calls == [(12, 30)]
    assert "96 of 240 tokens are shared with earlier trials" in bench.lines
    assert [boundary.shared for boundary in shared.boundaries] == [True, False]
    assert shared.cost.executed_tokens == TOTAL - 96
    alone = Bench(bench.root / "alone")
    assert results_of(alone.execute(other)) == results_of(shared)
    assert alone.weights(other) == bench.weights(other)


def test_the_time_of_a_schedule_does_not_depend_on_what_was_shared_or_interrupted(bench: Bench) -> None:
    alone = bench.execute(path_of(constant_then_linear(0.4)))
    expected = SECONDS_PER_STEP * BUDGET.total_steps
    assert alone.path_seconds == pytest.approx(expected)
    shared = bench.execute(path_of(constant_then_linear(0.6)))
    assert shared.path_seconds == pytest.approx(expected)
    assert shared.cost.train_seconds < expected
    other = path_of(constant_then_linear(0.4, lr=0.05))
    assert bench.execute(other, stop_before=[5]).path_seconds is None
    resumed = bench.execute(other)
    assert resumed.path_seconds == pytest.approx(expected)


def test_a_longer_constant_stage_continues_a_shorter_one(bench: Bench) -> None:
    bench.execute(path_of(constant_then_linear(0.4)))
    longer = path_of(constant_then_linear(0.7))
    shared = bench.execute(longer)
    assert bench.runner.calls == [(12, 21), (21, 30)]
    alone = Bench(bench.root / "alone")
    assert results_of(alone.execute(longer)) == results_of(shared)
    assert alone.weights(longer) == bench.weights(longer)


def test_a_shorter_constant_stage_branches_off_a_longer_one_where_its_end_was_not_measured(bench: Bench) -> None:
    bench.execute(path_of(constant_then_linear(0.7), branch_points=[3, 4]))
    assert bench.runner.calls == [(0, 9), (9, 12), (12, 21), (21, 30)]
    shorter = path_of(constant_then_linear(0.4), branch_points=[3, 4])
    shared = bench.execute(shorter)
    assert (bench.runner.measured, bench.runner.calls) == ([12], [(12, 30)])
    assert (shared.cost.wasted_tokens, shared.cost.executed_tokens) == (0, TOTAL - 96)
    alone = Bench(bench.root / "alone")
    assert results_of(alone.execute(shorter)) == results_of(shared)
    third = path_of(constant_then_linear(0.4, optimizer="sf_adamw"), branch_points=[3, 4])
    bench.execute(third)
    assert (bench.runner.measured, bench.runner.calls) == ([], [(12, 30)])  # the evaluation is in the store


def test_several_stage_ends_are_measured_on_the_way_of_one_longer_stage(bench: Bench) -> None:
    bench.execute(path_of(constant_then_linear(0.7), branch_points=[3, 5]))
    last = stage("c", 0.5, lr_shape=LrShape(kind="linear"), hand_over="carry")
    halved = Schedule(stages=(stage("a", 0.3), stage("b", 0.2, hand_over="carry"), last))
    path = path_of(halved, branch_points=[3, 5])
    shared = bench.execute(path)
    assert (bench.runner.measured, bench.runner.calls) == ([9, 15], [(15, 30)])
    alone = Bench(bench.root / "alone")
    assert results_of(alone.execute(path)) == results_of(shared)


class Blind(ToyRunner):
    """A trainer whose evaluations of stored states end badly."""

    def __init__(self, scratch: Path, measured: Callable[[], Metrics | None]) -> None:
        super().__init__(scratch)
        self.answer = measured

    def measure(self, node: Node, segment: Segment) -> Metrics | None:
        return self.answer()


def broken_evaluation() -> Metrics:
    raise StoreError("the node has another format")


@pytest.mark.parametrize(
    "measured",
    [
        lambda: None,
        broken_evaluation,
        lambda: Metrics(loss=float("nan"), accuracy=0.5, bits_per_byte=1.0, num_tokens=1),
    ],
)
def test_a_stage_end_that_cannot_be_evaluated_is_trained_again(
    bench: Bench, measured: Callable[[], Metrics | None]
) -> None:
    bench.execute(path_of(constant_then_linear(0.7), branch_points=[3, 4]))
    shorter = path_of(constant_then_linear(0.4), branch_points=[3, 4])
    runner = Blind(bench.root / "scratch", measured)
    outcome = execute(
        shorter, runner, bench.store, stop=lambda: False, on_boundary=lambda event: False, log=bench.lines.append
    )
    assert runner.calls == [(9, 12), (12, 30)]
    assert outcome.cost.wasted_tokens == 24
    assert results_of(outcome) == results_of(Bench(bench.root / "alone").execute(shorter))


def test_pruning_at_a_boundary_ends_the_trial_there(bench: Bench) -> None:
    path = path_of(constant_then_linear(0.4))
    outcome = bench.execute(path, prune_at=0)
    assert (outcome.state, outcome.reason) == ("pruned", "pruner")
    assert bench.runner.calls == [(0, 12)]
    assert outcome.requested_tokens == outcome.cost.executed_tokens == 96
    assert len(outcome.boundaries) == 1
    assert outcome.curve[-1].step == 12


def test_pruning_at_a_shared_boundary_trains_and_shows_nothing_more(bench: Bench) -> None:
    path = path_of(constant_then_linear(0.4))
    bench.execute(path)
    outcome = bench.execute(path, prune_at=0)
    assert outcome.state == "pruned"
    assert bench.runner.calls == []
    assert outcome.requested_tokens == 96
    assert [row.step for row in outcome.curve] == [6, 12]


def test_the_last_boundary_cannot_prune(bench: Bench) -> None:
    assert bench.execute(path_of(constant_then_linear(0.4)), prune_at=1).state == "complete"


@pytest.mark.parametrize("poll", [0, 1, 5, 11, 12, 13, 20, 29])
def test_interrupted_anywhere_and_repeated_equals_uninterrupted(bench: Bench, poll: int) -> None:
    path = path_of(constant_then_linear(0.4))
    whole = Bench(bench.root / "whole")
    expected = whole.execute(path)
    first = bench.execute(path, stop_before=[poll])
    assert (first.state, first.reason) == ("interrupted", "signal")
    assert first.requested_tokens == first.cost.executed_tokens == poll * BUDGET.batch_tokens
    second = bench.execute(path)
    assert results_of(second) == results_of(expected)
    assert first.cost.executed_tokens + second.cost.executed_tokens == TOTAL
    assert first.cost.train_seconds + second.cost.train_seconds == pytest.approx(expected.cost.train_seconds)
    assert bench.weights(path) == whole.weights(path)


def test_an_exception_of_the_trainer_is_an_outcome_with_its_traceback(bench: Bench) -> None:
    def failure(step: int) -> None:
        if step == 14:
            raise ZeroDivisionError("the trainer divides by zero")

    outcome = bench.execute(path_of(constant_then_linear(0.4)), failure=failure)
    assert (outcome.state, outcome.reason) == ("failed", "exception")
    assert "the trainer divides by zero" in outcome.message
    assert "toy_runner.py" in outcome.message
    assert outcome.requested_tokens == 96
    assert len(outcome.boundaries) == 1


def test_a_lack_of_memory_is_an_outcome(bench: Bench) -> None:
    def failure(step: int) -> None:
        raise MemoryError

    outcome = bench.execute(path_of(constant_then_linear(0.4)), failure=failure)
    assert (outcome.state, outcome.reason) == ("pruned", "out_of_memory")


def test_divergence_is_an_outcome_that_counts_what_was_trained(bench: Bench) -> None:
    path = path_of(Schedule(stages=(stage("wild", 1.0, lr=1e200, optimizer="lion"),)))
    outcome = bench.execute(path)
    assert (outcome.state, outcome.reason) == ("pruned", "non_finite")
    assert 0 < outcome.cost.executed_tokens == outcome.requested_tokens < TOTAL
    assert outcome.boundaries == ()


class Liar(ToyRunner):
    """A trainer that reports wrongly."""

    def __init__(self, scratch: Path, change: Callable[[BoundaryReport], BoundaryReport]) -> None:
        super().__init__(scratch)
        self.change = change

    def run(self, *arguments: object) -> tuple[Path | None, BoundaryReport]:
        folder, report = super().run(*arguments)
        return folder, self.change(report)


@pytest.mark.parametrize(
    ("change", "reason", "message"),
    [
        (lambda report: replace(report, metrics=None), "exception", "gave no evaluation at step 12"),
        (lambda report: replace(report, curve=()), "exception", "one at the end of each segment"),
        (
            lambda report: replace(report, metrics=replace(report.metrics, loss=float("nan"))),
            "non_finite",
            "not finite",
        ),
    ],
)
def test_a_trainer_with_a_wrong_report_fails_its_trial(
    bench: Bench, change: Callable[[BoundaryReport], BoundaryReport], reason: str, message: str
) -> None:
    path = path_of(constant_then_linear(0.4))
    runner = Liar(bench.root / "scratch", change)
    outcome = execute(
        path, runner, bench.store, stop=lambda: False, on_boundary=lambda event: False, log=bench.lines.append
    )
    state = "pruned" if reason == "non_finite" else "failed"
    assert (outcome.state, outcome.reason) == (state, reason)
    assert message in outcome.message
    assert not bench.store.has(path.keys[3])


def test_a_damaged_node_is_dropped_and_its_span_trained_again(bench: Bench) -> None:
    path = path_of(constant_then_linear(0.4))
    expected = bench.execute(path)
    for key in (path.keys[3], path.keys[9]):
        (bench.root / "stages" / key[:2] / key / "state.json").write_text("{}")
    outcome = bench.execute(path)
    assert bench.runner.calls == [(0, 12), (12, 30)]
    assert sum("damaged and was dropped" in line for line in bench.lines) == 2
    assert results_of(outcome) == results_of(expected)
    assert outcome.cost.executed_tokens == TOTAL


def test_a_damaged_end_is_trained_again_from_the_node_before(bench: Bench) -> None:
    path = path_of(constant_then_linear(0.4))
    bench.execute(path)
    (bench.root / "stages" / path.keys[9][:2] / path.keys[9] / "state.json").write_text("{}")
    bench.execute(path)
    assert bench.runner.calls == [(12, 30)]


class Picky(ToyRunner):
    """A trainer that cannot read some nodes, as after an incompatible update."""

    def __init__(self, scratch: Path, unreadable: frozenset[str]) -> None:
        super().__init__(scratch)
        self.unreadable = unreadable

    def run(self, node: Node | None, *arguments: object) -> tuple[Path | None, BoundaryReport]:
        if node is not None and node.key in self.unreadable:
            raise StoreError(f"node {node.key[:12]} has another format")
        return super().run(node, *arguments)


def test_a_node_that_the_trainer_cannot_read_is_gone_around(bench: Bench) -> None:
    longer = path_of(constant_then_linear(0.7))
    bench.execute(path_of(constant_then_linear(0.4)))
    runner = Picky(bench.root / "scratch", frozenset([longer.keys[3]]))
    outcome = execute(
        longer, runner, bench.store, stop=lambda: False, on_boundary=lambda event: False, log=bench.lines.append
    )
    assert outcome.state == "complete"
    assert runner.calls == [(0, 21), (21, 30)]
    alone = Bench(bench.root / "alone")
    assert results_of(alone.execute(longer)) == results_of(outcome)


def test_a_trainer_that_can_read_nothing_fails_its_trial(bench: Bench) -> None:
    path = path_of(constant_then_linear(0.4))
    runner = Picky(bench.root / "scratch", frozenset(path.keys))
    outcome = execute(
        path, runner, bench.store, stop=lambda: False, on_boundary=lambda event: False, log=bench.lines.append
    )
    assert (outcome.state, outcome.reason) == ("failed", "exception")
    assert "another format" in outcome.message


def test_a_store_that_cannot_be_written_costs_sharing_but_not_the_trial(bench: Bench) -> None:
    path = path_of(constant_then_linear(0.4))
    (bench.root / "stages").write_text("a file where the folder should be")
    outcome = bench.execute(path)
    assert outcome.state == "complete"
    assert outcome.produced == ()
    assert sum("continues without sharing it" in line for line in bench.lines) == 2
    assert list((bench.root / "scratch").iterdir()) == []
    whole = Bench(bench.root / "whole")
    assert results_of(whole.execute(path)) == results_of(outcome)


def test_what_somebody_else_produced_meanwhile_is_taken_and_the_own_copy_is_discarded_work(bench: Bench) -> None:
    path = path_of(constant_then_linear(0.4))
    other = Bench(bench.root / "other")
    other.execute(path)

    def failure(step: int) -> None:
        if step == 8 and not (bench.root / "stages").exists():
            shutil.copytree(other.root / "stages", bench.root / "stages")

    outcome = bench.execute(path, failure=failure)
    assert bench.runner.calls == [(0, 12)]
    assert (outcome.cost.executed_tokens, outcome.cost.wasted_tokens, outcome.produced) == (0, 96, ())
    assert outcome.state == "complete"


def test_nothing_is_held_when_a_trial_is_over(bench: Bench) -> None:
    bench.execute(path_of(constant_then_linear(0.4)))
    collector = StageStore(bench.root / "stages", 0, WINDOWS)
    collector.collect()
    assert collector.size_bytes() == 0


SHARES = [0.2, 0.3, 0.4, 0.6]


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    first = draw(st.sampled_from(SHARES))
    second = draw(st.sampled_from([0.1, 0.2, 0.3]))
    middle = {
        "optimizer": draw(st.sampled_from(["adamw", "lion"])),
        "hand_over": draw(st.sampled_from(["carry", "reset"])),
    }
    last_shape = draw(st.sampled_from([LrShape(kind="linear"), LrShape(kind="constant")]))
    return Schedule(
        stages=(
            stage("a", first, optimizer=draw(st.sampled_from(["adamw", "lion"]))),
            stage("b", second, **middle),
            stage("c", round(1 - first - second, 6), hand_over="carry", lr_shape=last_shape),
        )
    )


@given(st.lists(schedules(), min_size=2, max_size=4))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sequence_of_schedules_gives_what_each_gives_alone(
    tmp_path_factory: pytest.TempPathFactory, found: list[Schedule]
) -> None:
    root = tmp_path_factory.mktemp("tree")
    shared = Bench(root / "shared")
    executed = 0
    for number, schedule in enumerate(found):
        path = path_of(schedule, branch_points=[2, 3, 4, 5, 6, 7])
        outcome = shared.execute(path)
        alone = Bench(root / f"alone-{number}")
        assert results_of(outcome) == results_of(alone.execute(path))
        assert shared.weights(path) == alone.weights(path)
        executed += outcome.cost.executed_tokens
    assert executed == BUDGET.segment_tokens * len(trained_segments(found))


def trained_segments(found: list[Schedule]) -> set[str]:
    """Keys of all different segments; each must be trained and kept exactly once."""
    return {key for schedule in found for key in path_of(schedule).keys}
