"""Start of Ray's processes, with retries, because a busy machine starts them slowly.

Ray gives its node half a minute to register and then raises a bare exception, with its processes still running. So
a start is tried several times, what an attempt left is ended before the next one, and Ray's logs are kept where a
person can read them. An attempt may wait for minutes where nothing can interrupt it, so it runs in a thread of its
own, and the driver can still be stopped.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from mbo_search.engine.backends.stop_signals import STOP_SIGNALS, StopRequest
from mbo_search.errors import Problem, UserError
from mbo_search.units import format_seconds

_MOST_STARTS = 5
_LONGEST_SECONDS = 240.0
"""No further start is tried after this time; each may take a minute or two itself."""

_STOP_SECONDS = 2.0
"""Time in which an attempt may finish once a stop is requested; then it is abandoned."""

_POLL_SECONDS = 0.1
_MOST_LOG_BYTES = 2**20
_GONE_SECONDS = 10.0

_TIMEOUTS = {
    "RAY_gcs_server_port_wait_time_s": "120",
    "RAY_raylet_start_wait_time_s": "120",
    "RAY_agent_register_timeout_ms": "120000",
    "RAY_worker_register_timeout_seconds": "300",
}
"""Ray's settings of how long it waits for its own processes, which start slowly under load."""


class RayStartError(UserError):
    """Ray's processes did not come up."""


def timeout_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Longer waits for Ray's own processes than its defaults, unless the user has set them."""
    return {name: environment.get(name, seconds) for name, seconds in _TIMEOUTS.items()}


def start_with_retries(
    start: Callable[[], None], folder: Path, logs: Path, *, stop: StopRequest
) -> threading.Event:
    """Start Ray, several times where it does not come up.

    Raises:
        RayStartError: If Ray does not start, or a stop was requested before it had.
    """
    began = time.monotonic()
    number = 0
    while True:
        number += 1
        try:
            return start_interruptibly(start, stop)
        except Exception as error:  # Ray's reasons have no common type, and none of them is ours
            end_processes_of(folder)
            keep_logs(folder, logs)
            shutil.rmtree(folder, ignore_errors=True)
            seconds = time.monotonic() - began
            is_last = number == _MOST_STARTS or seconds > _LONGEST_SECONDS
            if is_last or stop.is_set():
                raise _refusal(error, number, seconds, logs) from error


def start_interruptibly(start: Callable[[], None], stop: StopRequest) -> threading.Event:
    """Start Ray or connect to it, in a thread; neither it nor the processes that it starts receive stop signals.

    A signal to the whole process group or job (Ctrl-C, a batch scheduler) would end Ray's processes before the
    trials have saved their state. The driver stops them in its own time.

    Raises:
        RayStartError: If a stop was requested and the attempt has not finished soon after; its thread is
            abandoned.
        Exception: Whatever the attempt raised.
    """
    attempt = _Attempt(start)
    with _signals_pending(stop):
        attempt.start()
        deadline = None
        while not attempt.is_done.wait(_POLL_SECONDS):
            if deadline is None and (stop.is_set() or signal.sigpending() & set(STOP_SIGNALS)):
                deadline = time.monotonic() + _STOP_SECONDS
            if deadline is not None and time.monotonic() > deadline:
                attempt.may_end.set()
                raise RayStartError("Ray had not started when a stop was requested")
    if attempt.failure is not None:
        raise attempt.failure
    return attempt.may_end


@contextmanager
def _signals_pending(stop: StopRequest) -> Iterator[None]:
    """Hold back stop signals, which Ray's core would take for a crash while it starts; deliver them afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        stop.arm()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Attempt(threading.Thread):
    """Thread that starts Ray and stays alive.

    Attributes:
        is_done: Set when Ray has started or the attempt has failed.
        may_end: To be set when the thread is no longer needed.
        failure: What the attempt raised.
    """

    def __init__(self, action: Callable[[], None]) -> None:
        super().__init__(name="ray-start", daemon=True)
        self._action = action
        self.is_done = threading.Event()
        self.may_end = threading.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            self._action()
        except BaseException as error:
            self.failure = error
            self.may_end.set()
        self.is_done.set()
        self.may_end.wait()


def keep_logs(folder: Path, logs: Path) -> None:
    """Copy the logs of Ray's processes, the ends of long files only."""
    for source in folder.glob("session_*/logs/*"):
        if source.is_file() and not source.is_symlink() and source.stat().st_size:
            with source.open("rb") as file:
                file.seek(max(0, source.stat().st_size - _MOST_LOG_BYTES))
                (logs / source.name).write_bytes(file.read())


def folder_mark(folder: Path) -> dict[str, str]:
    """Environment variable that marks processes whose command line does not name the folder."""
    return {"MBO_SEARCH_RAY": f"{folder}{os.sep}"}


def end_processes_of(folder: Path) -> None:
    """End the processes that belong to a folder of ours, and wait until they are gone.

    They name it on their command line, have the variable of `folder_mark`, or write to a file inside it: Ray's
    agents overwrite their command line and the variables that follow it with a title. A process that has just been
    started has no command line for a moment, so two looks must find nothing.
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
    """Living processes, zombies aside, that refer to a path inside the folder."""
    sign = os.fsencode(f"{folder}{os.sep}")
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if any(sign in trace for trace in _traces(entry)):
                found.append(int(entry.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


def _traces(process: Path) -> Iterator[bytes]:
    """Visible traces of a process: its command line, its variables, and the files that it writes to."""
    for name in ("cmdline", "environ"):
        yield (process / name).read_bytes()
    for file in (process / "fd").iterdir():
        with suppress(FileNotFoundError):  # closed in the meantime
            if _is_written(process / "fdinfo" / file.name):
                yield os.fsencode(file.readlink())


def _is_written(info: Path) -> bool:
    """Whether a file is open for more than reading."""
    fields = dict(line.split(":", 1) for line in info.read_text(encoding="ascii").splitlines() if ":" in line)
    return int(fields["flags"], 8) & os.O_ACCMODE != os.O_RDONLY


def _refusal(error: Exception, attempts: int, seconds: float, logs: Path) -> RayStartError:
    times = "once" if attempts == 1 else f"{attempts} times"
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    rule = f"cannot be started: tried {times} in {format_seconds(seconds)}, the last error was: {reason}"
    hint = (
        f"Ray's own logs are in {logs}; run one trial at a time without Ray with --backend local, free the "
        f"machine, or give Ray more time with the variables {' and '.join(list(_TIMEOUTS)[:2])}"
    )
    return RayStartError([Problem(key="Ray", rule=rule, hint=hint)])
