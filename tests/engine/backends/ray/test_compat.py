"""Proves that every private part of Ray that we use is there and is what we take it for.

A failure names the part, the version, what it is used for and where. Nothing here starts a cluster.
"""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import pytest

from mbo_search.engine.backends.ray import _compat
from tests.helpers.private_symbols import PrivateSymbol

ray = pytest.importorskip("ray")


def symbol(name: str, used_for: str, user: str) -> PrivateSymbol:
    return PrivateSymbol("ray", name, "2.60", used_for, f"engine/backends/ray/_compat.py, {user}")


def test_the_address_of_a_running_cluster_is_resolved():
    resolve = symbol(
        "ray._private.services:canonicalize_bootstrap_address_or_die", "find a cluster's address", "probe"
    )
    with resolve.expected():
        assert list(inspect.signature(resolve.find()).parameters)[:1] == ["addr"]
        assert resolve.find()("192.0.2.7:6379") == "192.0.2.7:6379"


def test_a_cluster_can_be_asked_for_its_machines_without_joining_it():
    client = symbol("ray._raylet:GcsClient", "see whether a cluster asks for a token", "probe")
    with client.expected():
        from ray._raylet import InnerGcsClient  # GcsClient passes its calls on to one

        assert callable(InnerGcsClient.get_all_node_info)
        assert issubclass(ray.exceptions.AuthenticationError, Exception)


def test_whether_sockets_are_bound_to_this_machine_is_known():
    flag = symbol(
        "ray._private.ray_constants:ENABLE_RAY_CLUSTER",
        "warn that ports may be open to the network",
        "is_open_to_the_network",
    )
    with flag.expected():
        assert isinstance(flag.find(), bool)
        assert _compat.is_open_to_the_network() == flag.find()


def test_ray_takes_the_folder_of_its_files(tmp_path):
    argument = symbol("ray:init", "keep Ray's files in a private folder (argument _temp_dir)", "start_settings")
    with argument.expected():
        # Named in Ray's documentation of `init`, though it arrives as one of the keyword arguments.
        (name,) = _compat.start_settings(tmp_path)
        assert name in (inspect.getdoc(argument.find()) or "")


def test_waiting_for_a_port_is_replaced_where_ray_looks_it_up(monkeypatch):
    place = symbol(
        "ray._private.node:wait_for_persisted_port",
        "keep Python running while Ray starts (it is replaced)",
        "let_python_run_while_ray_starts",
    )
    with place.expected():
        from ray._private import node

        monkeypatch.setattr(node, "wait_for_persisted_port", place.find())
        _compat.let_python_run_while_ray_starts()
        assert node.wait_for_persisted_port.func is _compat.wait_for_port
        assert "wait_for_persisted_port(" in inspect.getsource(node.Node), "nothing calls it any more"


def test_the_original_wait_takes_a_time_out_and_raises_a_runtime_error(tmp_path):
    look = symbol(
        "ray._raylet:wait_for_persisted_port",
        "look for the port of a process of Ray",
        "let_python_run_while_ray_starts",
    )
    with look.expected(), pytest.raises(RuntimeError):
        look.find()(str(tmp_path), "0" * 56, "gcs_server_port", timeout_ms=0)


def test_the_processes_of_a_cluster_of_our_own_are_known_by_name(monkeypatch):
    node = symbol("ray._private.worker:_global_node", "notice that a process of Ray is gone", "has_lost_a_process")
    with node.expected():
        from ray._private import node as ray_node
        from ray._private import worker

        assert node.find() is None, "no cluster was started in this process"
        assert not _compat.has_lost_a_process()
        infos = [SimpleNamespace(process=SimpleNamespace(poll=lambda: 1))]
        fake = SimpleNamespace(all_processes={"raylet": infos})
        dead = ray_node.Node.dead_processes(fake)
        assert [name for name, _ in dead] == ["raylet"]
        monkeypatch.setattr(worker, "_global_node", SimpleNamespace(dead_processes=lambda: dead))
        assert _compat.has_lost_a_process()


def test_the_processes_that_are_needed_keep_their_names():
    names = symbol(
        "ray._private.ray_constants:PROCESS_TYPE_GCS_SERVER", "notice a lost process", "has_lost_a_process"
    )
    with names.expected():
        from ray._private import ray_constants

        assert (ray_constants.PROCESS_TYPE_GCS_SERVER, ray_constants.PROCESS_TYPE_RAYLET) == (
            "gcs_server",
            "raylet",
        )


def test_an_actor_has_an_identifier():
    attribute = symbol(
        "ray.actor:ActorHandle (attribute _actor_id)", "tell which trial Ray has killed for memory", "actor_id"
    )
    with attribute.expected():
        from ray._raylet import ActorID
        from ray.actor import ActorHandle

        identifier = ActorID.from_random()
        assert isinstance(ActorHandle._actor_id, property)
        handle = SimpleNamespace(_actor_id=ActorHandle._actor_id.fget(SimpleNamespace(_ray_actor_id=identifier)))
        assert _compat.actor_id(handle) == identifier.hex()


def look_later(num_looks: int):
    """A port that is there at a later look."""
    looks = []

    def look(folder: str, *, timeout_ms: int) -> int:
        assert (folder, timeout_ms) == ("folder", 0), "every look returns at once"
        looks.append(timeout_ms)
        if len(looks) < num_looks:
            raise RuntimeError("not yet")
        return 6379

    return look


def test_a_port_is_looked_for_until_it_is_there_and_no_longer_than_asked():
    assert _compat.wait_for_port(look_later(3), "folder", timeout_ms=60_000) == 6379
    with pytest.raises(RuntimeError, match="not yet"):
        _compat.wait_for_port(look_later(1_000), "folder", timeout_ms=60)


def test_a_cluster_of_our_own_ends_without_waiting_for_its_processes(monkeypatch):
    kill = symbol("ray._private.node:Node.kill_all_processes", "end Ray's processes at once", "end_at_once")
    with kill.expected():
        assert {"check_alive", "allow_graceful", "wait"} <= set(inspect.signature(kill.find()).parameters)
    calls = []
    node = SimpleNamespace(kill_all_processes=lambda **given: calls.append(given))
    monkeypatch.setattr("ray._private.worker._global_node", node)
    _compat.end_at_once()
    node.kill_all_processes(check_alive=False, allow_graceful=True, wait=True)
    assert calls == [{"check_alive": False, "allow_graceful": False, "wait": True}]


def test_tune_clears_no_notebook_and_warns_of_no_reporter_elsewhere(monkeypatch):
    notebook = symbol(
        "ray.tune.experimental.output:IS_NOTEBOOK", "know whether Tune clears the output", "silent_reporter"
    )
    with notebook.expected():
        assert notebook.find() is False
    assert _compat.silent_reporter() is None
    monkeypatch.setattr("ray.tune.experimental.output.IS_NOTEBOOK", True)
    reporter = _compat.silent_reporter()
    assert isinstance(reporter, ray.tune.ProgressReporter)
    assert reporter.should_report([], done=True) is False
