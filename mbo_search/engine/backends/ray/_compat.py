"""Everything private of Ray that we use: what an upgrade may break stands here, and nowhere else.

Every function has a test in `tests/engine/backends/ray/test_compat.py` that names what is gone after an upgrade.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_POLL_SECONDS = 0.05

PROBE = "import sys; from mbo_search.engine.backends.ray import _compat; print(_compat.probe(sys.argv[1]))"
"""A program that prints what `probe` says of its argument."""


def probe(address: str) -> str:
    """Ask a cluster for its machines as this process is authenticated: `open`, or `closed` if it wants a token.

    Raises:
        Exception: If nobody responds.
    """
    from ray._private import services
    from ray._raylet import GcsClient  # type: ignore[attr-defined]
    from ray.exceptions import AuthenticationError

    try:
        found = services.canonicalize_bootstrap_address_or_die(address)
        GcsClient(address=found).get_all_node_info(timeout=10)
    except AuthenticationError:
        return "closed"
    return "open"


def is_open_to_the_network() -> bool:
    """Whether Ray was imported without the setting that binds its sockets to this machine."""
    from ray._private import ray_constants

    return bool(ray_constants.ENABLE_RAY_CLUSTER)


def silent_reporter() -> Any:
    """A reporter for Tune that shows nothing; None where Tune shows nothing of its own and would warn of one.

    In a notebook Tune clears the output of the cell, ours included, to show a table of its own, however little it
    is asked to say.
    """
    from ray.tune import ProgressReporter
    from ray.tune.experimental.output import IS_NOTEBOOK

    class SilentReporter(ProgressReporter):
        """Never has anything to report."""

        def should_report(self, trials: Any, done: bool = False) -> bool:
            return False

    return SilentReporter() if IS_NOTEBOOK else None


def job_settings() -> dict[str, Any]:
    """Arguments of `ray.init` that keep Ray from adding folders to the module path of the workers.

    It would put the current directory first, where any file may have the name of a module.
    """
    from ray.job_config import JobConfig

    class WithoutFolders(JobConfig):
        """Passes for a job that brings its own working directory, to which Ray adds nothing."""

        def _runtime_env_has_working_dir(self) -> bool:
            return True

    return {"job_config": WithoutFolders()}


def start_settings(folder: Path) -> dict[str, Any]:
    """Arguments of `ray.init` that put Ray's files into a folder."""
    return {"_temp_dir": str(folder)}


def let_python_run_while_ray_starts() -> None:
    """Replace Ray's own way of waiting for a port, which holds Python's lock for up to minutes."""
    from ray import _raylet
    from ray._private import node

    wait = functools.partial(wait_for_port, _raylet.wait_for_persisted_port)  # type: ignore[attr-defined]
    node.wait_for_persisted_port = wait  # type: ignore[attr-defined]


def wait_for_port(look: Callable[..., int], *place: object, timeout_ms: int) -> int:
    """Look for the port of a process of Ray in short turns."""
    deadline = time.monotonic() + timeout_ms / 1e3
    while True:
        try:
            return look(*place, timeout_ms=0)
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
        time.sleep(_POLL_SECONDS)


def has_lost_a_process() -> bool:
    """Whether a process has ended without which a cluster of our own does not work."""
    from ray._private import ray_constants, worker

    node: Any = worker._global_node
    needed = (ray_constants.PROCESS_TYPE_GCS_SERVER, ray_constants.PROCESS_TYPE_RAYLET)
    return node is not None and any(name in needed for name, _ in node.dead_processes())


def end_at_once() -> None:
    """Let a cluster of our own end without waiting for its processes, of which one may take five seconds.

    What they would tidy up lies in a folder that is removed, and trials have saved their states.
    """
    from ray._private import worker

    node: Any = worker._global_node
    if node is not None:
        node.kill_all_processes = functools.partial(_kill_all, node.kill_all_processes)


def _kill_all(
    kill: Callable[..., None], *, check_alive: bool = True, allow_graceful: bool = False, wait: bool = False
) -> None:
    """Kill all processes as asked, but never gracefully."""
    kill(check_alive=check_alive, allow_graceful=False, wait=wait)


def actor_id(actor: Any) -> str:
    """Ray's name of an actor, as its error messages spell it."""
    return str(actor._actor_id.hex())
