"""The partial states of a span in training, from which an interrupted or crashed call resumes.

A span has one folder, `scratch/<key of its end>/`. Each partial state in it appears by one rename and is checked
against its checksums when it is read; the previous one is removed afterwards, so there is always a whole one.
Beside it a small progress file says how far training really came, so that the work which a crash lost can be
counted.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from mbo_search.errors import StoreError
from mbo_search.store.manifest import FileEntry, describe_files, verify_files
from mbo_search.store.partial_mirror import PartialMirror
from mbo_search.store.scratch import read_progress, write_progress
from mbo_search.study.spec.base import Description
from mbo_search.system.files import fsync_folder, read_json, unique_sibling, write_json
from mbo_search.train.saved_state import load_state, save_state
from mbo_search.train.setup.setup import TrainSetup
from mbo_search.train.step_series import StepSums
from mbo_search.train.train_state import TrainState
from mbo_search.trial.reports import CurvePoint

_CALL = "call.json"
_PREFIX = "partial-"


class CallRecord(Description):
    """Progress of a call, stored beside its partial state.

    Attributes:
        points: Points of the finished segments.
        steps: The course of the unfinished one.
        executed_tokens: Charged tokens trained that no report has counted.
        seconds: Seconds of training and evaluation that no report has counted.
    """

    points: tuple[CurvePoint, ...] = ()
    steps: tuple[StepSums, ...] = ()
    executed_tokens: int = Field(default=0, ge=0)
    seconds: float = Field(default=0.0, ge=0)


class _PartialMetadata(Description):
    call: CallRecord
    files: dict[str, FileEntry]


@dataclass(frozen=True, slots=True)
class Partial:
    """The folder of one unfinished span.

    Attributes:
        folder: The folder, named by the key of the span's end; the first write creates it.
        mirror: Keeps a copy for other machines, if there are any.
    """

    folder: Path
    mirror: PartialMirror | None = None

    def exists(self) -> bool:
        """Return whether there is a partial state, sound or not."""
        return any(self.folder.glob(f"{_PREFIX}*"))

    def save(self, state: TrainState, call: CallRecord) -> None:
        """Write a partial state in place of the previous one.

        Raises:
            OSError: If it cannot be written; the previous one is then still there.
        """
        target = self.folder / f"{_PREFIX}{state.step:012d}"
        new = unique_sibling(target)
        new.mkdir(parents=True)
        try:
            save_state(state, new)
            metadata = _PartialMetadata(call=call, files=describe_files(new))
            write_json(new / _CALL, metadata.model_dump(mode="json"))
            shutil.rmtree(target, ignore_errors=True)
            new.rename(target)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
        fsync_folder(self.folder)
        for other in self.folder.glob(f"{_PREFIX}*"):
            if other != target:
                shutil.rmtree(other, ignore_errors=True)
        if self.mirror is not None:
            self.mirror.send(self.folder.name, target)

    def load(self, setup: TrainSetup) -> tuple[TrainState, CallRecord] | None:
        """Read the latest sound partial state, of another machine if there is none here; None if there is none."""
        if self.mirror is not None and self.folder.is_dir() and not self.exists():
            self.mirror.fetch(self.folder.name, self.folder)
        for folder in sorted(self.folder.glob(f"{_PREFIX}*"), reverse=True):
            try:
                metadata = _PartialMetadata.model_validate(read_json(folder / _CALL))
                verify_files(folder, metadata.files, beside=_CALL)
                return load_state(folder, setup), metadata.call
            except (FileNotFoundError, ValueError, StoreError):
                shutil.rmtree(folder, ignore_errors=True)  # damaged: the previous one, or the node, takes its place
        return None

    def note_progress(self, step: int, wasted_tokens: int) -> None:
        """Note how far training came, and what earlier crashes lost."""
        write_progress(self.folder, step, wasted_tokens)

    def read_progress(self) -> tuple[int, int]:
        """Step to which an earlier call came, and the tokens that calls before it lost; zeros if not noted."""
        return read_progress(self.folder)

    def remove(self) -> None:
        """Remove the folder of a finished or failed span."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.mirror is not None:
            self.mirror.remove(self.folder.name)


class PartialClock:
    """Decides when a partial state is due: every 30 seconds, or every quarter of a shorter span.

    A span of a few seconds needs none, and writing takes at most a twentieth of the time.

    >>> clock = PartialClock(span_steps=1000, now=0.0)
    >>> clock.is_due(step=10, now=1.0), clock.is_due(step=260, now=26.0)
    (False, True)
    >>> clock.written(now=26.5, seconds=0.5)
    >>> clock.is_due(step=500, now=50.0), clock.is_due(step=520, now=52.0)
    (False, True)
    """

    MOST_SECONDS = 30.0
    LEAST_SECONDS = 2.0
    MOST_WRITE_SHARE = 0.05

    def __init__(self, *, span_steps: int, now: float) -> None:
        self._span_steps = span_steps
        self._began = self._last = now
        self._write_seconds = 0.0

    def is_due(self, *, step: int, now: float) -> bool:
        """Return whether to write a state."""
        expected_seconds = (now - self._began) / step * self._span_steps
        interval = min(self.MOST_SECONDS, expected_seconds / 4)
        if interval < self.LEAST_SECONDS:
            return False
        return now - self._last >= max(interval, self._write_seconds / self.MOST_WRITE_SHARE)

    def written(self, *, now: float, seconds: float) -> None:
        """Note that a state was written."""
        self._last, self._write_seconds = now, seconds


class PartialSaver:
    """Saves the state of a span in training now and then, and notes how far it came in between.

    What a call trained beyond its last partial state before a crash is counted as wasted by the next call.
    """

    NOTE_SECONDS = 0.2

    def __init__(self, partial: Partial, *, step: int, span_steps: int, step_tokens: int) -> None:
        came_to_step, lost_tokens = partial.read_progress()
        self.wasted_tokens = lost_tokens + max(0, came_to_step - step) * step_tokens
        self.write_seconds = 0.0
        self._partial = partial
        self._first_step = step
        self._noted = time.monotonic()
        self._clock = PartialClock(span_steps=span_steps, now=self._noted)
        if self.wasted_tokens:
            partial.note_progress(step, self.wasted_tokens)

    def is_due(self, step: int) -> bool:
        """Return whether to save a state after a step."""
        return self._clock.is_due(step=step - self._first_step, now=time.monotonic())

    def note(self, step: int) -> None:
        """Note how far training came, a few times a second."""
        now = time.monotonic()
        if now - self._noted >= self.NOTE_SECONDS:
            self._partial.note_progress(step, self.wasted_tokens)
            self._noted = now

    def save(self, state: TrainState, call: CallRecord) -> bool:
        """Save a state; a disk that cannot take it costs safety, not the trial."""
        began = time.monotonic()
        try:
            self._partial.save(state, call)
            self._partial.note_progress(state.step, self.wasted_tokens)
            is_saved = True
        except OSError:
            is_saved = False
        self._noted = time.monotonic()
        self.write_seconds += self._noted - began
        self._clock.written(now=self._noted, seconds=self._noted - began)
        return is_saved

    def save_for_later(self, state: TrainState, call: CallRecord) -> bool:
        """Save a state for the call that resumes; the report of this call counts all that was done so far."""
        is_saved = self.save(state, call)
        if is_saved:
            self._partial.note_progress(state.step, 0)
        return is_saved
