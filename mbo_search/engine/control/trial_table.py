"""In-memory table of trials: which are open, how the others ended, what each arm has cost.

It is rebuilt from the run directory after a restart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mbo_search.engine.tasks import HasNode, PathNode, TrialTask, missing_tokens
from mbo_search.results.records.records import Arm, TrialRecord


class TrialTable:
    """Tasks that are open and records of those that ended."""

    def __init__(self) -> None:
        self._tasks: dict[int, TrialTask] = {}
        self._expected_tokens: dict[int, int] = {}
        self._records: dict[int, TrialRecord] = {}
        self._interrupted: dict[int, TrialRecord] = {}
        self._by_end: dict[str, int] = {}
        self._produced: set[str] = set()
        self._charges: dict[tuple[Arm, ...], int] = {}

    @property
    def records(self) -> Sequence[TrialRecord]:
        """Records of the trials that ended, by number."""
        return [self._records[trial] for trial in sorted(self._records)]

    @property
    def all_records(self) -> Sequence[TrialRecord]:
        """Records by number, the last ones of trials that were stopped and are to continue included."""
        found = {**self._interrupted, **self._records}
        return [found[trial] for trial in sorted(found)]

    @property
    def open_trials(self) -> Sequence[int]:
        """Numbers of the trials that have begun and not ended, retries included."""
        return sorted(self._expected_tokens)

    def task(self, trial: int) -> TrialTask:
        """The task of a trial."""
        return self._tasks[trial]

    def record(self, trial: int) -> TrialRecord | None:
        """The record of a trial, or None while it is open."""
        return self._records.get(trial)

    def tasks_of(self, arm: Arm) -> Sequence[TrialTask]:
        """All tasks of an arm, by number."""
        return [self._tasks[trial] for trial in sorted(self._tasks) if self._tasks[trial].arm == arm]

    def begin(self, task: TrialTask, has_node: HasNode) -> None:
        """Note that a task is open."""
        self._tasks[task.trial] = task
        self._charges.clear()
        self._expected_tokens[task.trial] = missing_tokens(task.nodes, has_node)

    def end(self, task: TrialTask, record: TrialRecord) -> None:
        """Note how a task ended."""
        self._tasks[task.trial] = task
        self._charges.clear()
        self._expected_tokens.pop(task.trial, None)
        self._records[task.trial] = record
        self._by_end.setdefault(task.end, task.trial)
        self._produced.update(record.produced)

    def interrupt(self, record: TrialRecord) -> None:
        """Note what an open trial has cost that was stopped and is to continue."""
        self._interrupted[record.trial] = record

    def account(self, keys: Iterable[str]) -> None:
        """Note nodes that trials of other studies have trained, not attempts of our own."""
        self._produced.update(keys)

    def known(self, end: str) -> TrialRecord | None:
        """The record of a trial that trained exactly this, or None."""
        trial = self._by_end.get(end)
        return None if trial is None else self._records[trial]

    def is_coming(self, key: str) -> bool:
        """True if an open trial has a node on its path."""
        return any(key == node.key for trial in self._expected_tokens for node in self._tasks[trial].nodes)

    def orphans(self, task: TrialTask, produced: frozenset[str], has_node: HasNode) -> Sequence[PathNode]:
        """Nodes on a task's path that are not accounted for: lost attempts of its own had trained them."""
        others = {
            node.key for trial in self._expected_tokens if trial != task.trial for node in self._tasks[trial].nodes
        }
        accounted = self._produced | produced | others
        return [node for node in task.nodes if node.key not in accounted and has_node(node.key)]

    def charged_tokens(self, arms: Sequence[Arm]) -> int:
        """Cost that the schedules of some arms would have had if no other arm had trained anything.

        Every distinct state on the path of their schedules is charged once, whichever arm trained it; open trials
        count up to their ends. Work that was lost or repeated is charged to the arm that lost it.
        """
        known = self._charges.get(tuple(arms))
        if known is None:
            known = self._charges[tuple(arms)] = self._charge(arms)
        return known

    def _charge(self, arms: Sequence[Arm]) -> int:
        charged: set[str] = set()
        total = 0
        for trial in sorted(self._tasks):
            task, record = self._tasks[trial], self._records.get(trial)
            if task.arm not in arms:
                continue
            end = task.tokens if record is None or record.state == "complete" else record.requested_tokens
            reached = [node for node in task.nodes if node.tokens <= end]
            before = next((node.tokens for node in reversed(reached) if node.key in charged), 0)
            total += max(0, end - before) + (record.cost.wasted_tokens if record is not None else 0)
            charged.update(node.key for node in reached)
        return total

    def search_tokens(self) -> int:
        """Charged tokens of all arms and baselines, confirm runs left out."""
        return self._tokens(trial for trial, task in self._tasks.items() if task.is_search)

    def num_search_trials(self) -> int:
        """Trials begun, confirm runs and probes of single stages left out."""
        return sum(1 for task in self._tasks.values() if task.is_search and task.stop_after is None)

    def _tokens(self, trials: Iterable[int]) -> int:
        return sum(self._tokens_of(trial) for trial in trials)

    def _tokens_of(self, trial: int) -> int:
        record = self._records.get(trial)
        if record is None:
            return self._expected_tokens[trial]
        return record.cost.tokens
