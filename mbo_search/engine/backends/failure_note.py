"""Failure note of an attempt that could not report its own end: `trials/NNNN.last-words.json`.

A worker that hangs is ended by its watchdog, one that takes too much memory by Ray; neither returns an outcome.
Whoever ends it leaves a note, and the next attempt at the trial reports what the note says instead of failing in
the same way again. Stages that were shared or finished before are reported as usual.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from mbo_search.store.scratch import forget_span
from mbo_search.study.spec.base import Description
from mbo_search.study.spec.keys import segment_keys
from mbo_search.study.spec.segments import Segment
from mbo_search.system.files import read_json, write_json
from mbo_search.trial.cost import Cost
from mbo_search.trial.outcome import TrialOutcome, state_of
from mbo_search.trial.reports import BoundaryReport, Node, Stop

_MOST_CHARACTERS = 40_000


class FailureNote(Description):
    """End of an attempt.

    Attributes:
        schema_version: Version of this format.
        reason: Why it ended.
        message: A line, or the stacks of its threads.
    """

    schema_version: Literal["mbo-search/last-words/1"] = "mbo-search/last-words/1"
    reason: Literal["hung", "out_of_memory"]
    message: str

    @property
    def outcome(self) -> TrialOutcome:
        """Outcome of a trial of which nothing else is known."""
        return TrialOutcome(state=state_of(self.reason), reason=self.reason, message=self.message)


class FailureNotingRunner:
    """Stage runner of an attempt whose end is known: trains nothing and reports the end.

    Args:
        note: How the earlier attempt ended.
        root_key: Key of the untrained model.
        scratch: Folder for unfinished spans; what the attempt had begun there is counted and removed.
    """

    def __init__(self, note: FailureNote, root_key: str, scratch: Path) -> None:
        self._note = note
        self._root_key = root_key
        self._scratch = scratch

    def run(
        self, node: Node | None, segments: Sequence[Segment], seed: int, stop: Stop
    ) -> tuple[Path | None, BoundaryReport]:
        """Report the end; see `StageRunner.run`."""
        key = segment_keys(node.key if node else self._root_key, segments)[-1]
        first = segments[0]
        lost_steps, wasted_tokens = forget_span(self._scratch / key, first.first_step)
        return None, BoundaryReport(
            step=first.first_step + lost_steps,
            cost=Cost(wasted_tokens=wasted_tokens + lost_steps * first.step_tokens),
            metrics=None,
            curve=(),
            reason=self._note.reason,
            message=self._note.message,
        )

    def measure(self, node: Node, segment: Segment) -> None:
        """Measure nothing."""

    def has_begun(self, key: str) -> bool:
        """Whether the attempt had begun to train a node; see `StageRunner.has_begun`."""
        return (self._scratch / key).is_dir()


def write_failure_note(folder: Path, trial: int, note: FailureNote) -> None:
    """Leave a note for the next attempt at a trial."""
    kept = note.model_copy(update={"message": note.message[:_MOST_CHARACTERS]})
    write_json(_file(folder, trial), kept.model_dump(mode="json"))


def read_failure_note(folder: Path, trial: int) -> FailureNote | None:
    """Read the note of an earlier attempt; None if there is none that can be read."""
    try:
        return FailureNote.model_validate(read_json(_file(folder, trial)))
    except (OSError, ValueError):
        return None


def remove_failure_note(folder: Path, trial: int) -> None:
    """Remove the note of an earlier attempt, so that the next one trains."""
    _file(folder, trial).unlink(missing_ok=True)


def _file(folder: Path, trial: int) -> Path:
    return folder / f"{trial:04d}.last-words.json"
