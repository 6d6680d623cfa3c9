"""The unfinished stretch of a trial on disk: where an interrupted or crashed call goes on.

A stretch has one folder, `scratch/<key of its end>/`. Each partial state in it appears by one rename and is checked
against its checksums when it is read; the one before is removed afterwards, so there is always a whole one. Beside
it a small progress file says how far training really came, so that the work which a crash lost can be counted.
"""

from __future__ import annotations

import shutil
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
from mbo_search.train.train_state import TrainState
from mbo_search.trial.reports import CurvePoint

_CALL = "call.json"
_PREFIX = "partial-"


class CallRecord(Description):
    """What a call has done so far, beside its partial state.

    Attributes:
        points: Points behind the finished segments.
        executed_tokens: Charged tokens trained that no report has named.
        seconds: Seconds of training and evaluation that no report has named.
    """

    points: tuple[CurvePoint, ...] = ()
    executed_tokens: int = Field(default=0, ge=0)
    seconds: float = Field(default=0.0, ge=0)


class _PartialMetadata(Description):
    call: CallRecord
    files: dict[str, FileEntry]


@dataclass(frozen=True, slots=True)
class Partial:
    """The folder of one unfinished stretch.

    Attributes:
        folder: The folder, named by the key of the stretch's end; it is made by the first write.
        mirror: Keeps a copy for other machines; None: nobody does.
    """

    folder: Path
    mirror: PartialMirror | None = None

    def exists(self) -> bool:
        """Whether there is a partial state, sound or not."""
        return any(self.folder.glob(f"{_PREFIX}*"))

    def save(self, live: TrainState, call: CallRecord) -> None:
        """Write a partial state in place of the one before.

        Raises:
            OSError: If it cannot be written; the one before is then still there.
        """
        target = self.folder / f"{_PREFIX}{live.step:012d}"
        new = unique_sibling(target)
        new.mkdir(parents=True)
        try:
            save_state(live, new)
            card = _PartialMetadata(call=call, files=describe_files(new))
            write_json(new / _CALL, card.model_dump(mode="json"))
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
                card = _PartialMetadata.model_validate(read_json(folder / _CALL))
                verify_files(folder, card.files, beside=_CALL)
                return load_state(folder, setup, budget_steps=setup.budget().total_steps), card.call
            except (FileNotFoundError, ValueError, StoreError):
                shutil.rmtree(folder, ignore_errors=True)  # damaged: the one before, or the node, takes its place
        return None

    def note_progress(self, step: int, wasted_tokens: int) -> None:
        """Say how far training came, and what earlier crashes lost."""
        write_progress(self.folder, step, wasted_tokens)

    def read_progress(self) -> tuple[int, int]:
        """Step to which an earlier call came, and the tokens that calls before it lost; zeros if nobody said."""
        return read_progress(self.folder)

    def remove(self) -> None:
        """Remove the folder: the stretch is finished."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.mirror is not None:
            self.mirror.remove(self.folder.name)


class PartialClock:
    """When a partial state is due: every 30 seconds, or every quarter of a shorter stretch.

    A stretch of a few seconds is not worth any, and writing them takes at most a twentieth of the time.

    >>> clock = PartialClock(stretch_steps=1000, now=0.0)
    >>> clock.is_due(step=10, now=1.0), clock.is_due(step=260, now=26.0)
    (False, True)
    >>> clock.written(now=26.5, seconds=0.5)
    >>> clock.is_due(step=500, now=50.0), clock.is_due(step=520, now=52.0)
    (False, True)

    Args:
        stretch_steps: Optimizer steps of the whole stretch.
        now: Seconds on a steady clock.
    """

    MOST_SECONDS = 30.0
    LEAST_SECONDS = 2.0
    MOST_WRITE_SHARE = 0.05

    def __init__(self, *, stretch_steps: int, now: float) -> None:
        self._stretch_steps = stretch_steps
        self._began = self._last = now
        self._write_seconds = 0.0

    def is_due(self, *, step: int, now: float) -> bool:
        """Whether to write a state."""
        expected_seconds = (now - self._began) / step * self._stretch_steps
        interval = min(self.MOST_SECONDS, expected_seconds / 4)
        if interval < self.LEAST_SECONDS:
            return False
        return now - self._last >= max(interval, self._write_seconds / self.MOST_WRITE_SHARE)

    def written(self, *, now: float, seconds: float) -> None:
        """Note that a state was written."""
        self._last, self._write_seconds = now, seconds
