"""Work that costs time, done at most for a small share of it: the search itself needs the machine more."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

ValueT = TypeVar("ValueT")

_REST = 14.0
"""Least pause after making a value, in terms of the CPU time that it took: at most a fifteenth is spent."""


class Paced(Generic[ValueT]):
    """A value that is made anew whenever it is asked for, but not more often than is cheap."""

    def __init__(self, make: Callable[[], ValueT]) -> None:
        """Make nothing yet."""
        self._make = make
        self._lock = threading.Lock()
        self._kept: tuple[ValueT] | None = None
        self._next_at = -math.inf

    def get(self) -> ValueT:
        """The value of now, or of a moment ago."""
        with self._lock:
            if self._kept is None or time.monotonic() >= self._next_at:
                began = time.thread_time()
                self._kept = (self._make(),)
                self._next_at = time.monotonic() + _REST * (time.thread_time() - began)
            return self._kept[0]


class Rationed(Generic[ValueT]):
    """A value that is made anew when its version changes, but not more often than is cheap.

    Attributes:
        version: Version of what was made last; None before the first time.
    """

    def __init__(self, make: Callable[[], ValueT], *, least_seconds: float) -> None:
        """Make nothing yet.

        Args:
            make: Makes the value.
            least_seconds: Least pause between two of them.
        """
        self._make = make
        self._least_seconds = least_seconds
        self._lock = threading.Lock()
        self._value: ValueT | None = None
        self._next_at = -math.inf
        self.version: str | None = None

    def offered(self, newest: str) -> str:
        """The version that `get` would give: the newest where its making is due, else the last one."""
        is_due = self.version is None or time.monotonic() >= self._next_at
        return newest if is_due or self.version is None else self.version

    def get(self, newest: str) -> ValueT:
        """The value, made anew if that is due."""
        with self._lock:
            if self._value is None or self.offered(newest) != self.version:
                began = time.thread_time()
                self._value = self._make()
                self.version = newest
                pause = max(self._least_seconds, _REST * (time.thread_time() - began))
                self._next_at = time.monotonic() + pause
            return self._value
