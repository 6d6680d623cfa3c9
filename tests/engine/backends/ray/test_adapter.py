"""Proves that Tune and the controller understand each other and that no call raises, without starting a cluster."""

from __future__ import annotations

import ast
import subprocess
import sys
from types import SimpleNamespace

import pytest

from mbo_search.engine.backends.failure_note import FailureNote, read_failure_note, write_failure_note
from mbo_search.engine.backends.ray.session import RaySlots, ray_environment
from mbo_search.engine.control.controller import MOST_RETRIES
from mbo_search.engine.control.pruner import BoundaryPruner
from mbo_search.engine.control.stopping import StoppingCriteria
from mbo_search.trial.outcome import BoundaryEvent, CurveRow

pytest.importorskip("ray.tune")

from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from mbo_search.engine.backends.ray.adapter import BoundaryScheduler, ControllerSearcher, TrialCallback, TuneAdapter
from mbo_search.engine.backends.ray.worker import BOUNDARY, OUTCOME


class TuneTrial:
    """Trial of Tune, as far as the adapter reads it."""

    status = "RUNNING"
    error_file = None
    temporary_state = SimpleNamespace(ray_actor=None)

    def __init__(self, trial_id):
        self.trial_id = trial_id


class FakeTune:
    """Tune's side of the adapter."""

    def __init__(self, controller, slots=1, run="/run"):
        place = {} if run is None else {"run": str(run)}
        self.adapter = TuneAdapter(controller, {**place, "session": "s"}, slots=slots)
        self.searcher = ControllerSearcher(self.adapter)
        self.scheduler = BoundaryScheduler(self.adapter)
        self.callback = TrialCallback(self.adapter)

    def report(self, trial_id, **result):
        return self.scheduler.on_trial_result(None, TuneTrial(trial_id), {"hostname": "here", **result})

    def start(self, trial_id):
        self.callback.on_trial_start(0, [], TuneTrial(trial_id))

    def train(self, world, controller, trial_id):
        """One trial from suggestion to end; returns what the scheduler said last."""
        config = self.searcher.suggest(trial_id)
        self.start(trial_id)
        outcome = world.execute(controller.table.task(config["trial"]))
        world.nodes.clear()  # the toy trains to the end at once; what follows a pruned boundary was never trained
        for boundary in outcome.boundaries[:-1]:
            row = CurveRow(step=1, tokens=8, stage=0, lr=0.1, train_loss=5.0, loss=5.0, grad_norm=1.0)
            event = BoundaryEvent(boundary=boundary, is_last=False, executed_tokens=96, curve=(row,))
            if self.report(trial_id, **{BOUNDARY: event.model_dump_json()}) == TrialScheduler.STOP:
                self.searcher.on_trial_complete(trial_id, {})
                return "pruned"
        decision = self.report(trial_id, **{OUTCOME: outcome.model_dump_json()})
        self.searcher.on_trial_complete(trial_id, {})
        return decision


def test_no_more_trials_are_suggested_than_there_are_slots(toy_world):
    tune = FakeTune(toy_world(slots=2).controller(), slots=2)
    first = tune.searcher.suggest("a")
    assert first == {"run": "/run", "session": "s", "trial": 0}
    assert tune.searcher.suggest("b")["trial"] == 1
    assert tune.searcher.suggest("c") is None


def test_a_search_through_tune_s_roles_ends_with_finished(toy_world):
    world = toy_world(limits=StoppingCriteria(trials=5))
    controller = world.controller()
    tune = FakeTune(controller)
    assert [tune.train(world, controller, str(index)) for index in range(5)] == [TrialScheduler.STOP] * 5
    assert tune.searcher.suggest("last") == Searcher.FINISHED
    assert {record.worker for record in controller.table.records} == {"here"}
    assert tune.adapter.failure is None


