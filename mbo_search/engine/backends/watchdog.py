"""Noticing that a trial hangs: no step for a long time, counted in running time of its own.

The time that counts is the time in which the trial could run. A thread ticks; each tick counts for little more than
its own length, however much later it comes, and what the trial spent waiting for a processor is taken off. So a
machine that was suspended for an hour, or all of whose processes were stopped, has lost one tick, a trial on a
machine with far too much to do is merely slow, and nobody is judged for either.

What holds Python's interpreter lock for ever stops the thread as well and is not noticed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_LONGEST_TICK_SECONDS = 1.0
_TICKS_PER_LIMIT = 20


class RunningClock:
    """Seconds in which a thread could run, as far as regular ticks can tell.

    >>> clock = RunningClock(tick_seconds=1.0, now=0.0, waited=0.0)
    >>> clock.tick(1.0, waited=0.0), clock.tick(2.5, waited=1.25), clock.tick(3600.0, waited=1.25)
    (1.0, 0.25, 2.0)

    Args:
        tick_seconds: Time between two ticks that come in time.
        now: Seconds on a steady clock.
        waited: Seconds that the thread has waited for a processor so far.
    """

    def __init__(self, *, tick_seconds: float, now: float, waited: float) -> None:
        self._most_seconds = 2 * tick_seconds
        self._last = now
        self._last_waited = waited

    def tick(self, now: float, *, waited: float) -> float:
        """Running seconds since the tick before: two ticks at most, for nothing was running in the rest."""
        elapsed, self._last = now - self._last, now
        waiting, self._last_waited = waited - self._last_waited, waited
        return max(0.0, min(elapsed - waiting, self._most_seconds))


class Watchdog:
    """Watches one trial at a time and says when it has been silent too long.

    Args:
        limit_seconds: Running time without a beat that is a hang.
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
        """Whether the trial is waiting for somebody else, which is no hang."""
        return self._num_pauses > 0

    def beat(self) -> None:
        """Say that the trial goes on; cheap enough to be called before every step."""
        self._num_beats += 1

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Do not count the time that the trial waits for somebody else."""
        self._num_pauses += 1
        try:
            yield
        finally:
            self._num_beats += 1
            self._num_pauses -= 1

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the calling thread for as long as the block lasts."""
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


def _waited(thread_id: int) -> float:
    """Seconds that a thread of this process was ready and had no processor; 0 where the system does not say."""
    try:
        fields = Path(f"/proc/self/task/{thread_id}/schedstat").read_text(encoding="ascii").split()
    except OSError:
        return 0.0
    return int(fields[1]) / 1e9
