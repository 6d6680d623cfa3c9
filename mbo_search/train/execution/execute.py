"""Executing one schedule with one seed: walk the shared beginning, train what is missing, say how it went.

Everything that can happen to a trial becomes an outcome. What other trials have trained before is taken from the
stage store, curve and boundaries included, so an outcome is the same with and without sharing; only its cost
differs. Nothing here knows torch: a runner trains.
"""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from mbo_search.errors import StoreError
from mbo_search.store.node_store import NodeStore, StoredNode
from mbo_search.study.spec.segments import Segment
from mbo_search.system.files import is_disk_trouble, unique_sibling
from mbo_search.train.execution.checkpoint_policy import CheckpointPolicy
from mbo_search.train.execution.path import SchedulePath, Span, stretches
from mbo_search.train.execution.report_checks import broken_promise, is_finite
from mbo_search.train.execution.stage_log import stage_banner
from mbo_search.trial.cost import Cost
from mbo_search.trial.curve import curve_rows, join_points
from mbo_search.trial.outcome import Boundary, BoundaryEvent, State, TrialOutcome, state_of
from mbo_search.trial.reports import BoundaryReport, CurvePoint, EndReason, Metrics, Node, StageRunner, Stop
from mbo_search.units import format_count, format_seconds

Log = Callable[[str], None]
"""Takes one line for people."""

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
    """Train a schedule as far as nobody has trained it before."""
    trial = _Trial(path, runner, store, log)
    try:
        return trial.execute(stop, on_boundary)
    finally:
        store.release()


