"""What a director needs of the world, as interfaces: arms that propose, a memory, a store, a clock.

The live search, the tests and a simulator in its own time all fill the same few holes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mbo_search.engine.control.confirm import Confirmation
from mbo_search.engine.control.pruner import BoundaryPruner
from mbo_search.engine.control.stopping_criteria import StoppingCriteria
from mbo_search.engine.searcher.suggest import Draw
from mbo_search.engine.tasks.task import HasNode, PathNode, TrialTask
from mbo_search.results.records.records import Arm, TrialRecord
from mbo_search.study.spec.schedule import Schedule
from mbo_search.trial.outcome import CurveRow
from mbo_search.trial.reports import BoundaryReport


def _unknown(key: str) -> BoundaryReport | None:
    """A world that keeps no reports."""
    return None


class Searcher(Protocol):
    """Where the schedules of an arm come from."""

    @property
    def size(self) -> int | None:
        """Number of different schedules in its space; None if it is not finite."""
        ...

    @property
    def next_number(self) -> int:
        """Number that its next trial will have in its own study."""
        ...

    def proposals(self, trial: int) -> Iterator[Draw]:
        """Draw schedules without end, best guess first, the same for equal knowledge and trial number."""
        ...

    def random_proposals(self, trial: int) -> Iterator[Draw]:
        """Draw schedules at random without end, the same for an equal trial number."""
        ...

    def taken_over(self, schedule: Schedule) -> Iterator[Draw]:
        """What comes nearest to a schedule that was found elsewhere and has not begun here."""
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
    """Where tasks and records are kept. Both calls return when the disk has it."""

    def write_task(self, task: TrialTask) -> None:
        """Keep a task."""
        ...

    def write_record(self, record: TrialRecord, curve: Sequence[CurveRow]) -> None:
        """Keep a record; a second one of the same trial replaces it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchDependencies:
    """All that a director needs of the world besides the arms.

    Attributes:
        memory: Where tasks and records are kept.
        has_node: Whether a node is in the stage store.
        nodes_of: The nodes on the way of a schedule with a seed, at a multiple of the budget; raises StudyError for
            one that cannot be trained.
        clock: Seconds since the epoch.
        log: Takes one line for people.
        report_of: What the training of a cached node gave and cost; None if nobody knows.
    """

    memory: TrialRecorder
    has_node: HasNode
    nodes_of: Callable[[Schedule, int, float], tuple[PathNode, ...]]
    clock: Callable[[], float]
    log: Callable[[str], None]
    report_of: Callable[[str], BoundaryReport | None] = _unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchConfig:
    """What a director is to do.

    Attributes:
        seed: Seed of every search trial.
        limits: When the search ends.
        shares: Share of the search's tokens that each arm gets; they sum to 1.
        takes_over: By arm, those whose best schedule it begins with.
        baselines: Untuned schedules to start with, by name.
        pruner: Judge at stage boundaries; None: nobody.
        confirm: What is trained on fresh seeds when the search has ended; None: nothing.
        slots: Trials that can run at once.
        ends_itself: Whether the search ends when its searcher expects less than the noise hides.
    """

    seed: int
    limits: StoppingCriteria
    shares: Mapping[Arm, float]
    baselines: Mapping[str, Schedule]
    pruner: BoundaryPruner | None = None
    confirm: Confirmation | None = None
    slots: int = 1
    ends_itself: bool = False
    takes_over: Mapping[Arm, Sequence[Arm]] = field(default_factory=dict)
