"""Proves with an S3 server that states within stages stay as long as their trials are open, and no longer."""

from __future__ import annotations

import itertools

import pytest

from mbo_search.engine.backends.slots import slots_of
from mbo_search.engine.backends.stop_signals import StopRequest
from mbo_search.engine.backends.worker import TrialWorker
from mbo_search.engine.composition import compose, worker_plan
from mbo_search.engine.open_run import create_run
from mbo_search.engine.options import RunOptions
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.store.partial_mirror import PartialMirror
from mbo_search.system.object_storage import ObjectFolder
from mbo_search.testing.studies import tiny_study
from tests.helpers.s3 import CREDENTIALS, s3_server, s3_url

STUDY = ("search.searcher=random", "search.trials=3", "control=0", "baselines=[]", "resources.workers=2")


@pytest.fixture
def url(monkeypatch):
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with s3_server() as place:
        yield s3_url(place, "sweep")


def begun(objects):
    return {info.name.split("/")[1] for info in objects.listing("partial")}


def test_the_state_of_a_trial_that_was_given_up_leaves_the_store_and_others_stay(url, tiny_root, tmp_path):
    study = tiny_study(tiny_root, *STUDY, f"resources.store.url={url}")
    options = RunOptions(cache=tiny_root / "cache", backend="local")
    found = create_run(study, tmp_path / "run", options)
    driver = compose(found, options)
    objects = ObjectFolder.at(url)
    elsewhere = RunDirectory(tmp_path / "elsewhere")
    for folder in (elsewhere.trials, elsewhere.scratch, elsewhere.stages):
        folder.mkdir(parents=True)
    plan = worker_plan(found, slots_of(study, found.setup, "local"))
    worker = TrialWorker(elsewhere, plan, mirror=PartialMirror(objects))
    tasks = [driver.controller.ask() for _ in range(2)]
    for task in tasks:
        polls = itertools.count()
        driver.controller.started(task.trial)
        worker.execute(task, stop=lambda polls=polls: next(polls) == 5, on_boundary=lambda event: False)
    assert begun(objects) == {task.nodes[0].key for task in tasks}

    foreign = "f" * 64
    objects.put(f"partial/{foreign}/partial-000000000001/weights.safetensors", b"of another study")
    objects.put(f"partial/{tasks[0].end}/partial-000000000001/weights.safetensors", b"half sent, without a pointer")
    driver.controller.give_up(tasks[0].trial, "its machine was lost, again and again")
    driver.observe()
    assert begun(objects) == {tasks[1].nodes[0].key, foreign}

    driver.controller.backend_lost("the driver goes on by itself")
    driver.run(StopRequest())
    assert [record.state for record in found.run.records()] == ["failed", "complete", "complete"]
    assert begun(objects) == {foreign}
