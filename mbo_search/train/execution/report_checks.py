"""Checked calls of a runner: what it raises or reports wrongly becomes the report of a failed call."""

from __future__ import annotations

import math
import shutil
import traceback
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from mbo_search.errors import StoreError
from mbo_search.system.files import is_disk_trouble
from mbo_search.train.execution.path import Span
from mbo_search.trial.cost import Cost
from mbo_search.trial.reports import BoundaryReport, EndReason, Metrics, Node, StageRunner, StepMean, Stop


def run_checked(
    runner: StageRunner, node: Node | None, span: Span, *, seed: int, stop: Stop
) -> tuple[Path | None, BoundaryReport]:
    """Train a span: a sound state with a report that has no reason, or no state and a reason.

    Raises:
        StoreError: If the runner cannot read the node.
    """
    try:
        state_dir, report = runner.run(node, span.segments, seed, stop)
    except StoreError:
        raise
    except Exception as error:  # whatever a trainer raises ends its trial, never the search
        return None, _raised(span, error)
    if state_dir is None or report.reason is not None:
        message = report.message or f"the runner came back early at step {report.step}"
        return None, replace(report, reason=report.reason or "exception", message=message)
    if found := wrong_report(span, report):
        shutil.rmtree(state_dir, ignore_errors=True)
        return None, replace(report, reason=found[0], message=found[1], curve=())
    return state_dir, report


def wrong_report(span: Span, report: BoundaryReport) -> tuple[EndReason, str] | None:
    """Check the report of a call that came back with a state; None if it is complete and finite."""
    steps = [segment.last_step for segment in span.segments]
    found = [point.step for point in report.curve]
    if found != steps:
        return (
            "exception",
            f"the runner reported points at steps {found}; one at the end of each segment is required: {steps}",
        )
    if span.ends_stage and report.metrics is None:
        return "exception", f"the runner gave no evaluation at step {steps[-1]}, the end of a stage"
    numbers = [number for point in report.curve for number in (point.train_loss, point.grad_norm, point.loss)]
    numbers += [number for point in report.curve for mean in point.steps for number in _numbers_of(mean)]
    if not _are_finite(numbers) or not (report.metrics is None or is_finite(report.metrics)):
        return "non_finite", f"a loss or gradient norm up to step {steps[-1]} is not finite"
    return None


def is_finite(metrics: Metrics) -> bool:
    """Return whether every loss and every score of an evaluation is a finite number."""
    return _are_finite([metrics.loss, metrics.averaged_loss, metrics.ema_loss, *metrics.scores.values()])


def _numbers_of(mean: StepMean) -> tuple[float, float | None, float]:
    """Everything measured of a few steps."""
    return mean.train_loss, mean.grad_norm, mean.seconds


def _raised(span: Span, error: Exception) -> BoundaryReport:
    reason: EndReason = "out_of_memory" if isinstance(error, MemoryError) else "exception"
    message = "".join(traceback.format_exception(error))
    if is_disk_trouble(error):
        reason, message = "disk", str(error)
    return BoundaryReport(
        step=span.segments[0].first_step, cost=Cost(), metrics=None, curve=(), reason=reason, message=message
    )


def _are_finite(numbers: Iterable[float | None]) -> bool:
    return all(number is None or math.isfinite(number) for number in numbers)
