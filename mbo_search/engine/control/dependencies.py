"""Interfaces of a controller to the world: searchers that propose, a recorder, a store, a clock.

The live search, the tests and a simulator with its own time all implement the same few of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mbo_search.engine.control.confirm import Confirmation
from mbo_search.engine.control.pruner import BoundaryPruner
from mbo_search.engine.control.stopping import StoppingCriteria
from mbo_search.engine.control.trial_cost import ReportOf
from mbo_search.engine.searcher.suggest import Draw
from mbo_search.engine.tasks import HasNode, NodesOf, TrialTask
from mbo_search.results.records.fitness import LOSS
from mbo_search.results.records.records import Arm, TrialRecord
from mbo_search.study.spec.schedule import Schedule
from mbo_search.trial.outcome import CurveRow, StepRow
from mbo_search.trial.reports import BoundaryReport


def _unknown(key: str) -> BoundaryReport | None:
    """Know no report."""
    return None


class Searcher(Protocol):
    """Source of the schedules of an arm."""

    @property
    def size(self) -> int | None:
        """Number of different schedules in its space; None if it is not finite."""
        ...

    @property
    def next_number(self) -> int:
        """Number that its next trial will have in its own study."""
        ...

    def proposals(self, trial: int) -> Iterator[Draw]:
        """Draw schedules endlessly, best guess first, the same for equal knowledge and trial number."""
        ...

    def random_proposals(self, trial: int) -> Iterator[Draw]:
        """Draw schedules at random endlessly, the same for an equal trial number."""
        ...

    def taken_over(self, schedule: Schedule) -> Iterator[Draw]:
        """Draw what comes nearest to a schedule that was found elsewhere and has not begun here."""
        ...

    def begin(self, task: TrialTask) -> None:
        """Note that a task is open."""
        ...

    def finish(self, record: TrialRecord) -> None:
        """Learn how a task ended."""
        ...

    def restore(self, tasks: Sequence[TrialTask], records: Sequence[TrialRecord]) -> None:
        """Catch up with the run directory."""
        ...


class TrialRecorder(Protocol):
    """Storage of tasks and records. Both calls return when the disk has it."""

    def write_task(self, task: TrialTask) -> None:
        """Keep a task."""
        ...

    def write_record(self, record: TrialRecord, curve: Sequence[CurveRow], steps: Sequence[StepRow] = ()) -> None:
        """Keep a record; a second one of the same trial replaces it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchDependencies:
    """Everything that a controller needs of the world besides the searchers.

    Attributes:
        recorder: Keeps tasks and records.
        has_node: Whether a node is in the stage store.
        nodes_of: The nodes on the path of a schedule with a seed, at a multiple of the budget; raises StudyError
            for one that cannot be trained.
        clock: Seconds since the epoch.
        log: Takes one line for people.
        report_of: Report of the training of a cached node; None if it is not known.
    """

    recorder: TrialRecorder
    has_node: HasNode
    nodes_of: NodesOf
    clock: Callable[[], float]
    log: Callable[[str], None]
    report_of: ReportOf = _unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchConfig:
    """Instructions to a controller.

    Attributes:
        seed: Seed of every search trial.
        limits: When the search ends.
        shares: Share of the search's tokens that each arm gets; they sum to 1.
        takes_over: By arm, those whose best schedule it begins with.
        baselines: Untuned schedules to start with, by name.
        pruner: Judges at stage boundaries; None: no pruner.
        confirm: What is trained on fresh seeds when the search has ended; None: nothing.
        slots: Trials that can run at once.
        ranked_by: What schedules are ordered by: `loss` or a metric.
        ends_itself: Whether the search ends when its searcher expects less than the noise hides.
    """

    seed: int
    limits: StoppingCriteria
    shares: Mapping[Arm, float]
    baselines: Mapping[str, Schedule]
    pruner: BoundaryPruner | None = None
    confirm: Confirmation | None = None
    slots: int = 1
    ranked_by: str = LOSS
    ends_itself: bool = False
    takes_over: Mapping[Arm, Sequence[Arm]] = field(default_factory=dict)
