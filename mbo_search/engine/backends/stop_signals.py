"""Stopping a search: signals reach the driver, a small file passes the request on to every worker.

Workers may be on other machines, so the request travels through the run directory. The file also names the driver's
session: a worker that outlives its driver sees another session, or none, and stops as well.
"""

from __future__ import annotations

import json
import math
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TypeVar

from mbo_search.system.files import read_json, write_json

ResultT = TypeVar("ResultT")

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
"""Signals that make a driver save and stop: Ctrl-C, termination, a scheduler's warning, a lost terminal."""


class SessionFile:
    """Driver's side: announces a session and tells its workers to stop.

    Attributes:
        path: The file.
        session: Names this driver's session.
    """

    def __init__(self, path: Path) -> None:
        """Start a session; workers of earlier ones stop."""
        self.path = path
        self.session = secrets.token_hex(8)
        write_json(path, {"session": self.session, "stop": False})

    def stop(self) -> None:
        """Tell all workers to save their state and return."""
        write_json(self.path, {"session": self.session, "stop": True})


class SessionWatch:
    """Worker's side: whether to stop now; cheap enough to be called before every step."""

    def __init__(self, path: Path, session: str, *, every_seconds: float = 0.25) -> None:
        """Watch a session."""
        self._path = path
        self._session = session
        self._read = throttled(self._is_over, every_seconds)
        self._is_stopped = False

    def __call__(self) -> bool:
        """Whether to stop; once True, always True."""
        self._is_stopped = self._is_stopped or bool(self._read())
        return self._is_stopped

    def _is_over(self) -> bool:
        try:
            value = read_json(self._path)
        except FileNotFoundError:
            return True  # the run directory is gone
        except (OSError, json.JSONDecodeError):
            return False  # a hiccup of a shared file system is not a reason to stop
        return not isinstance(value, dict) or value.get("session") != self._session or bool(value.get("stop"))


class StopRequest:
    """Request to stop, made by a signal or by a call of `set`."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._is_urgent = False

    def is_set(self) -> bool:
        """Whether a stop was requested."""
        return self._event.is_set()

    def set(self) -> None:
        """Request a stop."""
        self._event.set()

    def arm(self) -> None:
        """Let stop signals request a stop; a second Ctrl-C interrupts at once, further ones change nothing.

        A search that was started to outlive its terminal (`nohup`) continues without it. Call this again after a
        library has installed its own handlers, as Ray's core does when it starts.
        Outside the main thread Python allows no handlers, and nothing happens.
        """
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                    signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.is_set() and number == signal.SIGINT and not self._is_urgent:
            self._is_urgent = True  # what is under way to tidy up must not be interrupted again
            raise KeyboardInterrupt
        self.set()


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn stop signals into a request inside the block."""
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    request = StopRequest()
    request.arm()
    try:
        yield request
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def stop_once_polled() -> Iterator[Callable[[], bool]]:
    """Turn stop signals into a request from the first poll on.

    Before that nothing listens to requests, as while text is prepared, and a signal interrupts at once.
    """
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    request, is_armed = StopRequest(), False

    def stop() -> bool:
        nonlocal is_armed
        if not is_armed:
            is_armed = True
            request.arm()
        return request.is_set()

    try:
        yield stop
    finally:
        if is_armed and threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


def throttled(action: Callable[[], ResultT], every_seconds: float) -> Callable[[], ResultT | None]:
    """Limit how often an action runs; calls in between return None."""
    last = -math.inf

    def run() -> ResultT | None:
        nonlocal last
        now = time.monotonic()
        if now - last < every_seconds:
            return None
        last = now
        return action()

    return run
