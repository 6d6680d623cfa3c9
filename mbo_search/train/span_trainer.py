"""One call of the trainer: consecutive segments of a schedule, what was done of them, and what it cost."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from dataclasses import replace

from mbo_search.study.spec.segments import Segment
from mbo_search.train.device import peak_memory_bytes
from mbo_search.train.evaluation import EvalSet, finish_segment
from mbo_search.train.loop import StepContext, StepReport, train_segment
from mbo_search.train.partial import CallRecord, Partial, PartialSaver
from mbo_search.train.step_series import StepSeries
from mbo_search.train.train_state import TrainState
from mbo_search.trial.cost import Cost
from mbo_search.trial.reports import BoundaryReport, CurvePoint, EndReason, Stop


class SpanTrainer:
    """Trains a span from wherever in it the state stands, and reports what that cost.

    Attributes:
        segments: The segments of the span.
        partial: Where its partial states are kept.
        key: Key of the node at its end.
    """

    def __init__(self, segments: Sequence[Segment], partial: Partial, eval_set: EvalSet, *, key: str) -> None:
        self.segments = segments
        self.partial = partial
        self.key = key
        self._eval_set = eval_set
        self._state: TrainState | None = None
        self._saver: PartialSaver | None = None
        self._points: list[CurvePoint] = []
        self._series = StepSeries()
        self._executed_tokens = 0
        self._seconds_before = 0.0
        self._began = time.monotonic()

    @property
    def state(self) -> TrainState:
        """The state in training; `begin` or `resume` comes first."""
        assert self._state is not None, "a call begins on a state"
        return self._state

    def resume(self) -> bool:
        """Resume where an earlier call was stopped or killed; False if nothing is left of one."""
        found = self.partial.load(self._eval_set.setup)
        if found is None:
            return False
        state, record = found
        first, last = self.segments[0].first_step, self.segments[-1].last_step
        points = [point for point in record.points if point.step > first]
        if not first <= state.step <= last or self._misses_points(points, state.step):
            return False
        self._points = points
        self._series = StepSeries(record.steps)
        self._executed_tokens = record.executed_tokens
        self._seconds_before = record.seconds
        self.begin(state)
        return True

    def begin(self, state: TrainState) -> None:
        """Start the clock on a state."""
        self._state = state
        steps_left = self.segments[-1].last_step - state.step
        step_tokens = self.segments[0].step_tokens  # a span is of one stage
        self._saver = PartialSaver(self.partial, step=state.step, span_steps=steps_left, step_tokens=step_tokens)
        self._began = time.monotonic()

    def segments_left(self) -> list[Segment]:
        """The segments that are not finished yet."""
        done = {point.step for point in self._points}
        return [segment for segment in self.segments if segment.last_step not in done]

    def train(self, context: StepContext, stop: Stop) -> bool:
        """Train and measure to the end of the span; False if stopped before, with the state saved.

        Raises:
            TrialError: If the trial cannot recover.
        """
        for segment in self.segments_left():
            self._series.start_clock()
            observe = functools.partial(self._observe, segment)
            if not train_segment(self.state, segment, context, stop=stop, observe=observe):
                self._save_for_later()
                return False
            steps = self._series.finish()
            self._points.append(replace(finish_segment(self.state, segment, self._eval_set), steps=steps))
        return True

    def report(self, reason: EndReason | None = None, message: str = "") -> BoundaryReport:
        """Report what the call did, and why it ended early if it did."""
        cost = Cost(
            executed_tokens=self._executed_tokens,
            wasted_tokens=self._saver.wasted_tokens if self._saver else 0,
            train_seconds=self._seconds(),
            peak_memory_bytes=peak_memory_bytes(self._eval_set.setup.device),
        )
        return BoundaryReport(
            step=self._state.step if self._state else self.segments[0].first_step,
            cost=cost,
            metrics=self._points[-1].metrics if reason is None else None,
            curve=tuple(self._points),
            unfinished=self._series.means(),
            reason=reason,
            message=message,
        )

    def _misses_points(self, points: Sequence[CurvePoint], step: int) -> bool:
        """Return whether a finished segment has no point, as the earlier call began later, on another node."""
        measured = {point.step for point in points}
        return any(segment.last_step < step and segment.last_step not in measured for segment in self.segments)

    def _observe(self, segment: Segment, report: StepReport) -> None:
        assert self._saver is not None
        self._executed_tokens += segment.step_tokens
        self._series.add(segment, report)
        if self._saver.is_due(report.step):
            self._saver.save(self.state, self._record())
            self._series.start_clock()
        else:
            self._saver.note(report.step)

    def _record(self) -> CallRecord:
        return CallRecord(
            points=tuple(self._points),
            steps=self._series.sums,
            executed_tokens=self._executed_tokens,
            seconds=self._seconds(),
        )

    def _seconds(self) -> float:
        write_seconds = self._saver.write_seconds if self._saver else 0.0
        return self._seconds_before + max(0.0, time.monotonic() - self._began - write_seconds)

    def _save_for_later(self) -> None:
        assert self._saver is not None
        if self.state.step == self.segments[0].first_step:
            return
        if not self._saver.save_for_later(
            self.state, CallRecord(points=tuple(self._points), steps=self._series.sums)
        ):
            self._saver.wasted_tokens += self._executed_tokens
            self._executed_tokens = 0
