"""How far a running trial is: a number in a small file, which its worker writes and the driver reads.

Nothing depends on it but what people see, so nothing waits for it and a full disk costs only the number. Workers
that do not see the run directory tell their stage ends alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from mbo_search.engine.backends.stop_signals import throttled
from mbo_search.study.spec.segments import Segment
from mbo_search.train.execution.path import SchedulePath
from mbo_search.trial.reports import BoundaryReport, Metrics, Node, StageRunner, Stop

_TELL_EVERY_SECONDS = 0.5
_DIGITS = 20


def position_file(trials: Path, trial: int) -> Path:
    """The file of a trial."""
    return trials / f"{trial:04d}.position"


def read_position(trials: Path, trial: int) -> int | None:
    """Charged tokens that a running trial has done, shared ones included; None if that is not known."""
    try:
        with position_file(trials, trial).open("rb") as file:
            return int(file.read(_DIGITS))
    except (OSError, ValueError):
        return None


@contextmanager
def telling_position(trials: Path, trial: int) -> Iterator[Callable[[int], None]]:
    """Make a function that notes how far a trial is; the file is gone afterwards."""
    path, flags = position_file(trials, trial), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    try:
        file = os.open(path, flags, 0o666)
    except OSError:
        yield lambda tokens: None
        return
    try:
        yield lambda tokens: _write(file, tokens)
    finally:
        os.close(file)
        path.unlink(missing_ok=True)


def _write(file: int, tokens: int) -> None:
    with suppress(OSError):
        os.pwrite(file, f"{tokens:0{_DIGITS}d}".encode("ascii"), 0)


@runtime_checkable
class KnowsStep(Protocol):
    """A runner that may be asked to stop more or less often than it takes steps, and says where it is."""

    step_done: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TellingRunner:
    """A runner that tells how far it is: it is asked before every step whether to stop.

    Attributes:
        runner: Trains.
        path: The schedule's path, which knows what a step costs.
        tell: Takes charged tokens.
    """

    runner: StageRunner
    path: SchedulePath
    tell: Callable[[int], None]

    def has_begun(self, key: str) -> bool:
        """Whether a call was on its way to a node; see `StageRunner.has_begun`."""
        return self.runner.has_begun(key)

    def run(
        self, node: Node | None, segments: Sequence[Segment], seed: int, stop: Stop
    ) -> tuple[Path | None, BoundaryReport]:
        """Train consecutive segments; see `StageRunner.run`."""
        num_steps = segments[0].first_step - 1

        def tell() -> None:
            self.tell(self.path.tokens_at(max(0, num_steps)))

        tell_sometimes = throttled(tell, _TELL_EVERY_SECONDS)

        def stop_and_tell() -> bool:
            nonlocal num_steps
            told = self.runner.step_done if isinstance(self.runner, KnowsStep) else None
            num_steps = num_steps + 1 if told is None else told
            tell_sometimes()
            return stop()

        state_dir, report = self.runner.run(node, segments, seed, stop_and_tell)
        self.tell(self.path.tokens_at(report.step))
        return state_dir, report

    def measure(self, node: Node, segment: Segment) -> Metrics | None:
        """Evaluate a state; see `StageRunner.measure`."""
        return self.runner.measure(node, segment)
