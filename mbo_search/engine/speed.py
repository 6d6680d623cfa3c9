"""The speed of training here: measured for a few seconds, whatever the size of a step.

Where steps are short, some are really trained, and the median of their times counts: the first ones load libraries
and fill caches. Where a single step would take longer than that, passes over a few of its sequences are timed.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from mbo_search.data.prepare import PreparedData
from mbo_search.engine.plan_values import SpeedEstimate
from mbo_search.errors import Problem, StudyError
from mbo_search.study.spec.schedule import Schedule
from mbo_search.train.execution.path import schedule_path
from mbo_search.train.runners import runner_for
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.trial.reports import BoundaryReport, StageRunner

PROBE_SECONDS = 4.0
"""Time for one measurement; a step or pass that has begun is completed."""

_LONGEST_STEP_SECONDS = 1.0
_FEW_TOKENS = 64
"""Tokens of the first look."""

_FIRST_STEPS = 2
"""Steps that load and warm up, and do not count."""

_LEAST_STEPS = 3
_EVALUATION_COST = 0.4
"""Time of evaluating a token over that of training on it: a forward pass alone, of two weights at stage ends."""


def measure_speed(
    setup: TrainSetup,
    schedule: Schedule,
    seed: int,
    *,
    prepared: PreparedData | None = None,
    runner: StageRunner | None = None,
) -> SpeedEstimate:
    """Measure how fast a schedule trains; nothing is kept.

    Raises:
        StudyError: If the memory does not suffice.
    """
    if runner is None and (piece := _measure_piece(setup)) is not None:
        return piece
    path = schedule_path(schedule, setup, seed)
    times: list[float] = []

    def stop() -> bool:
        times.append(time.monotonic())
        began = times[min(len(times) - 1, int(setup.compiled))]  # the first step may have to compile
        return times[-1] > began + PROBE_SECONDS

    with tempfile.TemporaryDirectory() as scratch:
        trainer = runner_for(setup, Path(scratch), prepared=prepared, given=runner)
        _, report = trainer.run(None, path.segments, seed, stop)
    if report.reason == "out_of_memory":
        raise _too_large(setup)
    charged = (segment.step_tokens for segment in path.segments for _ in range(segment.num_steps))
    return _of_steps(times, charged, report, setup)


def _of_steps(
    times: list[float], charged: Iterable[int], report: BoundaryReport, setup: TrainSetup
) -> SpeedEstimate:
    """The median step, or all that was trained where there were too few of them."""
    steps = zip(pairwise(times), charged, strict=False)  # those of stages with other batches among them
    pairs = [((after - before) / tokens, tokens) for (before, after), tokens in steps][_FIRST_STEPS:]
    if len(pairs) < _LEAST_STEPS:
        # A span that was stopped early may not have been worth saving: its tokens are wasted, and were trained.
        tokens = report.cost.executed_tokens + report.cost.wasted_tokens
        return SpeedEstimate(tokens=tokens, seconds=report.cost.train_seconds)
    token_seconds, tokens = statistics.median(seconds for seconds, _ in pairs), pairs[0][1]
    return _with_evaluations(SpeedEstimate(tokens=tokens, seconds=token_seconds * tokens), setup)


def _measure_piece(setup: TrainSetup) -> SpeedEstimate | None:
    """Time passes over part of a step; None where whole steps are short enough to be trained.

    Raises:
        StudyError: If not even one sequence fits into the memory.
    """
    from mbo_search.train.setup.probe import prober

    began, context = time.monotonic(), setup.own_model.context
    with prober(setup.own_model, setup.vocab_size, device=setup.device, threads=setup.threads) as found:
        few = min(_FEW_TOKENS, context)
        seconds = found.seconds(1, setup.precision, num_tokens=few)
        if seconds is None:
            raise _too_large(setup)
        token_seconds = seconds / few
        if token_seconds * setup.batch_tokens / setup.ranks < _LONGEST_STEP_SECONDS:
            return None
        most = max(few, int(_LONGEST_STEP_SECONDS / token_seconds))
        sequences, tokens = max(1, min(setup.micro_batch, most // context)), min(context, most)
        while time.monotonic() < began + PROBE_SECONDS:
            seconds = found.seconds(sequences, setup.precision, num_tokens=tokens)
            if seconds is None:
                raise _too_large(setup)
            token_seconds = min(token_seconds, seconds / (sequences * tokens))
    speed = SpeedEstimate(tokens=few * setup.ranks, seconds=token_seconds * few, is_piece=True)
    return _with_evaluations(speed, setup)


def _with_evaluations(speed: SpeedEstimate, setup: TrainSetup) -> SpeedEstimate:
    """Add the time in which a schedule is evaluated, which the median step leaves out."""
    share = setup.points * setup.evaluation_tokens / setup.budget().total_tokens
    return speed.model_copy(update={"seconds": speed.seconds * (1 + _EVALUATION_COST * share)})


def _too_large(setup: TrainSetup) -> StudyError:
    size = setup.micro_batch
    hint = (
        f"try --set train.micro_batch={max(1, size // 2)}" if size > 1 else "make the model or its context smaller"
    )
    rule = "runs out of memory here: a forward and backward pass does not fit"
    return StudyError([Problem(key="train.micro_batch", value=str(size), rule=rule, hint=hint)])
