"""The state machine of a search: what is trained next, and what follows from how it ended.

One controller serves every backend. It knows neither processes nor threads nor a clock of its own: a backend asks
for tasks and says when they start, reach a boundary and end.

A search and each of its trials are always in one of these states:

    search   searching --ended_by()--> confirming --nothing left--> done
                 |                         |
                 +-------- stop() ---------+--> stopping (the next driver continues)

    trial    new --ask--> open --started--> running --tell: complete, pruned, failed--> ended
              |            ^                   |
              |            +----- queued <-----+ tell: interrupted
              |                                  worker lost, at most MOST_RETRIES times
              +--its end is known: told without training--> ended

Everything that matters is on disk before anything else depends on it:

    ask    task file -> Optuna database -> the backend trains it
    tell   nodes (written by the worker) -> trial record -> Optuna database

A driver may die between any two of these steps; `restore` reconstructs the rest from the run directory. The parts
have one job each: `TrialTable` knows the trials, `ProposalSource` drafts tasks, `CostLedger` adds up attempts,
`UtilizationMeter` the time of slots, and a `Searcher` for each arm learns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from mbo_search.engine.control.dependencies import SearchConfig, SearchDependencies, Searcher
from mbo_search.engine.control.proposals import ProposalSource
from mbo_search.engine.control.stopping import Usage, has_converged
from mbo_search.engine.control.trial_cost import CostLedger, duplicate_record, make_record, sentence_of
from mbo_search.engine.control.trial_table import TrialTable
from mbo_search.engine.control.utilization import UtilizationMeter
from mbo_search.engine.tasks import TrialTask, task_of
from mbo_search.results.records.records import Arm, TrialRecord
from mbo_search.trial.outcome import Boundary, BoundaryEvent, TrialOutcome

MOST_RETRIES = 2
"""Repetitions of a trial whose worker was lost."""


class SearchController:
    """Decides what is trained next and remembers how it ended; see the module for its states.

    Attributes:
        config: What to do.
        dependencies: Everything else in the world.
        table: What is known of the trials.
        utilization: How busy the slots were.
        trouble: What a person has to fix before the search can continue; empty while all is well.
    """

    def __init__(
        self, config: SearchConfig, searchers: Mapping[Arm, Searcher], dependencies: SearchDependencies
    ) -> None:
        """Make a controller of a new search; call `restore` for one that has begun before."""
        self.config = config
        self.dependencies = dependencies
        self.table = TrialTable()
        self.utilization = UtilizationMeter(config.slots)
        self.trouble = ""
        self._proposals = ProposalSource(config, searchers, dependencies, self.table)
        self._ledger = CostLedger(self.table, dependencies.has_node, dependencies.report_of)
        self._queue: deque[int] = deque()
        self._reached: dict[int, Boundary] = {}
        self._next_trial = 0
        self._zero_seconds = dependencies.clock()
        self._is_stopping = False

    # What the search is at

    @property
    def has_more(self) -> bool:
        """True if `ask` may still return a task, now or after an open trial has continued."""
        is_left = self.table.open_trials or self.ended_by() is None or self.confirm_left()
        return bool(is_left) and not self._is_stopping

    @property
    def is_stopping(self) -> bool:
        """True if `stop` was called."""
        return self._is_stopping

    @property
    def running_trials(self) -> Sequence[int]:
        """Numbers of the open trials that a worker is training."""
        return self.utilization.running_trials

    @property
    def elapsed_seconds(self) -> float:
        """Wall-clock seconds of all drivers of this search so far."""
        return self.dependencies.clock() - self._zero_seconds

    def ended_by(self) -> str | None:
        """What ended the search proper: `trials`, `budget`, `hours`, `space`, `enough`; None while it continues."""
        used = Usage(
            trials=self.table.num_search_trials(),
            tokens=self.table.search_tokens(),
            seconds=self.elapsed_seconds,
        )
        ended = self.config.limits.reached(used) or (None if self._proposals.arms_by_need() else "space")
        if ended is None and self.config.ends_itself:
            return "enough" if has_converged(self.table.tasks_of("staged"), self.table.records) else None
        return ended

    def confirm_left(self) -> Sequence[TrialTask]:
        """Confirm runs that have not begun; none before the search proper has ended."""
        is_searching = any(self.table.task(trial).is_search for trial in self.table.open_trials)
        if self.config.confirm is None or is_searching or self.ended_by() is None:
            return []
        return self._proposals.confirm(self._next_trial)

    def reached(self, trial: int) -> Boundary | None:
        """The last boundary that an open trial has reported, or None."""
        return self._reached.get(trial)

    # Ask

    def ask(self) -> TrialTask | None:
        """Return a task to train; None if there is none now. What is known already is told without training."""
        while not self._is_stopping:
            if self._queue:
                return self._handed_out(self.table.task(self._queue.popleft()))
            task = self._next_draft()
            if task is None:
                return None
            known = None if task.arm == "baseline" else self.table.known(task.end)
            self._open(task)
            if known is None:
                return self._handed_out(task)
            self._end(task, duplicate_record(task, known, ended_at=self.dependencies.clock()))
        return None

    def stop(self) -> None:
        """Return no task from now on; what is open stays open for the next driver."""
        self._is_stopping = True

    # Progress of a trial

    def started(self, trial: int, at: float | None = None) -> None:
        """Note that a worker has begun an attempt at a task."""
        moment = self.dependencies.clock() if at is None else at
        self._ledger.begin(trial, moment)
        self.utilization.started(trial, moment)

    def heard(self, trial: int, event: BoundaryEvent) -> bool:
        """Note what an attempt has cost up to a stage's end, and judge it there; True ends it."""
        self._ledger.reach(trial, event)
        return self.boundary(trial, event.boundary)

    def boundary(self, trial: int, boundary: Boundary) -> bool:
        """Judge a trial at the end of a stage; True ends it."""
        self._proposals.unblock()
        self._reached[trial] = boundary
        task = self.table.task(trial)
        is_last = boundary.stage == len(task.schedule.stages) - 1
        if self.config.pruner is None or task.arm != "staged" or is_last:
            return False
        decision = self.config.pruner.judge_boundary(boundary, self.table.records)
        self.dependencies.log(f"#{trial}, stage {boundary.stage}: {decision.sentence()}")
        return decision.prune

    # Tell

    def tell(self, trial: int, outcome: TrialOutcome, *, worker: str = "") -> None:
        """Note how an attempt ended: on disk first, then for its searcher."""
        self._free_slot(trial)
        if outcome.reason == "disk":
            self.trouble = outcome.message
            self.stop()
        if self.table.record(trial) is not None:
            return  # told before, for instance by a worker that was given up for lost
        task = self.table.task(trial)
        cost = self._ledger.finish(task, outcome)
        record = make_record(task, outcome, cost, worker=worker, ended_at=self.dependencies.clock())
        if outcome.state != "interrupted":
            self._end(task, record, outcome)
            return
        self.dependencies.recorder.write_record(record, outcome.curve, outcome.steps)
        self.table.interrupt(record)
        if not self._is_stopping:
            self._queue.append(trial)

    def worker_lost(self, trial: int, message: str) -> None:
        """Note that a worker was lost: the task is repeated, at most `MOST_RETRIES` times, then it has failed."""
        if self.worker_lost_retrying(trial, message) > MOST_RETRIES:
            self.give_up(trial, message)
        else:
            self._queue.append(trial)

    def worker_lost_retrying(self, trial: int, message: str) -> int:
        """Note that a worker was lost and the backend repeats the task itself; return how often that happened."""
        self._drop(trial, message)
        return self._ledger.count_loss(trial)

    def backend_lost(self, message: str) -> None:
        """Note that a backend has ended before its trials: all open ones are repeated, at no cost of retries."""
        for trial in self.running_trials:
            self._drop(trial, message)
        self._queue.extend(sorted(set(self.table.open_trials) - set(self._queue)))

    def give_up(self, trial: int, message: str) -> None:
        """Fail a task whose worker was lost too often."""
        self.tell(trial, TrialOutcome(state="failed", reason="worker_lost", message=message))

    # After a restart

    def restore(
        self, tasks: Sequence[TrialTask], records: Sequence[TrialRecord], *, next_trial: int, elapsed_seconds: float
    ) -> None:
        """Take over from the run directory."""
        self._zero_seconds -= elapsed_seconds
        self._next_trial = max([next_trial, *(task.trial + 1 for task in tasks)])
        by_trial, numbers = {record.trial: record for record in records}, {task.trial for task in tasks}
        bare = [task_of(record, self.dependencies.nodes_of) for record in records if record.trial not in numbers]
        for task in sorted([*tasks, *bare], key=lambda task: task.trial):
            record = by_trial.get(task.trial)
            if record is not None and record.state != "interrupted":
                self.table.end(task, record)
            else:
                self.table.begin(task, self.dependencies.has_node)
                self._queue.append(task.trial)
                self._ledger.restore(task, record)
                if record is not None:
                    self.table.interrupt(record)
        self._ledger.settle_all()
        self._proposals.restore()

    # Transitions of a trial

    def _next_draft(self) -> TrialTask | None:
        """The next task that could begin: a baseline, then proposals while the search lasts, then confirm runs."""
        draft = self._proposals.baseline(self._next_trial)
        if draft is None and self.ended_by() is None:
            draft = self._proposals.proposal(self._next_trial)
        if draft is None:
            waiting = (task for task in self.confirm_left() if not self._proposals.is_held(task))
            draft = next(waiting, None)
        return draft

    def _open(self, task: TrialTask) -> None:
        self.dependencies.recorder.write_task(task)
        self._next_trial = task.trial + 1
        self.table.begin(task, self.dependencies.has_node)
        self._proposals.begun(task)

    def _handed_out(self, task: TrialTask) -> TrialTask:
        self.utilization.queued(self.dependencies.clock())
        return task

    def _end(self, task: TrialTask, record: TrialRecord, outcome: TrialOutcome | None = None) -> None:
        curve, steps = ((), ()) if outcome is None else (outcome.curve, outcome.steps)
        self.dependencies.recorder.write_record(record, curve, steps)
        self.dependencies.log(sentence_of(record))
        self.table.end(task, record)
        self._reached.pop(task.trial, None)
        self._proposals.ended(record)

    def _drop(self, trial: int, message: str) -> None:
        """Note what an attempt had cost when its worker was lost."""
        self.dependencies.log(f"#{trial}: worker lost ({message})")
        self._ledger.lose(trial)
        self._free_slot(trial)

    def _free_slot(self, trial: int) -> None:
        self._proposals.unblock()
        self.utilization.ended(trial, self.dependencies.clock())
