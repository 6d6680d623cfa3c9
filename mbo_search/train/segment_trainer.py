"""One call of the live trainer: consecutive segments, what was done of them, and what it cost."""

from __future__ import annotations

import time
from collections.abc import Sequence

from mbo_search.study.spec.segments import Segment
from mbo_search.train.loop import StepContext, StepReport, train_segment
from mbo_search.train.measure import EvalSet, point_behind
from mbo_search.train.memory import peak_memory_bytes
from mbo_search.train.partial import CallRecord, Partial, PartialClock
from mbo_search.train.train_state import TrainState
from mbo_search.trial.cost import Cost
from mbo_search.trial.reports import BoundaryReport, CurvePoint, EndReason, Stop

PROGRESS_SECONDS = 0.2
"""Time between two notes of how far a call came."""


class SegmentTrainer:
    """Trains a stretch from wherever in it the state stands, and keeps the accounts.

    Args:
        segments: The stretch.
        partial: Where its partial states are kept.
        exam: The validation text, and how the study trains.
        key: Key of the node behind the stretch.

    Attributes:
        partial: Where its partial states are kept.
        key: Key of the node behind the stretch.
    """

    def __init__(self, segments: Sequence[Segment], partial: Partial, exam: EvalSet, *, key: str) -> None:
        self.partial = partial
        self.key = key
        self._segments = segments
        self._exam = exam
        self._live: TrainState | None = None
        self._points: list[CurvePoint] = []
        self._executed_tokens = 0
        self._wasted_tokens = 0
        self._seconds_before = 0.0
        self._began = self._noted = time.monotonic()
        self._write_seconds = 0.0
        self._first_step = segments[0].first_step
        self._step_tokens = 0
        self._clock = PartialClock(stretch_steps=segments[-1].last_step - self._first_step, now=self._began)

    @property
    def live(self) -> TrainState:
        """The state in training; `begin` or `resume` comes first."""
        assert self._live is not None, "a call begins on a state"
        return self._live

    def resume(self) -> bool:
        """Go on where an earlier call was stopped or killed; False if there is nothing to go on from."""
        found = self.partial.load(self._exam.setup)
        if found is None:
            return False
        live, record = found
        points = [point for point in record.points if point.step > self.first_step]
        if not self.first_step <= live.step <= self._segments[-1].last_step or self._missing(points, live.step):
            return False
        self._points = points
        self._executed_tokens = record.executed_tokens
        self._seconds_before = record.seconds
        self.begin(live)
        return True

    def _missing(self, points: Sequence[CurvePoint], step: int) -> bool:
        """Whether a finished segment has no point: the earlier call had begun behind it, on another node."""
        measured = {point.step for point in points}
        return any(segment.last_step < step and segment.last_step not in measured for segment in self._segments)

    @property
    def first_step(self) -> int:
        """Step at which the stretch begins, wherever this call goes on."""
        return self._segments[0].first_step

    def left(self) -> list[Segment]:
        """The segments that are not finished yet."""
        done = {point.step for point in self._points}
        return [segment for segment in self._segments if segment.last_step not in done]

    def begin(self, live: TrainState) -> None:
        """Start the clock on a state, and count what an earlier call trained beyond it."""
        self._live = live
        self._first_step = live.step
        came_to_step, lost_tokens = self.partial.read_progress()
        batch_tokens = self._segments[0].batch_tokens
        self._wasted_tokens = lost_tokens + max(0, came_to_step - live.step) * batch_tokens
        if self._wasted_tokens:
            self.partial.note_progress(live.step, self._wasted_tokens)
        self._began = self._noted = time.monotonic()
        steps_left = self._segments[-1].last_step - live.step
        self._clock = PartialClock(stretch_steps=steps_left, now=self._began)

    def train(self, workplace: StepContext, stop: Stop) -> bool:
        """Train and measure to the end of the stretch; False if asked to stop, with the state written.

        Raises:
            TrialError: If the trial cannot go on.
        """
        live = self.live
        for segment in self.left():
            self._step_tokens = segment.tokens // segment.num_steps
            if not train_segment(live, segment, workplace, stop=stop, observe=self._observe):
                self._keep_for_later()
                return False
            self._points.append(point_behind(live, segment, self._exam))
        return True

    def report(self, reason: EndReason | None = None, message: str = "") -> BoundaryReport:
        """What to tell of the call."""
        is_finished = reason is None
        return BoundaryReport(
            step=self._live.step if self._live else self._first_step,
            cost=Cost(
                executed_tokens=self._executed_tokens,
                wasted_tokens=self._wasted_tokens,
                train_seconds=self._seconds(),
                peak_memory_bytes=peak_memory_bytes(self._exam.setup.device),
            ),
            metrics=self._points[-1].metrics if is_finished else None,
            curve=tuple(self._points),
            reason=reason,
            message=message,
        )

    def _seconds(self) -> float:
        return self._seconds_before + max(0.0, time.monotonic() - self._began - self._write_seconds)

    def _observe(self, report: StepReport) -> None:
        self._executed_tokens += self._step_tokens
        now = time.monotonic()
        if self._clock.is_due(step=report.step - self._first_step, now=now):
            self._write(
                CallRecord(
                    points=tuple(self._points), executed_tokens=self._executed_tokens, seconds=self._seconds()
                )
            )
        elif now - self._noted >= PROGRESS_SECONDS:
            self.partial.note_progress(report.step, self._wasted_tokens)
            self._noted = now

    def _write(self, record: CallRecord) -> bool:
        """Write a partial state; a disk that cannot take it costs safety, not the trial."""
        began = time.monotonic()
        try:
            self.partial.save(self.live, record)
            self.partial.note_progress(self.live.step, self._wasted_tokens)
            is_written = True
        except OSError:
            is_written = False
        now = time.monotonic()
        self._write_seconds += now - began
        self._clock.written(now=now, seconds=now - began)
        self._noted = now
        return is_written

    def _keep_for_later(self) -> None:
        """Write the state for the call that goes on; this call's report names all that was done so far."""
        if self.live.step == self._segments[0].first_step:
            return
        if self._write(CallRecord(points=tuple(self._points))):
            self.partial.note_progress(self.live.step, 0)
        else:
            self._wasted_tokens += self._executed_tokens
            self._executed_tokens = 0
