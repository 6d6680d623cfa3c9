"""Proves, without a cluster, that a worker elsewhere needs the plan, the task and the store, and nothing else."""

from __future__ import annotations

import shutil

import pytest

from mbo_search.data.prepare import load_prepared
from mbo_search.data.transfer import fetch_prepared, send_prepared
from mbo_search.engine.backends.ray import remote as ray_remote
from mbo_search.engine.backends.ray.cluster import Cluster, check_auth
from mbo_search.engine.backends.worker import WorkerPlan
from mbo_search.engine.open_run import baselines_of, create_run
from mbo_search.engine.options import RunOptions
from mbo_search.engine.tasks import TrialTask, nodes_of
from mbo_search.errors import DataError, UserError
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.store.open_store import open_node_store
from mbo_search.system.object_storage import ObjectFolder
from mbo_search.testing.studies import tiny_study


@pytest.fixture
def opened(tiny_root, tmp_path):
    return create_run(tiny_study(tiny_root), tmp_path / "run", RunOptions(cache=tiny_root / "cache"))


@pytest.fixture
def prepared(opened, tmp_path):
    return load_prepared(tmp_path / opened.setup.data_folder)


@pytest.fixture
def objects(tmp_path, prepared):
    store = ObjectFolder.at((tmp_path / "store").as_uri())
    send_prepared(prepared, store)
    return store


def plan_of(opened, tmp_path) -> WorkerPlan:
    """A plan whose data folder exists nowhere."""
    setup = opened.setup.model_copy(update={"data_folder": "/nowhere"})
    return WorkerPlan(setup=setup, store_url=str(tmp_path / "store"))


def task_of(opened) -> TrialTask:
    schedule = next(iter(baselines_of(opened.study).values()))
    return TrialTask(trial=0, arm="baseline", seed=3, schedule=schedule, nodes=nodes_of(schedule, 3, opened.setup))


def test_a_worker_trains_from_the_store_alone_and_shares_what_it_trained(opened, objects, tmp_path, monkeypatch):
    monkeypatch.setenv("MBO_SEARCH_CACHE", str(tmp_path / "elsewhere"))
    place = RunDirectory(tmp_path / "elsewhere" / "worker" / "x")
    for folder in (place.trials, place.scratch, place.stages):
        folder.mkdir(parents=True)
    plan, task = plan_of(opened, tmp_path), task_of(opened)
    worker = ray_remote._worker(place.path, plan.model_dump_json())
    lines = ray_remote._reader(place.trial_log(0))
    sent = TrialTask.model_validate_json(task.model_dump_json())
    outcome = worker.execute(sent, stop=lambda: False, on_boundary=lambda event: False)
    assert outcome.state == "complete", outcome.message
    assert "tokens" in lines()
    assert lines() == ""
    fingerprint = opened.setup.windows_fingerprint
    store = open_node_store(tmp_path / "y", url=plan.store_url, limit_bytes=None, windows_fingerprint=fingerprint)
    assert store.has(task.end)


def test_a_machine_that_computes_otherwise_refuses(opened, objects, tmp_path):
    plan = plan_of(opened, tmp_path)
    other = plan.setup.model_copy(update={"numerics": {**plan.setup.numerics, "torch": "0.1"}})
    with pytest.raises(UserError, match=r"arithmetic differs .* torch is .*, not 0\.1"):
        ray_remote._worker(tmp_path / "run", plan.model_copy(update={"setup": other}).model_dump_json())


def test_data_arrive_whole_or_not_at_all(prepared, objects, tmp_path):
    fingerprint = prepared.metadata.fingerprint
    found = fetch_prepared(fingerprint, objects, tmp_path / "fetched")
    assert found.metadata == prepared.metadata
    assert (found.tokens("train") == prepared.tokens("train")).all()
    shutil.rmtree(tmp_path / "fetched")
    objects.put(f"data/{fingerprint}/train.tokens", b"\0" * 100)
    with pytest.raises(DataError, match="holds no sound copy"):
        fetch_prepared(fingerprint, objects, tmp_path / "fetched")
    assert list((tmp_path / "fetched").iterdir()) == []


def test_addresses_where_no_cluster_is_are_refused_in_plain_words():
    with pytest.raises(UserError, match="Ray Client"):
        check_auth(Cluster(address="ray://127.0.0.1:10001"))
    with pytest.raises(UserError, match="does not respond"):
        check_auth(Cluster(address="127.0.0.1:9"))
