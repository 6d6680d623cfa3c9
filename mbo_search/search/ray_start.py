"""Starting Ray's processes: with patience, for a busy machine starts them slowly, and in plain words if it fails.

Ray gives its node half a minute to register and then raises a bare exception, with its processes still there. So a
start is tried some times, what an attempt left is ended before the next one, and what Ray wrote is kept where a
person can read it.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from mbo_search.errors import Problem, UserError
from mbo_search.search.stopping import STOP_SIGNALS
from mbo_search.units import format_seconds

__all__ = ["RayStartError", "end_processes_of", "keep_logs", "patient_settings", "start_patiently"]

_MOST_STARTS = 5
_LONGEST_SECONDS = 240.0
"""No further start is tried after this time; each may take a minute or two itself."""

_MOST_LOG_BYTES = 2**20
_GONE_SECONDS = 10.0

_PATIENCE = {
    "RAY_gcs_server_port_wait_time_s": "120",
    "RAY_raylet_start_wait_time_s": "120",
    "RAY_agent_register_timeout_ms": "120000",
    "RAY_worker_register_timeout_seconds": "300",
}
"""What Ray lets itself be told: how long it waits for its own processes, which start slowly under load."""


class RayStartError(UserError):
    """Ray's processes did not come up."""


def patient_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Ray's settings of how long it waits for its own processes, longer than its own defaults.

    Args:
        environment: The user's variables; what is set there stays.
    """
    return {name: environment.get(name, seconds) for name, seconds in _PATIENCE.items()}


def start_patiently(start: Callable[[], None], folder: Path, logs: Path) -> None:
    """Start Ray, again and again where it does not come up.

    Args:
        start: Starts Ray's processes in the folder and connects to them.
        folder: Ray's temporary folder, which nobody else uses.
        logs: Where Ray's logs are kept of an attempt that failed; it exists.

    Raises:
        RayStartError: If Ray does not start, or a stop signal waits for the attempt to end.
    """
    began = time.monotonic()
    for number in range(1, _MOST_STARTS + 1):
        try:
            start()
            return
        except Exception as error:  # Ray's reasons have no common type, and none of them is ours
            end_processes_of(folder)
            keep_logs(folder, logs)
            shutil.rmtree(folder, ignore_errors=True)
            seconds = time.monotonic() - began
            is_last = number == _MOST_STARTS or seconds > _LONGEST_SECONDS
            if is_last or signal.sigpending() & set(STOP_SIGNALS):
                raise _refusal(error, number, seconds, logs) from error


def keep_logs(folder: Path, logs: Path) -> None:
    """Copy what Ray's processes wrote, the ends of long files only.

    Args:
        folder: Ray's temporary folder.
        logs: Where the copies go; it exists.
    """
    for source in folder.glob("session_*/logs/*"):
        if source.is_file() and not source.is_symlink() and source.stat().st_size:
            with source.open("rb") as file:
                file.seek(max(0, source.stat().st_size - _MOST_LOG_BYTES))
                (logs / source.name).write_bytes(file.read())


def end_processes_of(folder: Path) -> None:
    """End the processes that name a folder of ours on their command line, and wait until they are gone.

    A process that has just been started shows no command line for a moment, so nobody is believed gone before a
    second look.

    Args:
        folder: A temporary folder that only Ray's processes of this driver know.
    """
    deadline = time.monotonic() + _GONE_SECONDS
    empty_looks = 0
    while empty_looks < 2 and time.monotonic() < deadline:
        left = _processes_of(folder)
        for pid in left:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        empty_looks = 0 if left else empty_looks + 1
        time.sleep(0.1)


def _processes_of(folder: Path) -> list[int]:
    """Living processes, zombies aside, whose command line holds a path below the folder."""
    sign = f"{folder}{os.sep}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if sign in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


def _refusal(error: Exception, attempts: int, seconds: float, logs: Path) -> RayStartError:
    times = "once" if attempts == 1 else f"{attempts} times"
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    rule = f"cannot be started: tried {times} in {format_seconds(seconds)}, the last time Ray said: {reason}"
    hint = (
        f"Ray's own logs are in {logs}; go on one trial at a time without Ray by --backend local, free the "
        f"machine, or give Ray more time by the variables {' and '.join(list(_PATIENCE)[:2])}"
    )
    return RayStartError([Problem(key="Ray", rule=rule, hint=hint)])
