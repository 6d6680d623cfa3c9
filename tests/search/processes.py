"""Drivers as real processes, and the whole family of one: found by a mark in the environment."""

from __future__ import annotations

import time
from pathlib import Path

MARK = "MBO_TEST_RUN"
"""Set it to the run directory's path before a driver is started; all of Ray's processes inherit it."""


def family(run: Path) -> dict[int, str]:
    """Command lines of the living processes that were started for a run directory, by their number."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if f"{MARK}={run}".encode() in environment.split(b"\0"):
            found[int(entry.name)] = command
    return found


def wait_for(condition, seconds: float = 300.0):
    """Poll until a condition holds; what it gave."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)
    return found
