"""Proves the bookkeeping: what trials cost, what is missing, who won, how far it is, and what is read from disk."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbo_search.engine.backends.slots import num_slots, store_limit_bytes
from mbo_search.engine.control.confirm import Confirmation
from mbo_search.engine.control.progress import progress_of
from mbo_search.engine.control.stopping import StoppingCriteria
from mbo_search.engine.control.utilization import UtilizationMeter
from mbo_search.engine.tasks import (
    PathNode,
    first_missing,
    missing_tokens,
    read_task,
    read_tasks,
    task_file,
    write_task,
)
from mbo_search.results.evidence.champions import champions, contenders
from mbo_search.results.evidence.requested import requested_tokens
from mbo_search.results.records.schedule_groups import group_by_schedule
from mbo_search.study.spec.sections.searching import ConfirmSpec
from mbo_search.testing.studies import tiny_study
from tests.helpers.toy_world import BUDGET

NODES = tuple(PathNode(key=str(index), tokens=10 * (index + 1)) for index in range(4))


@given(st.sets(st.sampled_from("0123")))
def test_a_trial_begins_behind_the_deepest_node_there_is(cached):
    deepest = max(map(int, cached), default=-1)
    has_node = cached.__contains__
    assert first_missing(NODES, has_node) == (None if deepest == 3 else str(deepest + 1))
    assert missing_tokens(NODES, has_node) == 40 - 10 * (deepest + 1)


def test_tasks_survive_on_disk_and_damaged_ones_are_skipped(toy_world, tmp_path, caplog):
    controller = toy_world().controller()
    first, second = controller.ask(), controller.ask()
    assert read_tasks(tmp_path) == [first, second]
    task_file(tmp_path, second.trial).write_text("{", encoding="utf-8")
    assert read_tasks(tmp_path) == [first]
    assert "is skipped" in caplog.text
    write_task(tmp_path, first)
    task_file(tmp_path, 7).write_bytes(task_file(tmp_path, first.trial).read_bytes())
    with pytest.raises(ValueError, match="holds trial 0"):
        read_task(tmp_path, 7)


def test_slots_that_start_late_or_wait_are_not_busy():
    meter = UtilizationMeter(slots=2)
    assert meter.fraction() is None
    meter.queued(0.0)
    meter.started(0, 0.0)
    meter.queued(10.0)
    meter.started(1, 10.0)
    meter.ended(0, 10.0)
    assert meter.seconds() == (10.0, 20.0)
    assert meter.fraction() == 0.5
    meter.ended(99, 11.0)
    assert meter.seconds() == (10.0, 20.0)


def test_confirm_runs_go_seed_by_seed_with_every_contender(toy_world):
    world = toy_world(limits=StoppingCriteria(trials=12))
    records = world.run(world.controller()).table.records
    spec = ConfirmSpec(top=2, seeds=2, equivalent_tokens=False)
    runs = Confirmation(spec=spec, search_seed=7, budget=BUDGET).runs(records)
    groups = group_by_schedule(records)
    schedules = contenders(groups, champions(groups), 2).schedules
    assert [run.seed for run in runs] == [8] * len(schedules) + [9] * len(schedules)
    assert [run.schedule for run in runs[: len(schedules)]] == [one.head.schedule for one in schedules]


def test_a_snapshot_adds_up(toy_world):
    world = toy_world(limits=StoppingCriteria(trials=10), slots=2)
    controller = world.controller()
    task = controller.ask()
    controller.started(task.trial)
    early = progress_of(controller, study="toy", messages=[])
    assert (early.done, len(early.running), early.planned, early.eta_seconds) == (0, 1, 10, None)
    controller.tell(task.trial, world.execute(task))
    world.run(controller)
    progress = progress_of(controller, study="toy", messages=["hello"])
    assert progress.done == progress.begun == 10
    assert sum(arm.executed_tokens for arm in progress.arms) == progress.executed_tokens
    requested = requested_tokens(controller.table.records)
    assert progress.executed_tokens + progress.saved_tokens == requested
    assert 0 < requested <= sum(record.requested_tokens for record in controller.table.records)
    assert progress.messages == ("hello",)


def test_confirm_runs_are_counted_once_the_search_has_ended(toy_world):
    confirmation = Confirmation(spec=ConfirmSpec(seeds=2, equivalent_tokens=False), search_seed=7, budget=BUDGET)
    world = toy_world(limits=StoppingCriteria(trials=6), control=0.0, baselines=0)
    world.extra = {"confirm": confirmation}
    controller = world.controller()
    for _ in range(7):
        task = controller.ask()
        controller.started(task.trial)
        controller.tell(task.trial, world.execute(task))
    progress = progress_of(controller, study="toy", messages=[])
    assert (progress.counts.schedules, progress.counts.confirm_runs, progress.confirm_left) == (6, 1, 3)
    world.run(controller)
    assert progress_of(controller, study="toy", messages=[]).confirm_left == 0


def test_a_study_says_how_many_run_at_once_and_how_much_is_kept(tiny_root):
    assert num_slots(tiny_study(tiny_root, "resources.workers=5"), "ray") == 5
    auto = tiny_study(tiny_root, "resources.workers=auto")
    assert num_slots(auto, "local") == 1
    assert 1 <= num_slots(auto, "ray") <= 8
    assert store_limit_bytes(tiny_study(tiny_root, "resources.store.limit=2M"), tiny_root) == 2_000_000
    assert store_limit_bytes(auto, tiny_root) > 0
