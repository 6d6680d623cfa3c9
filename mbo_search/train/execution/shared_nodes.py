"""The prefix of a schedule that other trials have trained, with every stage end measured."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from mbo_search.errors import StoreError
from mbo_search.store.node_store import NodeStore, StoredNode
from mbo_search.study.spec.segments import Segment
from mbo_search.system.files import unique_sibling
from mbo_search.train.execution.path import SchedulePath
from mbo_search.train.execution.report_checks import is_finite
from mbo_search.trial.curve import join_points
from mbo_search.trial.reports import BoundaryReport, CurvePoint, Metrics, Node, StageRunner, StepMean

Log = Callable[[str], None]
"""Takes one line for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The place of a trial on its path.

    Attributes:
        node: The state there; None for the untrained model.
        num_done: Segments of the schedule done.
        points: The learning curve up to there.
        unfinished: The course of training beyond it, where a runner came back early.
        path_seconds: Seconds up to there as if nothing had been shared; None where that is not known.
    """

    node: Node | None = None
    num_done: int = 0
    points: tuple[CurvePoint, ...] = ()
    unfinished: tuple[StepMean, ...] = ()
    path_seconds: float | None = 0.0


class SharedNodes:
    """Finds the nodes of a schedule in the store, and evaluates those that were trained through without evaluation.

    Attributes:
        evaluation_seconds: Time spent on evaluations so far.
    """

    def __init__(self, path: SchedulePath, runner: StageRunner, store: NodeStore, log: Log) -> None:
        self.evaluation_seconds = 0.0
        self._path = path
        self._runner = runner
        self._store = store
        self._log = log
        self._refused: set[str] = set()

    def further(self, position: Position) -> Position:
        """The last segment that is stored, sound, and measured wherever this schedule measures."""
        for num_done in range(len(self._path.segments), position.num_done, -1):
            found = self._stored(num_done)
            points = None if found is None else self._measured(found, num_done, position)
            if found is not None and points is not None:
                seconds = found.report.path_seconds
                return Position(node=found.node, num_done=num_done, points=points, path_seconds=seconds)
        return position

    def refuse(self, node: Node) -> bool:
        """Never return a node again that the runner cannot read; False if it was refused before."""
        is_new = node.key not in self._refused
        self._refused.add(node.key)
        return is_new

    def _stored(self, num_done: int) -> StoredNode | None:
        key = self._path.keys[num_done - 1]
        if key in self._refused or not self._store.has(key):
            return None
        try:
            return self._store.load(key)
        except StoreError as error:
            self._log(f"{error}; it is trained again")
            return None

    def _measured(self, found: StoredNode, num_done: int, position: Position) -> tuple[CurvePoint, ...] | None:
        """The points up to a node, if every stage end before it was measured, or can be without training."""
        joined = join_points(found.report.curve, position.points)
        for segment in self._path.segments[:num_done]:
            if segment.ends_stage and not _measures(joined, segment.last_step):
                end = self._stored(segment.index + 1)
                curve = () if end is None else self._evaluated(end, segment)
                if not _measures(curve, segment.last_step):
                    return None
                joined = join_points(joined, curve)
        return joined

    def _evaluated(self, found: StoredNode, segment: Segment) -> tuple[CurvePoint, ...]:
        """The points of a node, evaluated now if longer stages were trained through it without evaluation."""
        curve = found.report.curve
        if not curve or _measures(curve, segment.last_step):
            return curve
        metrics = self._evaluate(found.node, segment)
        if metrics is None:
            return curve
        report = replace(found.report, metrics=metrics)
        report = replace(report, curve=with_end_metrics(report))
        self._share(found.node, report)
        return report.curve

    def _evaluate(self, node: Node, segment: Segment) -> Metrics | None:
        began = time.monotonic()
        try:
            metrics = self._runner.measure(node, segment)
        except Exception as error:  # it is trained again; a lasting failure becomes an outcome there
            self._log(f"node {node.key[:12]} cannot be evaluated: {error}")
            return None
        finally:
            self.evaluation_seconds += time.monotonic() - began
        return metrics if metrics is not None and is_finite(metrics) else None

    def _share(self, node: Node, report: BoundaryReport) -> None:
        """Let other trials find an evaluation: a committed copy of the node leaves its report and is removed."""
        copy = unique_sibling(node.path)
        try:
            shutil.copytree(node.path, copy)
            self._store.commit(node.key, copy, report)
        except (OSError, StoreError) as error:
            self._log(f"{error}; the evaluation is not shared")
        finally:
            shutil.rmtree(copy, ignore_errors=True)


def with_end_metrics(report: BoundaryReport) -> tuple[CurvePoint, ...]:
    """The points of a call, the last one with the evaluation at its end."""
    *before, last = report.curve
    return (*before, replace(last, metrics=report.metrics or last.metrics))


def _measures(points: Iterable[CurvePoint], step: int) -> bool:
    """Return whether there is a full evaluation at a step."""
    return any(point.step == step and point.metrics is not None for point in points)
