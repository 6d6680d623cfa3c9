"""Proves that the director's seat at Tune's table tells the truth and never throws, without starting a cluster."""

from __future__ import annotations

import ast
import subprocess
import sys
from types import SimpleNamespace

import pytest

from mbo_search.engine.backends.failure_note import FailureNote, read_last_words, write_last_words
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
    """What the adapter reads of a trial of Tune."""

    status = "RUNNING"
    error_file = None
    temporary_state = SimpleNamespace(ray_actor=None)

    def __init__(self, trial_id):
        self.trial_id = trial_id


class Table:
    """Tune's side of the table."""

    def __init__(self, director, slots=1, run="/run"):
        place = {} if run is None else {"run": str(run)}
        self.seat = TuneAdapter(director, {**place, "session": "s"}, slots=slots)
        self.searcher = ControllerSearcher(self.seat)
        self.scheduler = BoundaryScheduler(self.seat)
        self.callback = TrialCallback(self.seat)

    def report(self, trial_id, **result):
        return self.scheduler.on_trial_result(None, TuneTrial(trial_id), {"hostname": "here", **result})

    def start(self, trial_id):
        self.callback.on_trial_start(0, [], TuneTrial(trial_id))

    def train(self, world, director, trial_id):
        """One trial from suggestion to end; returns what the scheduler said last."""
        config = self.searcher.suggest(trial_id)
        self.start(trial_id)
        outcome = world.execute(director.table.task(config["trial"]))
        world.nodes.clear()  # the toy trains to the end at once; what lies behind a pruned boundary never was
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
    table = Table(toy_world(slots=2).controller(), slots=2)
    first = table.searcher.suggest("a")
    assert first == {"run": "/run", "session": "s", "trial": 0}
    assert table.searcher.suggest("b")["trial"] == 1
    assert table.searcher.suggest("c") is None


def test_a_search_through_tune_s_roles_ends_with_finished(toy_world):
    world = toy_world(limits=StoppingCriteria(trials=5))
    director = world.controller()
    table = Table(director)
    assert [table.train(world, director, str(index)) for index in range(5)] == [TrialScheduler.STOP] * 5
    assert table.searcher.suggest("last") == Searcher.FINISHED
    assert {record.worker for record in director.table.records} == {"here"}
    assert table.seat.failure is None


def test_a_pruned_trial_keeps_what_it_reported(toy_world):
    world = toy_world(limits=StoppingCriteria(trials=30), control=0.0, baselines=0)
    world.extra = {"pruner": BoundaryPruner(min_schedules=12, min_correlation=-1.0, keep=0.5)}
    director = world.controller()
    table = Table(director)
    said = [table.train(world, director, str(index)) for index in range(30)]
    pruned = [record for record in director.table.records if record.state == "pruned"]
    assert said.count("pruned") == len(pruned) > 0
    assert all(record.reason == "pruner" and len(record.boundaries) == 1 for record in pruned)
    assert all((record.cost.executed_tokens, record.requested_tokens) == (96, 96) for record in pruned)


def test_a_trial_whose_worker_is_lost_once_too_often_has_failed(toy_world):
    director = toy_world().controller()
    table = Table(director)
    table.searcher.suggest("a")
    table.start("a")
    for _ in range(MOST_RETRIES):
        table.callback.on_trial_recover(0, [], TuneTrial("a"))
        table.start("a")
    table.searcher.on_trial_complete("a", error=True)
    record = director.table.records[0]
    assert (record.state, record.reason, record.attempts) == ("failed", "worker_lost", MOST_RETRIES + 1)
    assert table.searcher.suggest("b")["trial"] == 1


def test_a_trial_handed_to_a_dead_worker_is_handed_out_again(toy_world):
    world = toy_world(limits=StoppingCriteria(trials=2))
    director = world.controller()
    table = Table(director)
    assert table.searcher.suggest("a")["trial"] == 0
    dropped = TuneTrial("a")
    dropped.status = "ERROR"
    table.callback.on_step_end(0, [dropped])
    table.searcher.on_trial_complete("a", error=True)
    assert director.table.records == []
    for trial_id in ("b", "c"):
        table.train(world, director, trial_id)
    assert table.searcher.suggest("last") == Searcher.FINISHED
    assert [(record.trial, record.state, record.attempts) for record in director.table.records] == [
        (0, "complete", 1),
        (1, "complete", 1),
    ]


def test_a_trial_that_no_worker_takes_has_failed(toy_world):
    director = toy_world().controller()
    table = Table(director)
    for attempt in range(MOST_RETRIES + 1):
        assert table.searcher.suggest(str(attempt))["trial"] == 0
        table.searcher.on_trial_complete(str(attempt), error=True)
    assert director.table.records[0].reason == "worker_lost"
    assert table.searcher.suggest("next")["trial"] == 1


