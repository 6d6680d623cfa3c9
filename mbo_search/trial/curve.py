"""The learning curve of one schedule, made of the points of its grid segments.

Points come from the trial that trained a span first, perhaps as part of another schedule that evaluated more often.
A curve holds only what its own schedule would have measured, so it is the same whatever was shared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from mbo_search.study.spec.segments import Segment
from mbo_search.trial.outcome import CurveRow, StepRow
from mbo_search.trial.reports import CurvePoint, StepMean


def join_points(before: Iterable[CurvePoint], after: Iterable[CurvePoint]) -> tuple[CurvePoint, ...]:
    """Points of consecutive calls, each step once; where both have one, the later call's counts.

    An evaluation stays, whichever call made it: the later one may only have passed where a stage ends.
    """
    by_step: dict[int, CurvePoint] = {}
    for point in (*before, *after):
        known = by_step.get(point.step)
        metrics = None if known is None else known.metrics
        by_step[point.step] = replace(point, metrics=point.metrics or metrics)
    return tuple(by_step[step] for step in sorted(by_step))


def curve_rows(segments: Sequence[Segment], points: Iterable[CurvePoint]) -> tuple[CurveRow, ...]:
    """The learning curve of a schedule.

    A row stands where all schedules evaluate, and at the schedule's own stage ends. Its training loss and gradient
    norm are means since the row before, weighted by tokens.
    """
    by_last_step = {segment.last_step: segment for segment in segments}
    rows: list[CurveRow] = []
    pending: list[tuple[int, CurvePoint]] = []
    for point in points:
        segment = by_last_step.get(point.step)
        if segment is None:
            continue
        pending.append((segment.tokens, point))
        loss = point.metrics.loss if segment.ends_stage and point.metrics else point.loss
        if loss is not None:
            rows.append(_row(pending, segment.stage_index, loss))
            pending = []
    return tuple(rows)


def step_rows(segments: Sequence[Segment], steps: Iterable[StepMean]) -> tuple[StepRow, ...]:
    """The course of a schedule's training, as thin as it was recorded; no mean reaches over a segment's end."""
    rows: list[StepRow] = []
    seconds = 0.0
    for found in steps:
        seconds += found.seconds
        segment = next(segment for segment in segments if found.step <= segment.last_step)
        num_tokens = found.num_steps * segment.step_tokens
        rows.append(
            StepRow(
                step=found.step,
                tokens=segment.tokens_at(found.step),
                seconds=seconds,
                train_loss=found.train_loss,
                grad_norm=found.grad_norm,
                tokens_per_second=num_tokens / found.seconds if found.seconds > 0 else None,
            )
        )
    return tuple(rows)


def _row(pending: Sequence[tuple[int, CurvePoint]], stage_index: int, loss: float) -> CurveRow:
    last = pending[-1][1]
    return CurveRow(
        step=last.step,
        tokens=last.tokens,
        stage=stage_index,
        lr=last.lr,
        train_loss=_mean((tokens, point.train_loss) for tokens, point in pending),
        loss=loss,
        grad_norm=_mean((tokens, point.grad_norm) for tokens, point in pending),
    )


def _mean(weighted: Iterable[tuple[int, float | None]]) -> float | None:
    """Mean of the numbers that were told, weighted; None if none was."""
    told = [(weight, number) for weight, number in weighted if number is not None]
    return sum(weight * number for weight, number in told) / sum(weight for weight, _ in told) if told else None
