"""The course of training within a grid segment, thinned so that a schedule of any length has few points."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pydantic import Field

from mbo_search.study.spec.base import Description
from mbo_search.study.spec.segments import Segment
from mbo_search.train.loop import StepReport
from mbo_search.trial.reports import StepMean

MOST_POINTS = 500
"""Points of a whole schedule at most, unless it has more grid segments."""


class StepSums(Description):
    """Sums over a few consecutive steps, as they are kept in a partial state.

    Attributes:
        step: Optimizer steps of the schedule done.
        num_steps: Steps summed.
        loss_sum: Their mean losses, nats per token.
        grad_norm_sum: Their gradient norms before clipping.
        seconds: Wall-clock seconds that they took.
    """

    step: int = Field(ge=0)
    num_steps: int = Field(ge=1)
    loss_sum: float
    grad_norm_sum: float
    seconds: float = Field(ge=0)

    def with_step(self, report: StepReport, seconds: float) -> StepSums:
        """The sums with one more step."""
        return StepSums(
            step=report.step,
            num_steps=self.num_steps + 1,
            loss_sum=self.loss_sum + report.loss,
            grad_norm_sum=self.grad_norm_sum + report.grad_norm,
            seconds=self.seconds + seconds,
        )

    def mean(self) -> StepMean:
        """The sums over the number of steps."""
        return StepMean(
            step=self.step,
            num_steps=self.num_steps,
            train_loss=self.loss_sum / self.num_steps,
            grad_norm=self.grad_norm_sum / self.num_steps,
            seconds=self.seconds,
        )


class StepSeries:
    """Collects the steps of one segment after the other.

    Which steps share a point depends on the segment alone, never on where a call began.

    Args:
        sums: What an interrupted call collected of the segment that it was in.
    """

    def __init__(self, sums: Sequence[StepSums] = ()) -> None:
        self._sums = list(sums)
        self._last = time.perf_counter()

    @property
    def sums(self) -> tuple[StepSums, ...]:
        """What the segment gave so far."""
        return tuple(self._sums)

    def start_clock(self) -> None:
        """Count seconds from now on."""
        self._last = time.perf_counter()

    def add(self, segment: Segment, report: StepReport) -> None:
        """Add a step of a segment."""
        now = time.perf_counter()
        seconds, self._last = max(0.0, now - self._last), now
        if self._sums and _group(segment, self._sums[-1].step) == _group(segment, report.step):
            self._sums[-1] = self._sums[-1].with_step(report, seconds)
        else:
            self._sums.append(_first(report, seconds))

    def means(self) -> tuple[StepMean, ...]:
        """The points of the segment so far."""
        return tuple(sums.mean() for sums in self._sums)

    def finish(self) -> tuple[StepMean, ...]:
        """The points of the segment; the next one begins."""
        means = self.means()
        self._sums = []
        return means


def _first(report: StepReport, seconds: float) -> StepSums:
    return StepSums(
        step=report.step, num_steps=1, loss_sum=report.loss, grad_norm_sum=report.grad_norm, seconds=seconds
    )


def _group(segment: Segment, step: int) -> int:
    """Number of the point to which a step belongs; the points of a segment cover about equally many steps."""
    num_segments = segment.clock.budget_steps // segment.num_steps
    num_points = min(segment.num_steps, max(1, MOST_POINTS // num_segments))
    return (step - segment.first_step - 1) * num_points // segment.num_steps
