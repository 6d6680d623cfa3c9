"""Housekeeping of a driver: tasks and records on disk, the stage store's size, status and messages."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mbo_search.engine.backends.position_file import read_position
from mbo_search.engine.backends.stop_signals import throttled
from mbo_search.engine.control.controller import SearchController
from mbo_search.engine.control.progress import Progress, progress_of
from mbo_search.engine.control.remaining import Estimator, reached_positions
from mbo_search.engine.eviction_score import expected_uses
from mbo_search.engine.tasks import TrialTask, write_task
from mbo_search.results.records.fitness import fitness
from mbo_search.results.records.records import Arm, TrialRecord
from mbo_search.results.records.run_directory import RunDirectory
from mbo_search.store.node_store import NodeStore
from mbo_search.store.partial_mirror import PartialMirror
from mbo_search.trial.outcome import CurveRow, StepRow

_NUM_MESSAGES = 20
_STATUS_EVERY_SECONDS = 10.0
_COLLECT_PAUSE = 19.0
"""Least time between two collections of the stage store, in terms of what the first one took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecorder:
    """Tasks and records in a run directory.

    Attributes:
        run: The directory.
    """

    run: RunDirectory

    def write_task(self, task: TrialTask) -> None:
        """Keep a task, durably."""
        write_task(self.run.trials, task)

    def write_record(self, record: TrialRecord, curve: Sequence[CurveRow], steps: Sequence[StepRow] = ()) -> None:
        """Keep a record and its curve, durably; a second one of the same trial replaces them."""
        self.run.write_record(record, curve, steps)


class MessageLog:
    """Lines for people: all of them in `driver.log`, the last ones in memory."""

    def __init__(self, run: RunDirectory) -> None:
        self._file = run.path / "driver.log"
        self.recent: deque[str] = deque(maxlen=_NUM_MESSAGES)

    def write(self, line: str) -> None:
        """Add a line."""
        self.recent.append(line)
        with self._file.open("a", encoding="utf-8") as file:
            print(time.strftime("%Y-%m-%d %H:%M:%S"), line, file=file)


class StoreCollector:
    """Keeps the stage store within its limit; what is needed soon or best so far stays."""

    def __init__(self, controller: SearchController, store: NodeStore, mirror: PartialMirror | None) -> None:
        self._table = controller.table
        self._ranked_by = controller.config.ranked_by
        self._store = store
        self._mirror = mirror
        self._num_collected = 0
        self._next_at = 0.0

    def collect(self) -> None:
        """Make room after trials have ended.

        However large or slow the store is, this takes at most a twentieth of the driver's time.
        """
        records, began = self._table.records, time.monotonic()
        if len(records) == self._num_collected or began < self._next_at:
            return
        self._num_collected = len(records)
        self._store.protect(self._needed() | _best_ends(records, self._ranked_by))
        self._store.expect(expected_uses(records, self._ranked_by))
        self._store.collect()
        self.sweep()
        now = time.monotonic()
        self._next_at = now + _COLLECT_PAUSE * (now - began)

    def sweep(self) -> None:
        """Remove states within stages from the store whose trials ended elsewhere than at a stage's end."""
        if self._mirror is not None:
            table = self._table
            ended = {node.key for record in table.records for node in table.task(record.trial).nodes}
            self._mirror.sweep(ended - self._needed())

    def _needed(self) -> set[str]:
        """Keys of the nodes on the paths of open trials."""
        return {node.key for trial in self._table.open_trials for node in self._table.task(trial).nodes}


class StatusWriter:
    """Writes `status.json`: what the search has used, all its drivers together."""

    def __init__(self, run: RunDirectory, controller: SearchController, before: dict[str, Any]) -> None:
        self._run = run
        self._controller = controller
        self._before = before

    def write(self) -> None:
        """Write how far the search is."""
        controller = self._controller
        busy, available = controller.utilization.seconds()
        busy += number(self._before.get("busy_seconds"))
        available += number(self._before.get("available_seconds"))
        self._run.update_status(
            {
                "available_seconds": available,
                "busy_fraction": busy / available if available > 0 else None,
                "busy_seconds": busy,
                "charged_tokens": self._charged_tokens(),
                "ended_by": controller.ended_by(),
                "finished": not controller.has_more and not controller.is_stopping,
                "wall_seconds": controller.elapsed_seconds,
            }
        )

    def _charged_tokens(self) -> dict[str, int]:
        """Tokens charged to each search, and to the opponents together, whose states count once."""
        table, shares = self._controller.table, self._controller.config.shares
        lower: tuple[Arm, ...] = tuple(arm for arm in shares if arm != "staged")
        arms: tuple[Arm, ...] = ("baseline", *shares)
        return {**{arm: table.charged_tokens((arm,)) for arm in arms}, "opponents": table.charged_tokens(lower)}


class ProgressReporter:
    """Shows snapshots of a search to an observer."""

    def __init__(self, study: str, run: RunDirectory, log: MessageLog, show: Callable[[Progress], None]) -> None:
        self._study = study
        self._trials = run.trials
        self._log = log
        self._show = show
        self._estimator = Estimator(time.time())

    def report(self, controller: SearchController) -> None:
        """Show how far the search is."""
        positions = {
            trial: min(max(reached, read_position(self._trials, trial) or 0), controller.table.task(trial).tokens)
            for trial, reached in reached_positions(controller).items()
        }
        estimate = self._estimator.estimate(controller, positions, controller.dependencies.clock())
        shown = progress_of(
            controller,
            study=self._study,
            messages=self._log.recent,
            positions=positions,
            estimate=estimate,
        )
        self._show(shown)


class Housekeeper:
    """Does what is due between two steps of a search."""

    def __init__(self, collector: StoreCollector, status: StatusWriter, progress: ProgressReporter) -> None:
        self._collector = collector
        self._status = status
        self._note_status = throttled(status.write, _STATUS_EVERY_SECONDS)
        self._progress = progress

    def observe(self, controller: SearchController) -> None:
        """Keep the stage store within its limit, note the status now and then, and show the progress."""
        self._collector.collect()
        self._note_status()
        self._progress.report(controller)

    def finish(self) -> None:
        """Leave nothing behind that no trial needs."""
        self._collector.sweep()

    def close(self) -> None:
        """Write the last status."""
        self._status.write()


def number(value: object) -> float:
    """A number out of a status file; 0 for anything else."""
    return float(value) if isinstance(value, int | float) else 0.0


def _best_ends(records: Sequence[TrialRecord], by: str) -> set[str]:
    """Trained models that are kept: the best of each arm."""
    best: dict[str, tuple[float, TrialRecord]] = {}
    for record in records:
        value = fitness(record, by)
        if value is not None and (record.arm not in best or value < best[record.arm][0]):
            best[record.arm] = (value, record)
    return {record.boundaries[-1].node for _, record in best.values()}
