"""Whether a finished call of a runner did what every runner promises; other people's trainers are runners too."""

from __future__ import annotations

import math
from collections.abc import Iterable

from mbo_search.train.execution.path import Span
from mbo_search.trial.reports import BoundaryReport, EndReason, Metrics


def broken_promise(stretch: Span, report: BoundaryReport) -> tuple[EndReason, str] | None:
    """Check the report of a call that came back with a state."""
    steps = [segment.last_step for segment in stretch.segments]
    found = [point.step for point in report.curve]
    if found != steps:
        return (
            "exception",
            f"the runner reported points at steps {found}; one behind each segment is required: {steps}",
        )
    if stretch.ends_stage and report.metrics is None:
        return "exception", f"the runner gave no evaluation at step {steps[-1]}, the end of a stage"
    numbers = [number for point in report.curve for number in (point.train_loss, point.grad_norm, point.loss)]
    if not _are_finite(numbers) or not (report.metrics is None or is_finite(report.metrics)):
        return "non_finite", f"a loss or gradient norm up to step {steps[-1]} is not finite"
    return None


def is_finite(metrics: Metrics) -> bool:
    """Whether every loss of an evaluation is a finite number."""
    return _are_finite([metrics.loss, metrics.averaged_loss, metrics.ema_loss])


def _are_finite(numbers: Iterable[float | None]) -> bool:
    return all(number is None or math.isfinite(number) for number in numbers)
