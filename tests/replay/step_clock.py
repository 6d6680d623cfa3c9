"""A clock that only optimizer steps move, so that nothing that is replayed depends on how fast the machine is.

Seconds steer more than reports: whether a state within a stage is worth keeping, what a search for two objectives
minimizes, when a limit is reached. On this clock they are facts of the schedule.
"""

from __future__ import annotations

import time

from torch.optim.optimizer import register_optimizer_step_post_hook

_TICK = 2.0**-7
"""Seconds of a step; sums and differences of it are exact, whatever was counted before."""

_EPOCH = 1_800_000_000.0


class StepClock:
    """Takes the place of the process's clocks from `install` on; call that before the product is imported."""

    def __init__(self) -> None:
        self._ticks = 0

    def install(self) -> None:
        """Let the steps of every torch optimizer move `time.time`, `time.monotonic` and `time.perf_counter`."""
        register_optimizer_step_post_hook(lambda *_: self._tick())
        time.monotonic = time.perf_counter = lambda: self._ticks * _TICK
        time.time = lambda: _EPOCH + self._ticks * _TICK

    def restart(self) -> None:
        """Begin at zero again."""
        self._ticks = 0

    def _tick(self) -> None:
        self._ticks += 1