def test_a_pruned_trial_keeps_what_it_reported(toy_world):
    world = toy_world(limits=StoppingCriteria(trials=30), control=0.0, baselines=0)
    world.extra = {"pruner": BoundaryPruner(min_schedules=12, min_correlation=-1.0, keep=0.5)}
    controller = world.controller()
    tune = FakeTune(controller)
    said = [tune.train(world, controller, str(index)) for index in range(30)]
    pruned = [record for record in controller.table.records if record.state == "pruned"]
    assert said.count("pruned") == len(pruned) > 0
    assert all(record.reason == "pruner" and len(record.boundaries) == 1 for record in pruned)
    assert all((record.cost.executed_tokens, record.requested_tokens) == (96, 96) for record in pruned)


def test_a_trial_whose_worker_is_lost_once_too_often_has_failed(toy_world):
    controller = toy_world().controller()
    tune = FakeTune(controller)
    tune.searcher.suggest("a")
    tune.start("a")
    for _ in range(MOST_RETRIES):
        tune.callback.on_trial_recover(0, [], TuneTrial("a"))
        tune.start("a")
    tune.searcher.on_trial_complete("a", error=True)
    record = controller.table.records[0]
    assert (record.state, record.reason, record.attempts) == ("failed", "worker_lost", MOST_RETRIES + 1)
    assert tune.searcher.suggest("b")["trial"] == 1


def test_a_trial_given_to_a_dead_worker_is_suggested_again(toy_world):
    world = toy_world(limits=StoppingCriteria(trials=2))
    controller = world.controller()
    tune = FakeTune(controller)
    assert tune.searcher.suggest("a")["trial"] == 0
    dropped = TuneTrial("a")
    dropped.status = "ERROR"
    tune.callback.on_step_end(0, [dropped])
    tune.searcher.on_trial_complete("a", error=True)
    assert controller.table.records == []
    for trial_id in ("b", "c"):
        tune.train(world, controller, trial_id)
    assert tune.searcher.suggest("last") == Searcher.FINISHED
    assert [(record.trial, record.state, record.attempts) for record in controller.table.records] == [
        (0, "complete", 1),
        (1, "complete", 1),
    ]


def test_a_trial_that_no_worker_takes_has_failed(toy_world):
    controller = toy_world().controller()
    tune = FakeTune(controller)
    for attempt in range(MOST_RETRIES + 1):
        assert tune.searcher.suggest(str(attempt))["trial"] == 0
        tune.searcher.on_trial_complete(str(attempt), error=True)
    assert controller.table.records[0].reason == "worker_lost"
    assert tune.searcher.suggest("next")["trial"] == 1


def test_trials_of_a_closed_adapter_are_not_judged_and_continue_at_the_next_one(toy_world):
    world = toy_world(slots=2, limits=StoppingCriteria(trials=4))
    controller = world.controller()
    tune = FakeTune(controller, slots=2)
    for trial_id in ("a", "b"):
        tune.searcher.suggest(trial_id)
        tune.start(trial_id)
    tune.callback.on_trial_recover(0, [], TuneTrial("a"))
    tune.adapter.close()
    assert tune.searcher.suggest("c") == Searcher.FINISHED
    for trial_id in ("a", "b"):
        tune.searcher.on_trial_complete(trial_id, error=True)
    assert controller.table.records == []
    controller.backend_lost("Ray ended before the trial")
    controller.backend_lost("Ray ended before the trial")
    following = FakeTune(controller)
    for index in range(4):
        following.train(world, controller, str(index))
    assert following.searcher.suggest("last") == Searcher.FINISHED
    assert {record.trial: record.attempts for record in controller.table.records} == {0: 2, 1: 2, 2: 1, 3: 1}


def test_a_tune_that_was_abandoned_is_ignored(toy_world):
    world = toy_world()
    controller = world.controller()
    tune = FakeTune(controller)
    task = controller.table.task(tune.searcher.suggest("a")["trial"])
    tune.start("a")
    tune.adapter.is_abandoned = True
    assert tune.report("a", **{OUTCOME: world.execute(task).model_dump_json()}) == TrialScheduler.STOP
    tune.searcher.on_trial_complete("a", error=True)
    assert tune.searcher.suggest("b") == Searcher.FINISHED
    assert (controller.table.records, controller.running_trials) == ([], [task.trial])


MEMORY_ERROR = """Caught unexpected exception: 1 worker(s) were killed due to the node running low on memory.
Selected to kill: (Actor(aa01): job ID=01, pid=2)
Considered: (Actor(bb02): job ID=01, pid=3)
"""


