"""Existing Ray clusters: whether one may be used at all, and how to stop trials that run on it.

Whoever reaches the ports of a Ray cluster that requires no token can run programs on all of its machines, and any
web page can make a browser on one of them do so. Such a cluster is refused unless the user insists.

References:
    CVE-2023-48022: jobs can be submitted without authentication. CVE-2025-62593: a web page can submit them through
    a browser (DNS rebinding). Token authentication (RAY_AUTH_MODE=token) closes both.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mbo_search.engine.backends.ray import _compat
from mbo_search.engine.backends.stop_signals import throttled
from mbo_search.errors import Problem, UserError
from mbo_search.system.same_code import python_path

AuthProbe = Literal["open", "closed", "silent"]

_PROBE_SECONDS = 90
_CONNECT_SECONDS = 10
_POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """An existing Ray cluster.

    Attributes:
        address: `HOST:PORT` of its head, or `auto` on one of its machines.
        may_be_insecure: Whether the user accepts a cluster that requires no token.
    """

    address: str
    may_be_insecure: bool = False


def check_auth(cluster: Cluster) -> Mapping[str, str]:
    """Find out whether a cluster requires a token, by connecting without one; the environment to use it with.

    Raises:
        UserError: If it does not respond, or lets everybody in and the user does not insist.
    """
    if "://" in cluster.address:
        rule = "is an address of Ray Client, which searches cannot use"
        raise _refusal(cluster, rule, "give HOST:PORT of the head, on one of the cluster's machines")
    found = _probe_auth(cluster.address)
    if found == "silent":
        raise _refusal(
            cluster, "does not respond: there is no Ray cluster, or one of another version", "see `ray status`"
        )
    if found == "closed":
        return {"RAY_AUTH_MODE": "token"}
    if cluster.may_be_insecure:
        return {"RAY_AUTH_MODE": "disabled"}
    rule = (
        "requires no token, so whoever reaches it can run programs on all of its machines "
        "(CVE-2023-48022, and from web pages CVE-2025-62593)"
    )
    hint = "start it with RAY_AUTH_MODE=token on every machine, or insist with --insecure-cluster"
    raise _refusal(cluster, rule, hint)


def _probe_auth(address: str) -> AuthProbe:
    """Ask for the list of machines in a process without a token, because Ray keeps what it learns of tokens."""
    if not _is_listening(address):
        return "silent"
    plain = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    command = [sys.executable, "-P", "-c", _compat.PROBE, address]
    try:
        done = subprocess.run(
            command,
            env={**plain, "RAY_AUTH_MODE": "disabled", "PYTHONPATH": python_path()},
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "silent"
    said = done.stdout.strip()
    if said == "open":
        return "open"
    return "closed" if said == "closed" else "silent"


def _is_listening(address: str) -> bool:
    host, separator, port = address.rpartition(":")
    if not separator:
        return address == "auto"
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS):
            return True
    except (OSError, ValueError, OverflowError):
        return False


def _refusal(cluster: Cluster, rule: str, hint: str) -> UserError:
    return UserError([Problem(key="--address", value=cluster.address, rule=rule, hint=hint)])


class StopFlags:
    """Driver's side of a stop request to workers that do not see its files: a small actor beside the driver."""

    def __init__(self, session: str) -> None:
        """Start the actor; it ends with the driver."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor: Any = ray.remote(num_cpus=0)(_StopFlagActor)
        self._actor = actor.options(name=_flags_name(session), scheduling_strategy=here).remote()

    def stop(self) -> None:
        """Tell all workers to save their state and return."""
        self._actor.stop.remote()


class StopFlagClient:
    """Worker's side: whether to stop now; never waits, so a lost connection costs nothing."""

    def __init__(self, session: str) -> None:
        """Watch a session."""
        self._session = session
        self._is_stopped = False
        self._asked: list[Any] = []
        self._poll = throttled(self._ask, _POLL_SECONDS)

    def __call__(self) -> bool:
        """Whether to stop; once True, always True."""
        self._poll()
        return self._is_stopped

    def _ask(self) -> None:
        """Ask the driver, or look for its answer."""
        import ray

        try:
            if not self._asked:
                self._asked = [ray.get_actor(_flags_name(self._session)).is_stopped.remote()]
            elif ray.wait(self._asked, timeout=0)[0]:
                asked, self._asked = self._asked, []
                self._is_stopped = self._is_stopped or bool(ray.get(asked[0]))
        except (ray.exceptions.RayError, ValueError):
            self._asked = []  # the driver is away; if it is gone for good, Ray ends this process


class _StopFlagActor:
    """Actor that holds the flag of one session."""

    def __init__(self) -> None:
        self._is_stopped = False

    def stop(self) -> None:
        self._is_stopped = True

    def is_stopped(self) -> bool:
        return self._is_stopped


def _flags_name(session: str) -> str:
    return f"mbo-search-{session}"
