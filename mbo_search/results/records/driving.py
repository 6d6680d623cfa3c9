"""Whether a run directory is being driven, asked without touching its lock.

A reader that took the lock, even for an instant, could make a driver wait. So the name that the driver has written
into the file is read, and whether that process still lives is asked of the kernel.
"""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from pydantic import ValidationError

from mbo_search.results.records.lock import LockHolder
from mbo_search.system.files import read_bounded

_MOST_BYTES = 4096
_SILENT_SECONDS = 300.0
"""A driver on another machine is taken for dead after so long without a status, which it writes every 10 s."""


def driver_of(folder: Path) -> LockHolder | None:
    """The driver that works in a run directory now, as far as can be told from outside; None: nobody."""
    try:
        found = LockHolder.model_validate_json(read_bounded(folder / "lock", _MOST_BYTES))
    except (OSError, ValueError, ValidationError):
        return None  # an empty file: the last driver has ended in peace
    if found.host == socket.gethostname():
        return found if _is_alive(found.pid) else None
    return found if _seconds_since(folder / "status.json") < _SILENT_SECONDS else None


def is_driven(folder: Path) -> bool:
    """Whether a driver works in a run directory, or in one of its independent repeats."""
    return any(driver_of(one) is not None for one in (folder, *sorted((folder / "repeats").glob("*"))))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # somebody else's process
    return True


def _seconds_since(file: Path) -> float:
    try:
        return time.time() - file.stat().st_mtime
    except OSError:
        return float("inf")
