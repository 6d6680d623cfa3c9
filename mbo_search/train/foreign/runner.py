"""The runner around a foreign trainer: folders, keys and reports are kept here, so that a trainer only trains.

A node of a foreign trainer is a folder with the trainer's own state in `state`, which nobody else reads, and the
result that it gave.
"""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pydantic import ValidationError

from mbo_search.errors import TrialError
from mbo_search.store.leases import work_lease
from mbo_search.study.spec.keys import segment_keys, whole_key
from mbo_search.study.spec.segments import Segment
from mbo_search.system.files import is_disk_trouble, read_json, remove_leftovers, unique_sibling, write_json
from mbo_search.train.execution.report_checks import is_finite
from mbo_search.train.foreign.attempts import Attempts
from mbo_search.train.foreign.call import SpanCall, TrainingFunction
from mbo_search.train.foreign.points import metrics_of, span_points
from mbo_search.train.foreign.request import SpanRequest, span_request
from mbo_search.train.foreign.result import RESULT_FILE, ReportLine, SpanResult, wrong_fields
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.trial.cost import Cost
from mbo_search.trial.reports import BoundaryReport, EndReason, Metrics, Node, Stop

STATE = "state"
"""Folder of a trainer's own state in a node."""
_PARTIAL = "partial"
_NO_STATE = "the trainer left no state to go on from; one that keeps none is named with runner.reuse: false"
_NOT_FINITE = "a validation loss or a metric of the trainer is not finite"
_SILENT = "the trainer told no validation loss at the end of a stage: report a line with val_loss at step {steps}"


