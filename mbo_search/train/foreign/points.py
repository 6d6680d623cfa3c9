"""What a foreign trainer told, as the points of a learning curve."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from mbo_search.study.spec.segments import Segment
from mbo_search.train.foreign.result import ReportLine, SpanResult
from mbo_search.trial.reports import CurvePoint, Metrics

_LARGEST_LOSS = 1e100


def metrics_of(result: SpanResult) -> Metrics:
    """The evaluation in a result; what is not finite stays so, for the caller to judge."""
    return Metrics(
        loss=result.val_loss,
        accuracy=result.accuracy,
        bits_per_byte=result.bits_per_byte,
        num_tokens=0,
        averaged_loss=result.averaged_val_loss,
        scores=result.metrics,
    )


def span_points(
    segments: Sequence[Segment], lines: Sequence[ReportLine], result: SpanResult | None
) -> list[CurvePoint]:
    """One point for each segment, with the evaluation at the end of each stage.

    Args:
        segments: Those of the call.
        lines: What was told on the way, in order; where a step was told twice, the later number counts.
        result: How it ended; None if it ended early.
    """
    by_step: dict[int, ReportLine] = {}
    for line in lines:
        told = by_step.get(line.step)
        by_step[line.step] = line if told is None else _together(told, line)
    points = [_point(segment, by_step) for segment in segments]
    if result is not None:
        points[-1] = _with_metrics(points[-1], metrics_of(result))
    return points


def _together(earlier: ReportLine, later: ReportLine) -> ReportLine:
    """What two lines say about one step."""
    return earlier.model_copy(update=later.model_dump(exclude_none=True))


def _point(segment: Segment, by_step: dict[int, ReportLine]) -> CurvePoint:
    told = [line for step, line in sorted(by_step.items()) if segment.first_step < step <= segment.last_step]
    last = by_step.get(segment.last_step)
    point = CurvePoint(
        step=segment.last_step,
        tokens=segment.tokens_at(segment.last_step),
        lr=segment.lr(segment.last_step - 1),
        train_loss=_mean(line.train_loss for line in told),
        grad_norm=_mean(line.grad_norm for line in told),
    )
    if last is None or last.val_loss is None or not segment.ends_stage:
        return point
    return _with_metrics(point, metrics_of(SpanResult(val_loss=last.val_loss)))


def _with_metrics(point: CurvePoint, metrics: Metrics) -> CurvePoint:
    return CurvePoint(
        step=point.step,
        tokens=point.tokens,
        lr=point.lr,
        train_loss=point.train_loss,
        grad_norm=point.grad_norm,
        metrics=metrics,
    )


def _mean(numbers: Iterable[float | None]) -> float | None:
    """Mean of the finite numbers that were told; None if none was."""
    told = [number for number in numbers if number is not None and math.isfinite(number)]
    return min(sum(told) / len(told), _LARGEST_LOSS) if told else None
