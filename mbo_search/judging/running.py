"""One run: a command in a folder of its own, without a shell; of one that fails or is stopped nothing is left."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mbo_search.engine.backends.stop_signals import SessionWatch
from mbo_search.judging.pairs import RunRecord
from mbo_search.judging.results import NoResultError, read_result
from mbo_search.system.end_with_parent import ending_with_parent
from mbo_search.train.foreign.family import end_family
from mbo_search.units import format_seconds, printable

LOG = "run.log"
"""Name of the file that a run's output goes to."""

FOLDER = "MBO_RUN_FOLDER"
"""Variable with the folder of a run; by it all processes of a run are known, whatever sessions they are in."""

_POLL_SECONDS = 0.05
_GRACE_SECONDS = 5.0
"""Time to end in peace after SIGTERM."""

_MOST_MESSAGE = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class RunJob:
    """A run that is to be made. Travels to worker processes.

    Attributes:
        words: Program and arguments.
        folder: Folder of the run: its current directory.
        seed: Its seed.
        environment: Variables beside those of this process.
        timeout_seconds: Time after which it has failed; None: no limit.
        session_file: File by which runs are stopped.
        session: The session that it belongs to.
    """

    words: tuple[str, ...]
    folder: Path
    seed: int
    environment: Mapping[str, str]
    timeout_seconds: float | None
    session_file: Path
    session: str


def run_job(job: RunJob) -> RunRecord | None:
    """Run a command to its end; None if it was stopped before."""
    stop = SessionWatch(job.session_file, job.session)
    if stop():
        return None
    end_family(FOLDER, str(job.folder))  # of an attempt whose judge was killed
    shutil.rmtree(job.folder, ignore_errors=True)
    job.folder.mkdir(parents=True)
    began = time.monotonic()
    try:
        code = _run(job, stop)
    except OSError as error:
        return _failed(job, began, f"it cannot be started: {error.strerror}")
    if isinstance(code, str):
        return None if code == "stopped" else _failed(job, began, _late(job))
    if code != 0:
        return _failed(job, began, f"{_ending(code)}{_last_words(job.folder / LOG)}")
    try:
        values = read_result(job.folder, job.folder / LOG)
    except NoResultError as error:
        return _failed(job, began, str(error))
    return finished_run(job.seed, values, time.monotonic() - began)


def finished_run(seed: int, values: Mapping[str, float], seconds: float = 0.0) -> RunRecord:
    """The record of a run that left these numbers."""
    return RunRecord(
        seed=seed,
        state="finished",
        values={name: value for name, value in values.items() if math.isfinite(value)},
        strange=tuple(sorted(name for name, value in values.items() if not math.isfinite(value))),
        seconds=seconds,
    )


def _run(job: RunJob, stop: Callable[[], bool]) -> int | str:
    """Exit code of the command, or `late` or `stopped`."""
    with (job.folder / LOG).open("wb") as log:
        process = subprocess.Popen(
            job.words,
            cwd=job.folder,
            env={**os.environ, **job.environment, FOLDER: str(job.folder)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=ending_with_parent(),
        )
        try:
            return _watch(process, job, stop)
        finally:
            if process.returncode is None:
                end_group(process)
            if process.returncode:
                end_family(FOLDER, str(job.folder))


def _watch(process: subprocess.Popen[bytes], job: RunJob, stop: Callable[[], bool]) -> int | str:
    deadline = math.inf if job.timeout_seconds is None else time.monotonic() + job.timeout_seconds
    while True:
        try:
            return process.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            if stop():
                return "stopped"
            if time.monotonic() > deadline:
                return "late"


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a group, and all of the group; those that do not listen are killed."""
    _signal(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_SECONDS
    # The leader is not reaped yet, so that the group's number cannot become somebody else's.
    looking = os.WEXITED | os.WNOHANG | os.WNOWAIT
    while os.waitid(os.P_PID, process.pid, looking) is None and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    _signal(process.pid, signal.SIGKILL)
    process.wait()


def _signal(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return  # all of it has ended


def _failed(job: RunJob, began: float, message: str) -> RunRecord:
    return RunRecord(seed=job.seed, state="failed", message=message, seconds=time.monotonic() - began)


def _late(job: RunJob) -> str:
    return f"it was ended after {format_seconds(job.timeout_seconds or 0.0)}, the time that a run may take"


def _ending(code: int) -> str:
    if code > 0:
        return f"it ended with exit code {code}"
    try:
        return f"it was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"it was ended by signal {-code}"


def _last_words(log: Path) -> str:
    """The last line of a log that is not empty, as the end of a sentence."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = file.read().decode("utf-8", errors="replace").splitlines()
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f", and its last words were: {printable(last[-_MOST_MESSAGE:])}" if last else ""