class ForeignRunner:
    """Trains spans of schedules with a trainer that is not ours.

    Args:
        train: Trains one span.
        setup: The study's setup.
        scratch: Folder for unfinished spans; created where it is missing.
    """

    def __init__(self, train: TrainingFunction, setup: TrainSetup, scratch: Path) -> None:
        remove_leftovers(scratch)
        self._train = train
        self._setup = setup
        self._scratch = scratch.absolute()  # a command starts in a folder of its own
        self.step_done: int | None = None

    def has_begun(self, key: str) -> bool:
        """Return whether a call was on its way to a node; see `StageRunner.has_begun`."""
        return (self._scratch / key).is_dir()

    def run(
        self, node: Node | None, segments: Sequence[Segment], seed: int, stop: Stop
    ) -> tuple[Path | None, BoundaryReport]:
        """Train consecutive segments; see `StageRunner.run`.

        Raises:
            OSError: If a disk is full or broken, which is not the trial's fault.
        """
        request = self._request(node, segments, seed)
        self.step_done = request.first_step
        with self._work_folder(request.key) as work, closing(Attempts(work, request)) as attempts:
            span = _Span(request, segments, attempts, stop, self._note_step)
            folder = unique_sibling(self._scratch / request.key)
            try:
                ended = span.train(self._train, _states(node, folder, work, are_kept=self._keeps_states))
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            if ended.reason is not None:
                shutil.rmtree(folder, ignore_errors=True)
                if ended.reason != "signal":
                    shutil.rmtree(work, ignore_errors=True)  # nothing is kept of a trial that failed
                return None, ended
            write_json(folder / RESULT_FILE, span.result_kept())
            shutil.rmtree(work, ignore_errors=True)
            return folder, ended

    def measure(self, node: Node, segment: Segment) -> Metrics | None:
        """Give the evaluation that every call makes at its end; see `StageRunner.measure`."""
        return metrics_of(SpanResult.model_validate(read_json(node.path / RESULT_FILE)))

    @property
    def _keeps_states(self) -> bool:
        return self._setup.runner is None or self._setup.runner.reuse

    def _request(self, node: Node | None, segments: Sequence[Segment], seed: int) -> SpanRequest:
        root = node.key if node else self._setup.root_key(seed)
        key = segment_keys(root, segments)[-1]
        if not self._keeps_states:
            key = whole_key(key, segments)
        return span_request(segments, key=key, seed=seed, total_steps=self._setup.budget().total_steps)

    def _note_step(self, step: int) -> None:
        self.step_done = step

    @contextmanager
    def _work_folder(self, key: str) -> Iterator[Path]:
        """Where a span is trained; a folder of its own while another process trains the same span."""
        folder = self._scratch / key
        with work_lease(folder) as is_alone:
            if is_alone:
                yield folder
                return
            other = unique_sibling(folder)
            other.mkdir()
            try:
                yield other
            finally:
                shutil.rmtree(other, ignore_errors=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _States:
    """The folders of one call: the state that it begins on, the one that it leaves, the one on the way."""

    before: Path | None
    after: Path
    partial: Path
    are_kept: bool

    @property
    def is_missing(self) -> bool:
        """Whether a trainer that keeps states has left none."""
        return self.are_kept and not any(self.after.iterdir())


def _states(node: Node | None, folder: Path, work: Path, *, are_kept: bool) -> _States:
    before = None if node is None else node.path.absolute() / STATE
    found = _States(before=before, after=folder / STATE, partial=work / _PARTIAL, are_kept=are_kept)
    found.after.mkdir(parents=True)
    found.partial.mkdir(exist_ok=True)
    return found


class _Span:
    """One call of a foreign trainer."""

    def __init__(
        self,
        request: SpanRequest,
        segments: Sequence[Segment],
        attempts: Attempts,
        stop: Stop,
        note_step: Callable[[int], None],
    ) -> None:
        self._request = request
        self._segments = segments
        self._attempts = attempts
        self._stop = stop
        self._note_step = note_step
        self._is_stopped = False
        self._result: SpanResult | None = None
        self._began = time.monotonic()

    def train(self, train: TrainingFunction, states: _States) -> BoundaryReport:
        """Let the trainer train, and report how that went.

        Raises:
            OSError: If a disk is full or broken.
        """
        call = SpanCall(
            request=self._request,
            state_in=states.before,
            state_out=states.after,
            partial=states.partial,
            _tell=self._tell,
            _stop=self._should_stop,
        )
        try:
            self._result = _as_result(train(call))
        except TrialError as error:
            return self._report(cast(EndReason, error.reason), str(error))
        except Exception as error:
            if is_disk_trouble(error):
                raise
            reason: EndReason = "out_of_memory" if _is_out_of_memory(error) else "exception"
            return self._report(reason, "".join(traceback.format_exception(error)))
        if self._result is None:
            if self._is_stopped:
                return self._report("signal")
            return self._report("exception", "the trainer gave no result, although it was not asked to stop")
        if not is_finite(metrics_of(self._result)):
            return self._report("non_finite", _NOT_FINITE)
        if states.is_missing:
            return self._report("exception", _NO_STATE)
        return self._with_every_stage()

    def _with_every_stage(self) -> BoundaryReport:
        """The report of a finished span, if the trainer told how good each stage was."""
        report = self._report()
        points = zip(self._segments, report.curve, strict=True)
        told = {segment.last_step: point.metrics for segment, point in points if segment.ends_stage}
        silent = [str(step) for step, metrics in told.items() if metrics is None]
        if silent:
            return self._report("exception", _SILENT.format(steps=", ".join(silent)))
        if not all(is_finite(metrics) for metrics in told.values() if metrics is not None):
            return self._report("non_finite", _NOT_FINITE)
        return report

    def result_kept(self) -> dict[str, object]:
        """The result as it is kept beside the state; what differs between equal runs is left out."""
        assert self._result is not None, "only a finished span has a result"
        return self._result.model_dump(mode="json", exclude={"seconds", "tokens", "peak_memory_bytes"})

    def _tell(self, line: ReportLine) -> None:
        self._attempts.add(line)
        self._note_step(line.step)
        self._should_stop()  # which also says that the trial is alive

    def _should_stop(self) -> bool:
        self._is_stopped = self._stop() or self._is_stopped
        return self._is_stopped

    def _report(self, reason: EndReason | None = None, message: str = "") -> BoundaryReport:
        points = span_points(self._segments, self._attempts.lines, self._result)
        done = self._request.last_step if reason is None else self._attempts.last_step
        return BoundaryReport(
            step=done,
            cost=self._cost(done),
            metrics=points[-1].metrics if reason is None else None,
            curve=tuple(points) if reason is None else (),
            reason=reason,
            message=message,
        )

    def _cost(self, done: int) -> Cost:
        told = self._result or SpanResult(val_loss=0.0)
        earlier = self._attempts.earlier_tokens
        asked = (done - self._request.first_step) * self._request.batch_tokens
        here = told.tokens
        if here is None:  # a repeated attempt may have begun on the way
            here = (self._attempts.tokens or 0) if earlier or self._result is None else asked
        executed = min(asked, here + earlier)
        seconds = time.monotonic() - self._began if told.seconds is None else told.seconds
        return Cost(
            executed_tokens=executed,
            wasted_tokens=max(0, here + earlier - executed),
            train_seconds=seconds + self._attempts.earlier_seconds,
            peak_memory_bytes=told.peak_memory_bytes or 0,
        )


def _as_result(answer: SpanResult | Mapping[str, object] | float | None) -> SpanResult | None:
    """The answer of a trainer in its long form.

    Raises:
        TrialError: If it is none.
    """
    if answer is None or isinstance(answer, SpanResult):
        return answer
    fields = answer if isinstance(answer, Mapping) else {"val_loss": answer}
    try:
        return SpanResult.model_validate(fields)
    except ValidationError as error:
        raise TrialError("exception", f"the trainer's result is not one: {wrong_fields(error)}") from error


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