def test_of_two_trials_only_the_one_whose_worker_was_killed_for_memory_gets_a_note(toy_world, tmp_path):
    world = toy_world(slots=2, control=0.0)
    controller = world.controller()
    tune = FakeTune(controller, slots=2, run=tmp_path)
    (tmp_path / "trials").mkdir()
    for trial_id, actor in (("a", "aa01"), ("b", "bb02")):
        tune.searcher.suggest(trial_id)
        tune.adapter.started(trial_id, actor)
    tune.adapter.close()
    assert not tune.adapter.killed_for_memory("another error")
    assert tune.adapter.killed_for_memory(MEMORY_ERROR)
    note = read_failure_note(tmp_path / "trials", 0)
    assert note is not None
    assert (note.reason, note.message) == ("out_of_memory", MEMORY_ERROR)
    assert read_failure_note(tmp_path / "trials", 1) is None
    controller.backend_lost("Ray ended before the trial")
    assert [controller.ask().trial for _ in range(2)] == [0, 1]


def test_a_trial_whose_worker_left_a_note_that_it_hung_has_hung_even_without_a_later_attempt(toy_world, tmp_path):
    controller = toy_world(slots=1, control=0.0).controller()
    tune = FakeTune(controller, run=tmp_path)
    (tmp_path / "trials").mkdir()
    tune.searcher.suggest("a")
    tune.start("a")
    write_failure_note(tmp_path / "trials", 0, FailureNote(reason="hung", message="no step for 10 min"))
    tune.searcher.on_trial_complete("a", error=True)
    (record,) = controller.table.records
    assert (record.state, record.reason, record.message) == ("failed", "hung", "no step for 10 min")


def test_where_workers_see_no_files_a_trial_that_was_killed_for_memory_is_pruned_at_once(toy_world):
    world = toy_world(slots=1, control=0.0)
    controller = world.controller()
    tune = FakeTune(controller, run=None)
    tune.searcher.suggest("a")
    tune.adapter.started("a", "aa01")
    tune.adapter.close()
    assert tune.adapter.killed_for_memory(MEMORY_ERROR)
    (record,) = controller.table.records
    assert (record.state, record.reason) == ("pruned", "out_of_memory")
    controller.backend_lost("Ray ended before the trial")
    assert controller.ask().trial == 1


def test_an_exception_of_the_controller_stops_the_search_in_order(toy_world):
    world = toy_world()
    controller = world.controller()
    tune = FakeTune(controller)
    tune.searcher.suggest("a")
    tune.start("a")
    assert tune.report("a", **{OUTCOME: "{"}) == TrialScheduler.STOP
    assert tune.adapter.failure is not None
    assert tune.searcher.suggest("b") == Searcher.FINISHED


def test_nothing_of_the_search_is_pickled_into_tune_s_files(toy_world):
    tune = FakeTune(toy_world().controller())
    for part in (tune.searcher, tune.scheduler, tune.callback):
        assert part.__getstate__() == {}


def test_a_cluster_of_our_own_is_private_and_another_s_keeps_its_token():
    own = ray_environment(slots=3, is_local=True)
    assert own["RAY_AUTH_MODE"] == "token"
    assert len(own["RAY_AUTH_TOKEN"]) == 32
    assert own["RAY_AUTH_TOKEN"] == ray_environment(slots=1, is_local=True)["RAY_AUTH_TOKEN"], "Ray reads it once"
    code = "from mbo_search.engine.backends.ray.session import *; print(ray_environment(slots=1, is_local=True))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(ast.literal_eval(other.stdout)["RAY_AUTH_TOKEN"]) == 32
    assert own["RAY_AUTH_TOKEN"] not in other.stdout
    assert own["TUNE_MAX_PENDING_TRIALS_PG"] == "3"
    assert not [name for name in ray_environment(slots=3, is_local=False) if name.startswith("RAY_AUTH")]
    assert RaySlots(slots=2, cpus_per_trial=1, gpus_per_trial=0.5).per_trial == {"cpu": 1, "gpu": 0.5}
