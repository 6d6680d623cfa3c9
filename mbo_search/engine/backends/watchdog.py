"""Watchdog of a trial: a hang is noticed, and the trial is interrupted, or else its process ends.

A hang is a long time without a step, counted in running time of the trial. A thread ticks; each tick counts for
little more than its own length, however late it comes, and the time that the trial waited for a CPU is subtracted.
So a suspended machine or a stopped process loses one tick, a trial on an overloaded machine is merely slow, and
neither counts as a hang. A hang that holds Python's interpreter lock stops the thread as well and is not noticed.

The stacks of all threads are written down first, as the failure note of the attempt, so that the next attempt
reports them and trains nothing. Where the trial runs in the main thread, as it does in the local backend, a signal
interrupts it and the search continues. In a Ray worker, or where the signal has no effect, the process ends: Ray
starts another one, and a search in one process continues with `resume`.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from mbo_search.engine.backends.failure_note import FailureNote, write_failure_note
from mbo_search.errors import TrialError, command_line
from mbo_search.units import format_seconds

_LONGEST_TICK_SECONDS = 1.0
_TICKS_PER_LIMIT = 20
_SIGNAL = signal.SIGUSR2
_EXIT_FAILED = 1
_GRACE_SECONDS = 30.0
"""Running time within which an interrupted trial must react."""


class RunningClock:
    """Clock of the seconds in which a thread could run, as far as regular ticks can tell.

    >>> clock = RunningClock(tick_seconds=1.0, now=0.0, waited=0.0)
    >>> clock.tick(1.0, waited=0.0), clock.tick(2.5, waited=1.25), clock.tick(3600.0, waited=1.25)
    (1.0, 0.25, 2.0)

    Args:
        tick_seconds: Time between two ticks that are on time.
        now: Seconds on a steady clock.
        waited: Seconds that the thread has waited for a CPU so far.
    """

    def __init__(self, *, tick_seconds: float, now: float, waited: float) -> None:
        self._most_seconds = 2 * tick_seconds
        self._last = now
        self._last_waited = waited

    def tick(self, now: float, *, waited: float) -> float:
        """Running seconds since the last tick: two ticks at most, because nothing was running in the rest."""
        elapsed, self._last = now - self._last, now
        waiting, self._last_waited = waited - self._last_waited, waited
        return max(0.0, min(elapsed - waiting, self._most_seconds))


class Watchdog:
    """Thread that watches one trial at a time and reports when it has been silent too long.

    Args:
        limit_seconds: Running time without a beat that counts as a hang.
        on_hang: Called in the watchdog's thread, with the silent seconds.
        again_seconds: Further silence after which it is called again.
    """

    def __init__(self, limit_seconds: float, on_hang: Callable[[float], None], *, again_seconds: float) -> None:
        self._limit_seconds = limit_seconds
        self._again_seconds = again_seconds
        self._tick_seconds = min(_LONGEST_TICK_SECONDS, limit_seconds / _TICKS_PER_LIMIT)
        self._on_hang = on_hang
        self._num_beats = 0
        self._num_pauses = 0
        self._over = threading.Event()

    @property
    def is_paused(self) -> bool:
        """Whether the trial is waiting for somebody else, which is not a hang."""
        return self._num_pauses > 0

    def beat(self) -> None:
        """Note that the trial is making progress; cheap enough to be called before every step."""
        self._num_beats += 1

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Exclude the time that the trial waits for somebody else."""
        self._num_pauses += 1
        try:
            yield
        finally:
            self._num_beats += 1
            self._num_pauses -= 1

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the calling thread inside the block."""
        watched = threading.get_native_id()
        thread = threading.Thread(target=self._watch, args=(watched,), name="watchdog", daemon=True)
        self._over.clear()
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _watch(self, thread_id: int) -> None:
        clock = RunningClock(tick_seconds=self._tick_seconds, now=time.monotonic(), waited=_waited(thread_id))
        num_beats, silent_seconds, next_limit = self._num_beats, 0.0, self._limit_seconds
        while not self._over.wait(self._tick_seconds):
            running_seconds = clock.tick(time.monotonic(), waited=_waited(thread_id))
            if self._num_beats != num_beats or self.is_paused:
                num_beats, silent_seconds, next_limit = self._num_beats, 0.0, self._limit_seconds
                continue
            silent_seconds += running_seconds
            if silent_seconds >= next_limit:
                next_limit += self._again_seconds
                self._on_hang(silent_seconds)


class HangGuard:
    """Guard of one attempt at a trial.

    Args:
        trials: The folder of trials.
        trial: Number of the trial.
        limit_seconds: Running time without a step that counts as a hang.
    """

    def __init__(self, trials: Path, trial: int, limit_seconds: float) -> None:
        self._trials = trials
        self._trial = trial
        self._watchdog = Watchdog(limit_seconds, self._hang, again_seconds=min(limit_seconds, _GRACE_SECONDS))
        self._is_main = threading.current_thread() is threading.main_thread()
        self._is_armed = False
        self._message = ""

    def beat(self) -> None:
        """Note that the trial is making progress."""
        self._watchdog.beat()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Exclude the time that the trial waits for the driver."""
        with self._watchdog.paused():
            yield

    @contextmanager
    def on_guard(self) -> Iterator[None]:
        """Guard the attempt inside the block.

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
        """React to silence, in the watchdog's thread: the first time, and again if nothing has changed."""
        is_first = not self._message
        if is_first:
            summary = (
                f"no step for {format_seconds(silent_seconds)} of its own running time; stacks of its threads:"
            )
            self._message = f"{summary}\n{_stacks()}"
            write_failure_note(self._trials, self._trial, FailureNote(reason="hung", message=self._message))
        if is_first and self._is_main:
            signal.pthread_kill(threading.main_thread().ident or 0, _SIGNAL)
            return
        error = f"error: #{self._trial} hangs and cannot be interrupted; its process ends."
        print(f"{error} Continue with: {command_line('resume', self._trials.parent)}", file=sys.stderr, flush=True)
        os._exit(_EXIT_FAILED)


def _stacks() -> str:
    with tempfile.TemporaryFile() as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        return file.read().decode(errors="replace")


def _waited(thread_id: int) -> float:
    """Seconds that a thread of this process was ready and had no CPU; 0 where the system does not say."""
    try:
        fields = Path(f"/proc/self/task/{thread_id}/schedstat").read_text(encoding="ascii").split()
    except OSError:
        return 0.0
    return int(fields[1]) / 1e9
