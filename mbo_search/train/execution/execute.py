"""Execute one schedule with one seed: follow its shared prefix, train what is missing, report how it went.

Everything that can happen to a trial becomes an outcome. What other trials have trained before is taken from the
stage store, curve and boundaries included, so an outcome is the same with and without sharing; only its cost
differs. Nothing here knows torch: a runner trains.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from mbo_search.errors import StoreError
from mbo_search.store.node_store import NodeStore
from mbo_search.study.spec.segments import Segment
from mbo_search.train.execution.checkpoint_policy import CheckpointPolicy
from mbo_search.train.execution.path import SchedulePath, Span, next_spans
from mbo_search.train.execution.report_checks import run_checked
from mbo_search.train.execution.shared_nodes import Log, Position, SharedNodes, with_end_metrics
from mbo_search.train.execution.stage_log import progress_line, stage_line
from mbo_search.trial.cost import Cost
from mbo_search.trial.curve import curve_rows, join_points, step_rows
from mbo_search.trial.outcome import Boundary, BoundaryEvent, State, StepRow, TrialOutcome, state_of
from mbo_search.trial.reports import BoundaryReport, CurvePoint, EndReason, Node, StageRunner, Stop
from mbo_search.units import format_count

OnBoundary = Callable[[BoundaryEvent], bool]
"""Called at each stage end, shared ones included; True ends the trial there."""


def execute(
    path: SchedulePath,
    runner: StageRunner,
    store: NodeStore,
    *,
    stop: Stop,
    on_boundary: OnBoundary,
    log: Log,
) -> TrialOutcome:
    """Train the part of a schedule that no other trial has trained."""
    trial = _Trial(path, runner, store, log)
    try:
        while True:
            trial.share()
            if (ended := trial.report_boundaries(on_boundary)) is not None:
                return ended
            span = trial.begin_span()
            try:
                state_dir, report = run_checked(runner, trial.node, span, seed=path.seed, stop=stop)
            except StoreError as error:
                if not trial.fall_back(error):
                    return trial.outcome("failed", "exception", str(error))
                continue
            if state_dir is None:
                return trial.ended_early(report)
            trial.advance(span, state_dir, report)
    finally:
        trial.close()
        store.release()


class _Trial:
    """Position, results and cost of an execution so far."""

    def __init__(self, path: SchedulePath, runner: StageRunner, store: NodeStore, log: Log) -> None:
        self._path = path
        self._runner = runner
        self._store = store
        self._log = log
        self._shared = SharedNodes(path, runner, store, log)
        self._policy = CheckpointPolicy()
        self._position = Position()
        self._cost = Cost()
        self._span_began = 0.0
        self._own_folder: Path | None = None
        self._boundaries: list[Boundary] = []
        self._produced: list[str] = []
        self._trained: set[str] = set()

    @property
    def node(self) -> Node | None:
        """The state from which to train next; None for the untrained model."""
        return self._position.node

    def share(self) -> None:
        """Move on to the furthest node that another trial has left."""
        found = self._shared.further(self._position)
        if found is not self._position:
            self._position = found
            done, total = self._path.tokens_done[found.num_done - 1], self._path.tokens_done[-1]
            self._log(f"{format_count(done)} of {format_count(total)} tokens are shared with earlier trials")

    def report_boundaries(self, on_boundary: OnBoundary) -> TrialOutcome | None:
        """Report the stage ends that were passed and not reported yet; an outcome if the trial ends at one."""
        for segment in self._path.segments[: self._position.num_done]:
            if not segment.ends_stage or segment.stage_index < len(self._boundaries):
                continue
            boundary = self._boundary(segment)
            self._boundaries.append(boundary)
            is_last = segment.index == len(self._path.segments) - 1
            is_stopped = on_boundary(self._event(boundary, is_last))
            if is_last:
                return self.outcome("complete")
            if is_stopped:
                return self.outcome("pruned", "pruner", step=boundary.step)
        return None

    def begin_span(self) -> Span:
        """Choose what to train next: up to the next place where keeping the state pays."""
        spans = next_spans(self._path, self._position.num_done)
        begun = [span for span in spans if self._runner.has_begun(span.key)]
        worthwhile = (span for span in spans[:-1] if self._policy.is_worth_keeping(span.tokens))
        # An earlier attempt may have left a partial state on the way to a node.
        chosen = begun[-1] if begun else next(worthwhile, spans[-1])
        first = chosen.segments[0]
        if first.first_step == first.stage_first_step:
            self._log(stage_line(self._path.segments[first.index - 1].stage if first.index else None, first))
        self._span_began = time.monotonic()
        return chosen

    def advance(self, span: Span, state_dir: Path, report: BoundaryReport) -> None:
        """Keep the state at the end of a trained span and move on to it."""
        is_repeat = self._store.has(span.key)  # another trial has trained it meanwhile
        self._cost += report.cost.as_wasted() if is_repeat else report.cost
        self._trained.add(span.key)
        report = replace(
            report,
            curve=join_points(self._position.points, with_end_metrics(report)),
            path_seconds=_path_seconds(self._position.path_seconds, span, report.cost),
        )
        node = self._keep(span.key, state_dir, report)
        if self._own_folder is None and not is_repeat:
            self._produced.append(span.key)
        self._position = Position(
            node=node,
            num_done=self._position.num_done + len(span.segments),
            points=report.curve,
            path_seconds=report.path_seconds,
        )
        self._log(progress_line(span, report))
        self._policy.observe(
            num_tokens=span.tokens,
            train_seconds=report.cost.train_seconds,
            write_seconds=max(0.0, time.monotonic() - self._span_began - report.cost.train_seconds),
        )

    def fall_back(self, error: StoreError) -> bool:
        """Go back to an earlier state because the runner cannot read this one; False if that is useless."""
        if self.node is None or not self._shared.refuse(self.node):
            return False
        self._log(f"{error}; going back to an earlier state")
        self._position = Position()
        return True

    def ended_early(self, report: BoundaryReport) -> TrialOutcome:
        """The outcome of a trial whose runner came back before the end of a span."""
        self._cost += report.cost
        points = join_points(self._position.points, report.curve)
        self._position = replace(self._position, points=points, unfinished=report.unfinished)
        return self.outcome(state_of(report.reason), report.reason, report.message, step=report.step)

    def outcome(
        self, state: State, reason: EndReason | None = None, message: str = "", *, step: int | None = None
    ) -> TrialOutcome:
        """The outcome of a trial that ends at a step, or where it stands."""
        step = self._path.last_step(self._position.num_done) if step is None else step
        points = [point for point in self._position.points if point.step <= step]
        final = points[-1].metrics if points and state == "complete" else None
        return TrialOutcome(
            state=state,
            reason=reason,
            message=message,
            ema_loss=final.ema_loss if final else None,
            scores=dict(final.scores) if final else {},
            boundaries=tuple(self._boundaries),
            curve=curve_rows(self._path.segments, points),
            steps=self._step_rows(points),
            produced=tuple(self._produced),
            requested_tokens=self._path.tokens_at(step),
            cost=self._total_cost(),
            path_seconds=self._position.path_seconds if state == "complete" else None,
        )

    def _step_rows(self, points: Iterable[CurvePoint]) -> tuple[StepRow, ...]:
        finished = (mean for point in points for mean in point.steps)
        return step_rows(self._path.segments, (*finished, *self._position.unfinished))

    def close(self) -> None:
        """Remove a state that could not be stored."""
        if self._own_folder is not None:
            shutil.rmtree(self._own_folder, ignore_errors=True)

    def _keep(self, key: str, state_dir: Path, report: BoundaryReport) -> Node:
        """Store a state; without a store that takes it, the trial continues from a folder of its own."""
        last_folder, self._own_folder = self._own_folder, None
        try:
            return self._store.commit(key, state_dir, report)
        except StoreError as error:
            self._log(f"{error}; the trial continues without sharing it")
            self._own_folder = state_dir
            return Node(key=key, path=state_dir)
        finally:
            if last_folder is not None:
                shutil.rmtree(last_folder, ignore_errors=True)

    def _boundary(self, segment: Segment) -> Boundary:
        metrics = next(point.metrics for point in self._position.points if point.step == segment.last_step)
        assert metrics is not None
        key = self._path.keys[segment.index]
        return Boundary(
            stage=segment.stage_index,
            step=segment.last_step,
            tokens=self._path.tokens_done[segment.index],
            loss=metrics.loss,
            averaged_loss=metrics.averaged_loss,
            accuracy=metrics.accuracy,
            bits_per_byte=metrics.bits_per_byte,
            node=key,
            shared=key not in self._trained,
        )

    def _event(self, boundary: Boundary, is_last: bool) -> BoundaryEvent:
        points = [point for point in self._position.points if point.step <= boundary.step]
        return BoundaryEvent(
            boundary=boundary,
            is_last=is_last,
            cost=self._total_cost(),
            produced=tuple(self._produced),
            curve=curve_rows(self._path.segments, points),
            steps=self._step_rows(points),
        )

    def _total_cost(self) -> Cost:
        return self._cost + Cost(train_seconds=self._shared.evaluation_seconds)


def _path_seconds(before: float | None, span: Span, cost: Cost) -> float | None:
    """Seconds up to the end of a span, at the pace of its last call where others had a part in it."""
    if before is None or not cost.tokens:
        return None
    return before + cost.train_seconds * span.tokens / cost.tokens
