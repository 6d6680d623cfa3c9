"""Somebody's existing Ray cluster: whether it may be used at all, and how to stop trials that run on it.

Whoever reaches the ports of a Ray cluster that asks for no token can run programs on all of its machines, and a
browser on one of them can be made to do so by any web page. Such a cluster is refused unless the user insists.

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

Answer = Literal["open", "closed", "silent"]

_PROBE_SECONDS = 90
_KNOCK_SECONDS = 10
_POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """An existing Ray cluster.

    Attributes:
        address: `HOST:PORT` of its head, or `auto` on one of its machines.
        may_be_insecure: Whether the user insists on a cluster that asks for no token.
    """

    address: str
    may_be_insecure: bool = False


def admit(cluster: Cluster) -> Mapping[str, str]:
    """Find out whether a cluster asks for a token, by knocking without one.

    Raises:
        UserError: If nobody answers, or everybody may come in and the user does not insist.
    """
    if "://" in cluster.address:
        rule = "is an address of Ray Client, over which searches do not run"
        raise _refusal(cluster, rule, "give HOST:PORT of the head, on one of the cluster's machines")
    answer = _knock(cluster.address)
    if answer == "silent":
        raise _refusal(cluster, "answers not; no Ray cluster is there, or another version", "see `ray status`")
    if answer == "closed":
        return {"RAY_AUTH_MODE": "token"}
    if cluster.may_be_insecure:
        return {"RAY_AUTH_MODE": "disabled"}
    rule = (
        "asks for no token, so whoever reaches it can run programs on all of its machines "
        "(CVE-2023-48022, and from web pages CVE-2025-62593)"
    )
    hint = "start it with RAY_AUTH_MODE=token on every machine, or insist with --insecure-cluster"
    raise _refusal(cluster, rule, hint)


def _knock(address: str) -> Answer:
    """Ask for the list of machines in a process that has no token; Ray would keep what it learns of tokens."""
    if not _is_listening(address):
        return "silent"
    plain = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    command = [sys.executable, "-c", _compat.PROBE, address]
    try:
        done = subprocess.run(
            command,
            env={**plain, "RAY_AUTH_MODE": "disabled"},
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
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_SECONDS):
            return True
    except (OSError, ValueError, OverflowError):
        return False


def _refusal(cluster: Cluster, rule: str, hint: str) -> UserError:
    return UserError([Problem(key="--address", value=cluster.address, rule=rule, hint=hint)])


class StopFlags:
    """The driver's word to workers that do not see its files: a small actor beside the driver."""

    def __init__(self, session: str) -> None:
        """Put up a board; it goes with the driver."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor: Any = ray.remote(num_cpus=0)(_Board)
        self._board = actor.options(name=_board_name(session), scheduling_strategy=here).remote()

    def stop(self) -> None:
        """Tell all workers to save their state and come back."""
        self._board.stop.remote()


class StopFlagClient:
    """The worker's side: whether to stop now. Never waits, so a cut line costs nothing."""

    def __init__(self, session: str) -> None:
        """Watch a session."""
        self._session = session
        self._is_stopped = False
        self._asked: list[Any] = []
        self._look = throttled(self._ask, _POLL_SECONDS)

    def __call__(self) -> bool:
        """Whether to stop; once True, always True."""
        self._look()
        return self._is_stopped

    def _ask(self) -> None:
        """Ask the driver, or look whether it has answered."""
        import ray

        try:
            if not self._asked:
                self._asked = [ray.get_actor(_board_name(self._session)).is_stopped.remote()]
            elif ray.wait(self._asked, timeout=0)[0]:
                asked, self._asked = self._asked, []
                self._is_stopped = self._is_stopped or bool(ray.get(asked[0]))
        except (ray.exceptions.RayError, ValueError):
            self._asked = []  # the driver is away; if it is gone for good, Ray ends this process


class _Board:
    """The actor."""

    def __init__(self) -> None:
        self._is_stopped = False

    def stop(self) -> None:
        self._is_stopped = True

    def is_stopped(self) -> bool:
        return self._is_stopped


def _board_name(session: str) -> str:
    return f"mbo-search-{session}"
