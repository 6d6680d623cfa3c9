"""Real processes, and the whole family of one: found by a mark in the environment, and ended whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

MARK = "MBO_TEST_RUN"
"""Names in the environment what a process was started for; all of Ray's processes inherit it."""

Start = Callable[[Sequence[str], Path, Mapping[str, str]], subprocess.Popen[str]]
"""Starts a command for a run directory in an environment, in a process group of its own."""


@contextmanager
def ended_at_last() -> Iterator[Start]:
    """Start processes of which nothing is left behind the block, however it is left.

    Yields:
        Starts one.
    """
    with ExitStack() as stack:

        def start(command: Sequence[str], run: Path, environment: Mapping[str, str]) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                command,
                env={**environment, MARK: str(run)},
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                process_group=0,
            )
            stack.callback(end, process, run)
            return process

        yield start


def end(process: subprocess.Popen[str], run: Path) -> None:
    """End a process and its whole family, and close its pipes."""
    deadline = time.monotonic() + 30
    while family(run) and time.monotonic() < deadline:
        for pid in family(run):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
    process.kill()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    process.wait()


def family(run: Path) -> dict[int, str]:
    """Command lines of the living processes that were started for a run directory, by their number."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if f"{MARK}={run}".encode() in environment.split(b"\0"):
            found[int(entry.name)] = command
    return found


def named(name: str, run: Path) -> list[int]:
    """Numbers of the living processes of a run directory whose program has a name."""
    return [pid for pid, command in family(run).items() if command.split(" ")[0].endswith(f"/{name}")]


def wait_for(condition, seconds: float = 300.0):
    """Poll until a condition holds; what it gave."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)
    return found