def test_trials_of_a_closed_seat_are_not_judged_and_go_on_at_the_next_one(toy_world):
    world = toy_world(slots=2, limits=StoppingCriteria(trials=4))
    director = world.controller()
    table = Table(director, slots=2)
    for trial_id in ("a", "b"):
        table.searcher.suggest(trial_id)
        table.start(trial_id)
    table.callback.on_trial_recover(0, [], TuneTrial("a"))
    table.seat.close()
    assert table.searcher.suggest("c") == Searcher.FINISHED
    for trial_id in ("a", "b"):
        table.searcher.on_trial_complete(trial_id, error=True)
    assert director.table.records == []
    director.backend_lost("Ray ended before the trial")
    director.backend_lost("Ray ended before the trial")
    following = Table(director)
    for index in range(4):
        following.train(world, director, str(index))
    assert following.searcher.suggest("last") == Searcher.FINISHED
    assert {record.trial: record.attempts for record in director.table.records} == {0: 2, 1: 2, 2: 1, 3: 1}


def test_a_tune_that_is_left_behind_is_not_heard(toy_world):
    world = toy_world()
    director = world.controller()
    table = Table(director)
    task = director.table.task(table.searcher.suggest("a")["trial"])
    table.start("a")
    table.seat.is_left = True
    assert table.report("a", **{OUTCOME: world.execute(task).model_dump_json()}) == TrialScheduler.STOP
    table.searcher.on_trial_complete("a", error=True)
    assert table.searcher.suggest("b") == Searcher.FINISHED
    assert (director.table.records, director.running_trials) == ([], [task.trial])


MEMORY_ERROR = """Caught unexpected exception: 1 worker(s) were killed due to the node running low on memory.
Selected to kill: (Actor(aa01): job ID=01, pid=2)
Considered: (Actor(bb02): job ID=01, pid=3)
"""


def test_of_two_trials_only_the_one_whose_worker_was_killed_for_memory_is_told_so(toy_world, tmp_path):
    world = toy_world(slots=2, control=0.0)
    director = world.controller()
    table = Table(director, slots=2, run=tmp_path)
    (tmp_path / "trials").mkdir()
    for trial_id, actor in (("a", "aa01"), ("b", "bb02")):
        table.searcher.suggest(trial_id)
        table.seat.started(trial_id, actor)
    table.seat.close()
    assert not table.seat.killed_for_memory("another error")
    assert table.seat.killed_for_memory(MEMORY_ERROR)
    words = read_last_words(tmp_path / "trials", 0)
    assert words is not None
    assert (words.reason, words.message) == ("out_of_memory", MEMORY_ERROR)
    assert read_last_words(tmp_path / "trials", 1) is None
    director.backend_lost("Ray ended before the trial")
    assert [director.ask().trial for _ in range(2)] == [0, 1]


def test_a_trial_whose_worker_left_word_that_it_hung_has_hung_even_if_no_later_attempt_says_so(toy_world, tmp_path):
    director = toy_world(slots=1, control=0.0).controller()
    table = Table(director, run=tmp_path)
    (tmp_path / "trials").mkdir()
    table.searcher.suggest("a")
    table.start("a")
    write_last_words(tmp_path / "trials", 0, FailureNote(reason="hung", message="no step for 10 min"))
    table.searcher.on_trial_complete("a", error=True)
    (record,) = director.table.records
    assert (record.state, record.reason, record.message) == ("failed", "hung", "no step for 10 min")


def test_where_workers_see_no_files_a_trial_that_was_killed_for_memory_is_pruned_at_once(toy_world):
    world = toy_world(slots=1, control=0.0)
    director = world.controller()
    table = Table(director, run=None)
    table.searcher.suggest("a")
    table.seat.started("a", "aa01")
    table.seat.close()
    assert table.seat.killed_for_memory(MEMORY_ERROR)
    (record,) = director.table.records
    assert (record.state, record.reason) == ("pruned", "out_of_memory")
    director.backend_lost("Ray ended before the trial")
    assert director.ask().trial == 1


def test_an_exception_of_the_director_stops_the_search_in_order(toy_world):
    world = toy_world()
    director = world.controller()
    table = Table(director)
    table.searcher.suggest("a")
    table.start("a")
    assert table.report("a", **{OUTCOME: "{"}) == TrialScheduler.STOP
    assert table.seat.failure is not None
    assert table.searcher.suggest("b") == Searcher.FINISHED


def test_nothing_of_the_search_is_pickled_into_tune_s_files(toy_world):
    table = Table(toy_world().controller())
    for part in (table.searcher, table.scheduler, table.callback):
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