class _Trial:
    """One execution: where it stands, and what it cost so far."""

    def __init__(self, path: SchedulePath, runner: StageRunner, store: NodeStore, log: Log) -> None:
        self._path = path
        self._runner = runner
        self._store = store
        self._log = log
        self._pace = CheckpointPolicy()
        self._cost = Cost()
        self._refused: set[str] = set()
        self._node: Node | None = None
        self._own_folder: Path | None = None
        self._num_done = 0
        self._points: tuple[CurvePoint, ...] = ()
        self._path_seconds: float | None = 0.0
        self._boundaries: list[Boundary] = []
        self._produced: list[str] = []
        self._trained: set[str] = set()

    def execute(self, stop: Stop, on_boundary: OnBoundary) -> TrialOutcome:
        try:
            while True:
                self._share()
                if self._is_pruned(on_boundary):
                    return self._outcome("pruned", "pruner")
                if self._num_done == len(self._path.segments):
                    return self._outcome("complete")
                ended = self._train(self._next_stretch(), stop)
                if ended is not None:
                    return ended
        finally:
            _remove(self._own_folder)

    def _share(self) -> None:
        """Go on to the last segment that is stored, sound, and measured wherever this schedule measures."""
        for num_segments in range(len(self._path.segments), self._num_done, -1):
            found = self._stored(num_segments)
            if found is None:
                continue
            points = self._measured(found.report.curve, num_segments)
            if points is not None:
                self._node, self._num_done, self._points = found.node, num_segments, points
                self._path_seconds = found.report.path_seconds
                done, total = self._path.tokens_done[num_segments - 1], self._path.tokens_done[-1]
                self._log(f"{format_count(done)} of {format_count(total)} tokens are shared with earlier trials")
                return

    def _stored(self, num_segments: int) -> StoredNode | None:
        key = self._path.keys[num_segments - 1]
        if key in self._refused or not self._store.has(key):
            return None
        try:
            return self._store.load(key)
        except StoreError as error:
            self._log(f"{error}; it is trained again")
            return None

    def _measured(self, points: Iterable[CurvePoint], num_segments: int) -> tuple[CurvePoint, ...] | None:
        """The points up to a stored node, if every stage end before it was measured, or can be without training."""
        joined = join_points(points, self._points)
        for segment in self._path.segments[:num_segments]:
            if segment.ends_stage and not _measures(joined, segment.last_step):
                found = self._stored(segment.index + 1)
                curve = () if found is None else self._with_evaluation(found, segment)
                if not _measures(curve, segment.last_step):
                    return None
                joined = join_points(joined, curve)
        return joined

    def _with_evaluation(self, found: StoredNode, segment: Segment) -> tuple[CurvePoint, ...]:
        """The points of a node, evaluated now where it has only been passed on the way of longer stages."""
        curve = found.report.curve
        if not curve or _measures(curve, segment.last_step):
            return curve
        metrics = self._evaluated(found.node, segment)
        if metrics is None:
            return curve
        report = replace(found.report, metrics=metrics)
        report = replace(report, curve=_with_end_metrics(report))
        self._keep_evaluation(found.node, report)
        return report.curve

    def _evaluated(self, node: Node, segment: Segment) -> Metrics | None:
        began = time.monotonic()
        try:
            metrics = self._runner.measure(node, segment)
        except Exception as error:  # it is trained again, where lasting trouble becomes an outcome
            self._log(f"node {node.key[:12]} cannot be evaluated: {error}")
            return None
        finally:
            self._cost += Cost(train_seconds=time.monotonic() - began)
        return metrics if metrics is not None and is_finite(metrics) else None

    def _keep_evaluation(self, node: Node, report: BoundaryReport) -> None:
        """Let others find an evaluation: a copy of the node, committed, leaves its report and is removed."""
        copy = unique_sibling(node.path)
        try:
            shutil.copytree(node.path, copy)
            self._store.commit(node.key, copy, report)
        except (OSError, StoreError) as error:
            self._log(f"{error}; the evaluation is not shared")
        finally:
            _remove(copy)

    def _is_pruned(self, on_boundary: OnBoundary) -> bool:
        """Report the stage ends that were passed and not reported yet."""
        for segment in self._path.segments[: self._num_done]:
            if not segment.ends_stage or segment.stage_index < len(self._boundaries):
                continue
            boundary = self._boundary(segment.index)
            self._boundaries.append(boundary)
            is_last = segment.index == len(self._path.segments) - 1
            if on_boundary(self._event(boundary, is_last)) and not is_last:
                self._num_done = segment.index + 1
                return True
        return False

    def _boundary(self, index: int) -> Boundary:
        segment = self._path.segments[index]
        metrics = next(point.metrics for point in self._points if point.step == segment.last_step)
        assert metrics is not None
        return Boundary(
            stage=segment.stage_index,
            step=segment.last_step,
            tokens=self._path.tokens_done[index],
            loss=metrics.loss,
            averaged_loss=metrics.averaged_loss,
            accuracy=metrics.accuracy,
            bits_per_byte=metrics.bits_per_byte,
            node=self._path.keys[index],
            shared=self._path.keys[index] not in self._trained,
        )

    def _event(self, boundary: Boundary, is_last: bool) -> BoundaryEvent:
        return BoundaryEvent(
            boundary=boundary,
            is_last=is_last,
            cost=self._cost,
            produced=tuple(self._produced),
            curve=curve_rows(self._path.segments, [p for p in self._points if p.step <= boundary.step]),
        )

    def _next_stretch(self) -> Span:
        """What to train next: up to the next place where keeping the state pays."""
        choices = self._choices()
        begun = [stretch for stretch in choices if self._runner.has_begun(stretch.key)]
        if begun:
            return begun[-1]  # an attempt before this one was on its way there
        worthwhile = (stretch for stretch in choices[:-1] if self._pace.is_worth_keeping(stretch.tokens))
        return next(worthwhile, choices[-1])

    def _choices(self) -> list[Span]:
        """The stretches that could be trained next: from where the trial stands to each place within the stage."""
        ahead = [found for found in stretches(self._path) if found.segments[-1].index >= self._num_done]
        first = ahead[0].segments[-1].index + 1
        choices = [replace(ahead[0], segments=self._path.segments[self._num_done : first])]
        for following in ahead[1:]:
            if choices[-1].ends_stage:
                break
            choices.append(choices[-1].joined(following))
        return choices

    def _train(self, stretch: Span, stop: Stop) -> TrialOutcome | None:
        """Train a stretch and keep the state behind it; an outcome if the trial ends within."""
        self._announce(stretch)
        began = time.monotonic()
        try:
            state_dir, report = self._runner.run(self._node, stretch.segments, self._path.seed, stop)
        except StoreError as error:
            return self._fall_back(error)
        except Exception as error:  # whatever a trainer raises ends its trial, never the search
            if is_disk_trouble(error):
                return self._outcome("interrupted", "disk", str(error))
            reason: EndReason = "out_of_memory" if isinstance(error, MemoryError) else "exception"
            return self._outcome(state_of(reason), reason, traceback.format_exc())
        if state_dir is None or report.reason is not None:
            return self._ended_early(report)
        broken = broken_promise(stretch, report)
        if broken is not None:
            _remove(state_dir)
            return self._ended_early(replace(report, reason=broken[0], message=broken[1], curve=()))
        is_repeat = self._store.has(stretch.key)
        self._cost += report.cost.as_wasted() if is_repeat else report.cost
        self._advance(stretch, state_dir, report, is_repeat=is_repeat)
        self._pace.observe(
            num_tokens=stretch.tokens,
            train_seconds=report.cost.train_seconds,
            write_seconds=max(0.0, time.monotonic() - began - report.cost.train_seconds),
        )
        return None

    def _announce(self, stretch: Span) -> None:
        segment = stretch.segments[0]
        if segment.first_step == segment.stage_first_step:
            previous = self._path.segments[segment.index - 1].stage if segment.index else None
            self._log(stage_banner(previous, segment))

    def _advance(self, stretch: Span, state_dir: Path, report: BoundaryReport, *, is_repeat: bool) -> None:
        self._points = join_points(self._points, _with_end_metrics(report))
        self._num_done += len(stretch.segments)
        self._trained.add(stretch.key)
        self._path_seconds = _with_stretch(self._path_seconds, stretch, report)
        report = replace(report, path_seconds=self._path_seconds)
        last_folder, self._own_folder = self._own_folder, None
        try:
            self._node = self._store.commit(stretch.key, state_dir, replace(report, curve=self._points))
        except StoreError as error:
            self._log(f"{error}; the trial goes on without sharing it")
            self._node = Node(key=stretch.key, path=state_dir)
            self._own_folder = state_dir
        else:
            self._produced += [] if is_repeat else [stretch.key]
        _remove(last_folder)
        self._log(_progress_line(stretch, report))

    def _fall_back(self, error: StoreError) -> TrialOutcome | None:
        """The runner cannot read the state that it was to continue: go back to the state before."""
        if self._node is None or self._node.key in self._refused:
            return self._outcome("failed", "exception", str(error))
        self._log(f"{error}; going back to the state before")
        self._refused.add(self._node.key)
        self._node, self._num_done, self._points, self._path_seconds = None, 0, (), 0.0
        return None

    def _ended_early(self, report: BoundaryReport) -> TrialOutcome:
        self._cost += report.cost
        self._points = join_points(self._points, report.curve)
        message = report.message or f"the runner came back early at step {report.step}"
        reason = report.reason or "exception"
        return self._outcome(state_of(reason), reason, message, step=report.step)

    def _outcome(
        self, state: State, reason: EndReason | None = None, message: str = "", *, step: int | None = None
    ) -> TrialOutcome:
        points = [point for point in self._points if point.step <= self._last_step(reason)]
        final = points[-1].metrics if points and state == "complete" else None
        return TrialOutcome(
            state=state,
            reason=reason,
            message=message,
            ema_loss=final.ema_loss if final else None,
            boundaries=tuple(self._boundaries),
            curve=curve_rows(self._path.segments, points),
            produced=tuple(self._produced),
            requested_tokens=self._tokens_at(step),
            cost=self._cost,
            path_seconds=self._path_seconds if state == "complete" else None,
        )

    def _last_step(self, reason: EndReason | None) -> int:
        """Step up to which the curve is shown: a trial pruned at a shared boundary did not come further."""
        if reason == "pruner":
            return self._path.segments[self._num_done - 1].last_step
        return self._path.segments[-1].last_step

    def _tokens_at(self, step: int | None) -> int:
        """Charged tokens of the schedule done at a step, or where the trial stands."""
        done = self._path.tokens_done[self._num_done - 1] if self._num_done else 0
        if step is None or self._num_done == len(self._path.segments):
            return done
        for segment in self._path.segments[self._num_done :]:
            if step < segment.last_step:
                return done + max(0, step - segment.first_step) * segment.tokens // segment.num_steps
            done += segment.tokens
        return done


def _with_stretch(path_seconds: float | None, stretch: Span, report: BoundaryReport) -> float | None:
    """Seconds up to the end of a stretch, at the pace of its last call where others had a part in it."""
    if path_seconds is None or not report.cost.tokens:
        return None
    return path_seconds + report.cost.train_seconds * stretch.tokens / report.cost.tokens


def _measures(points: Iterable[CurvePoint], step: int) -> bool:
    """Whether there is a full evaluation at a step."""
    return any(point.step == step and point.metrics is not None for point in points)


def _with_end_metrics(report: BoundaryReport) -> tuple[CurvePoint, ...]:
    """The points of a call, the last one with the evaluation behind it."""
    *before, last = report.curve
    return (*before, replace(last, metrics=report.metrics or last.metrics))


def _remove(folder: Path | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def _progress_line(stretch: Span, report: BoundaryReport) -> str:
    loss = "" if report.metrics is None else f", validation loss {report.metrics.loss:.4f}"
    seconds = report.cost.train_seconds
    speed = report.cost.executed_tokens / seconds if seconds > 0 else 0.0
    took = f"{format_seconds(seconds)}, {format_count(speed)} tokens/s"
    return f"step {report.step}, {format_count(stretch.end_tokens)} tokens{loss} ({took})"
