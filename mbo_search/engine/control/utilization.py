"""Utilization of the slots: time at work between the first trial's start and the moment the last one was queued."""

from __future__ import annotations

from collections.abc import Sequence


class UtilizationMeter:
    """Adds up the time that slots were at work.

    Before the first start there is nothing to run on; once the last trial is queued there is nothing left to wait
    for. Both say nothing about the scheduling, so they are left out.

    >>> meter = UtilizationMeter(slots=2)
    >>> meter.queued(0.0); meter.started(0, 0.0); meter.queued(0.0); meter.started(1, 0.0)
    >>> meter.ended(0, 6.0); meter.queued(8.0); meter.started(2, 8.0); meter.ended(1, 10.0); meter.ended(2, 20.0)
    >>> meter.fraction()
    0.875
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._open: dict[int, float] = {}
        self._spans: list[tuple[float, float]] = []
        self._first_start: float | None = None
        self._last_queued: float | None = None

    def queued(self, at: float) -> None:
        """Note that a trial was given to a slot."""
        self._last_queued = at

    def started(self, trial: int, at: float) -> None:
        """Note that a slot began to work on a trial."""
        self._open[trial] = at
        self._first_start = at if self._first_start is None else min(at, self._first_start)

    def ended(self, trial: int, at: float) -> None:
        """Note that a slot is free again."""
        start = self._open.pop(trial, None)
        if start is not None:
            self._spans.append((start, at))

    @property
    def running_trials(self) -> Sequence[int]:
        """Numbers of the trials that slots are working on."""
        return sorted(self._open)

    def seconds(self) -> tuple[float, float]:
        """Slot-seconds at work and slot-seconds available so far."""
        if self._first_start is None or self._last_queued is None:
            return 0.0, 0.0
        first, last = self._first_start, self._last_queued
        spans = [*self._spans, *((start, last) for start in self._open.values())]
        busy = sum(max(0.0, min(end, last) - max(start, first)) for start, end in spans)
        return busy, max(0.0, (last - first) * self._slots)

    def fraction(self) -> float | None:
        """Share of the available slot-seconds at work, in [0, 1]; None while there were none."""
        busy, available = self.seconds()
        return busy / available if available > 0 else None
