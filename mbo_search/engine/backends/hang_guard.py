"""What happens to a trial that hangs: it is interrupted where that is possible, else its process ends.

In either case the stacks of all threads are written down first, as the last words of the attempt, so that whoever
repeats the trial reports them and trains nothing. Where the trial runs in the main thread, as it does in the local
backend, a signal interrupts whatever it is doing and the search goes on. In a Ray worker, or where the signal is
not answered, the process ends; Ray starts another one, and a search in one process goes on with `resume`.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from mbo_search.engine.backends.failure_note import FailureNote, write_last_words
from mbo_search.engine.backends.watchdog import Watchdog
from mbo_search.errors import TrialError
from mbo_search.units import format_seconds

_SIGNAL = signal.SIGUSR2
_EXIT_FAILED = 1
_GRACE_SECONDS = 30.0
"""Most running time in which an interrupted trial must answer."""


class HangGuard:
    """Guards one attempt at a trial.

    Args:
        trials: The folder of trials.
        trial: Number of the trial.
        limit_seconds: Running time without a step that is a hang.
    """

    def __init__(self, trials: Path, trial: int, limit_seconds: float) -> None:
        self._trials = trials
        self._trial = trial
        self._watchdog = Watchdog(limit_seconds, self._hang, again_seconds=min(limit_seconds, _GRACE_SECONDS))
        self._is_main = threading.current_thread() is threading.main_thread()
        self._is_armed = False
        self._message = ""

    def beat(self) -> None:
        """Say that the trial goes on."""
        self._watchdog.beat()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Do not count the time that the trial waits for the driver."""
        with self._watchdog.paused():
            yield

    @contextmanager
    def on_guard(self) -> Iterator[None]:
        """Guard the attempt for as long as the block lasts.

        Raises:
            TrialError: In the block, with the reason `hung`, if it runs in the main thread and hangs.
        """
        with self._interruptible(), self._watchdog.watching():
            self._is_armed = True
            try:
                yield
            finally:
                self._is_armed = False

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        if not self._is_main:
            yield
            return
        before = signal.signal(_SIGNAL, self._interrupt)
        try:
            yield
        finally:
            signal.signal(_SIGNAL, before)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._is_armed and not self._watchdog.is_paused:
            self._is_armed = False
            raise TrialError("hung", self._message)

    def _hang(self, silent_seconds: float) -> None:
        """Called by the watchdog's thread, at first and again if nothing has changed."""
        is_first = not self._message
        if is_first:
            said = (
                f"no step for {format_seconds(silent_seconds)} of its own running time; what its threads were at:"
            )
            self._message = f"{said}\n{_stacks()}"
            write_last_words(self._trials, self._trial, FailureNote(reason="hung", message=self._message))
        if is_first and self._is_main:
            signal.pthread_kill(threading.main_thread().ident or 0, _SIGNAL)
            return
        how = f"error: trial {self._trial} hangs and cannot be interrupted; its process ends."
        print(f"{how} Go on with: mbo-search resume {self._trials.parent}", file=sys.stderr, flush=True)
        os._exit(_EXIT_FAILED)


def _stacks() -> str:
    with tempfile.TemporaryFile() as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        return file.read().decode(errors="replace")
