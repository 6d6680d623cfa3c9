"""The state machine of a search: what is trained next, and what is made of how it ended.

One director serves every backend. It knows neither processes nor threads nor a clock of its own: a backend asks for
tasks, says when they start, reach a boundary and end. Everything that matters is on disk before anything else
depends on it:

    ask    task file -> Optuna database -> the backend trains it
    tell   nodes (written by the worker) -> trial record -> Optuna database

A driver may die between any two of these steps; `restore` makes up the rest from the run directory.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence

from mbo_search.engine.control.convergence import is_enough
from mbo_search.engine.control.dependencies import SearchConfig, SearchDependencies, Searcher
from mbo_search.engine.control.proposals import ProposalSource
from mbo_search.engine.control.pruner import BoundaryPruner, PrunerObservation
from mbo_search.engine.control.stopping_criteria import Usage
from mbo_search.engine.control.trial_cost import (
    TrialCost,
    duplicate_record,
    effort_of,
    make_record,
    sentence_of,
    with_orphans,
)
from mbo_search.engine.control.trial_table import TrialTable
from mbo_search.engine.control.utilization import UtilizationMeter
from mbo_search.engine.tasks.task import TrialTask
from mbo_search.errors import StudyError
from mbo_search.results.records.records import Arm, TrialRecord
from mbo_search.trial.outcome import Boundary, BoundaryEvent, TrialOutcome

MOST_RETRIES = 2
"""Repetitions of a trial whose worker was lost."""


class SearchController:
    """Decides what is trained next and remembers how it ended.

    Attributes:
        books: What is known of the trials.
        busy: How busy the slots were.
        plan: What to do.
        trouble: Why nobody can go on before a person has done something; empty while all is well.
    """

    def __init__(self, plan: SearchConfig, arms: Mapping[Arm, Searcher], ports: SearchDependencies) -> None:
        """Make a director of a new search; call `restore` for one that has been going on."""
        self.books = TrialTable()
        self.busy = UtilizationMeter(plan.slots)
        self.plan = plan
        self.trouble = ""
        self._arms = dict(arms)
        self._ports = ports
        self._drafter = ProposalSource(plan, self._arms, ports, self.books)
        self._efforts: dict[int, TrialCost] = {}
        self._losses: Counter[int] = Counter()
        self._heard: dict[int, BoundaryEvent] = {}
        self._reached: dict[int, Boundary] = {}
        self._running: set[int] = set()
        self._queue: deque[int] = deque()
        self._next_trial = 0
        self._elapsed_before = 0.0
        self._began_at = ports.clock()
        self._is_stopping = False
        self._is_blocked = False

    # What is trained next

    @property
    def has_more(self) -> bool:
        """Whether `ask` may still return a task, now or after an open trial has gone on."""
        is_left = self.books.open_trials or self.ended_by() is None or self.confirm_left()
        return bool(is_left) and not self._is_stopping

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._is_stopping

    @property
    def running_trials(self) -> Sequence[int]:
        """Numbers of the open trials that a worker is at."""
        return sorted(self._running)

    @property
    def elapsed_seconds(self) -> float:
        """Wall-clock seconds of all drivers of this search so far."""
        return self._elapsed_before + self._ports.clock() - self._began_at

    def ask(self) -> TrialTask | None:
        """Hand out a task."""
        if self._is_stopping:
            return None
        task = self._next_queued() or self._next_baseline() or self._next_proposed() or self._next_confirm()
        if task is not None:
            self.busy.queued(self._ports.clock())
        return task

    def stop(self) -> None:
        """Hand out nothing from now on; what is open stays open for the next driver."""
        self._is_stopping = True

    def ended_by(self) -> str | None:
        """What ended the search proper: `trials`, `budget`, `hours`, `space`, `enough`; None while it goes on."""
        spent = Usage(
            trials=self.books.num_search_trials(),
            tokens=self.books.search_tokens(),
            seconds=self.elapsed_seconds,
        )
        ended = self.plan.limits.reached(spent) or (None if self._drafter.arms_by_need() else "space")
        if ended is None and self.plan.ends_itself and is_enough(self.books.tasks_of("staged"), self.books.records):
            return "enough"
        return ended

    def confirm_left(self) -> Sequence[TrialTask]:
        """Confirm runs that have not begun; none before the search proper has ended."""
        is_searching = any(self.books.task(trial).is_search for trial in self.books.open_trials)
        if self.plan.confirm is None or is_searching or self.ended_by() is None:
            return []
        return self._drafter.confirm(self._next_trial)

    # How it goes

    def started(self, trial: int, at: float | None = None) -> None:
        """Note that a worker has begun an attempt at a task."""
        self._running.add(trial)
        moment = self._ports.clock() if at is None else at
        self._heard.pop(trial, None)
        self._efforts[trial] = self._effort(trial).begun(moment)
        self.busy.started(trial, moment)

    def heard(self, trial: int, event: BoundaryEvent) -> bool:
        """Note what an attempt has cost up to a stage's end, in case its worker is lost, and judge it there."""
        self._heard[trial] = event
        return self.boundary(trial, event.boundary)

    def boundary(self, trial: int, boundary: Boundary) -> bool:
        """Judge a trial at the end of a stage."""
        self._is_blocked = False
        self._reached[trial] = boundary
        task = self.books.task(trial)
        is_last = boundary.stage == len(task.schedule.stages) - 1
        if self.plan.pruner is None or task.arm != "staged" or is_last:
            return False
        return self._is_hopeless(self.plan.pruner, trial, boundary)

    def reached(self, trial: int) -> Boundary | None:
        """The last boundary that an open trial has reported, or None."""
        return self._reached.get(trial)

    def tell(self, trial: int, outcome: TrialOutcome, *, worker: str = "") -> None:
        """Note how an attempt ended: on disk first, then to whoever proposed it."""
        self._left(trial)
        self._heard.pop(trial, None)
        if outcome.reason == "disk":
            self.trouble = outcome.message
            self.stop()
        if self.books.record(trial) is not None:
            return  # told before, for instance by a worker that was given up for lost
        task = self.books.task(trial)
        self._efforts[trial] = self._settled(task, self._effort(trial).plus(outcome))
        record = make_record(task, outcome, self._efforts[trial], worker=worker, ended_at=self._ports.clock())
        self._ports.memory.write_record(record, outcome.curve)
        if outcome.state != "interrupted":
            self._learn(task, record)
        elif not self._is_stopping:
            self._queue.append(trial)

    def lost(self, trial: int, message: str) -> None:
        """Note that a worker was lost: the task is repeated, at most `MOST_RETRIES` times, then it has failed."""
        self.left_alone(trial, message)
        if self._losses[trial] > MOST_RETRIES:
            self.give_up(trial, message)
        else:
            self._queue.append(trial)

    def left_alone(self, trial: int, message: str) -> None:
        """Note that a worker was lost and that the backend will repeat the task by itself."""
        self._losses[trial] += 1
        self._drop(trial, message)

    def abandoned(self, message: str) -> None:
        """Note that a backend has ended before its trials: all that are open are repeated, at no cost of tries."""
        for trial in self.running_trials:
            self._drop(trial, message)
        self._queue.extend(sorted(set(self.books.open_trials) - set(self._queue)))

    def give_up(self, trial: int, message: str) -> None:
        """Fail a task whose worker was lost too often."""
        self.tell(trial, TrialOutcome(state="failed", reason="worker_lost", message=message))

    # After a restart

    def restore(
        self, tasks: Sequence[TrialTask], records: Sequence[TrialRecord], *, next_trial: int, elapsed_seconds: float
    ) -> None:
        """Take over from the run directory."""
        self._elapsed_before = elapsed_seconds
        self._next_trial = max([next_trial, *(task.trial + 1 for task in tasks)])
        by_trial, numbers = {record.trial: record for record in records}, {task.trial for task in tasks}
        bare = (self._task_of(record) for record in records if record.trial not in numbers)
        for task in sorted([*tasks, *bare], key=lambda task: task.trial):
            record = by_trial.get(task.trial)
            if record is not None and record.state != "interrupted":
                self.books.end(task, record)
            else:
                self.books.begin(task, self._ports.has_node)
                self._queue.append(task.trial)
                self._efforts[task.trial] = TrialCost() if record is None else effort_of(record)
        for trial in self._queue:
            self._efforts[trial] = self._settled(self.books.task(trial), self._efforts[trial])
        self._restore_arms()

    # Private: choosing

    def _next_queued(self) -> TrialTask | None:
        return self.books.task(self._queue.popleft()) if self._queue else None

    def _next_baseline(self) -> TrialTask | None:
        draft = self._drafter.baseline(self._next_trial)
        return None if draft is None else self._open(draft)

    def _next_proposed(self) -> TrialTask | None:
        """Go round until an arm has a new task; a round that only tells a duplicate brings the limits nearer."""
        while not self._is_blocked and self.ended_by() is None:
            drafts = (self._drafter.proposal(arm, self._next_trial) for arm in self._drafter.arms_by_need())
            draft = next((draft for draft in drafts if draft is not None), None)
            if draft is None:
                self._block()
            elif self.books.known(draft.end) is None:
                return self._open(draft)
            else:
                self._tell_known(draft)
        return None

    def _next_confirm(self) -> TrialTask | None:
        """Go round until there is something to train: what trains like an earlier run is only told."""
        while drafts := self.confirm_left():
            draft = next((draft for draft in drafts if not self._drafter.is_held(draft)), None)
            if draft is None or self.books.known(draft.end) is None:
                return None if draft is None else self._open(draft)
            self._tell_known(draft)
        return None

    def _block(self) -> None:
        """Propose nothing until something has changed, for drawing the same again takes time."""
        self._is_blocked = True
        if not self.books.open_trials:
            raise StudyError("no schedule of the space can be trained; check the warm-ups against the shares")

    def _open(self, task: TrialTask) -> TrialTask:
        self._ports.memory.write_task(task)
        self._next_trial = task.trial + 1
        self.books.begin(task, self._ports.has_node)
        if task.arm in self._arms:
            self._arms[task.arm].begin(task)
        return task

    def _tell_known(self, task: TrialTask) -> None:
        known = self.books.known(task.end)
        assert known is not None, "only tasks with a known end are told"
        self._open(task)
        record = duplicate_record(task, known, ended_at=self._ports.clock())
        self._ports.memory.write_record(record, ())
        self._learn(task, record)

    # Private: learning

    def _drop(self, trial: int, message: str) -> None:
        """Note what an attempt had cost when its worker was lost."""
        self._ports.log(f"trial {trial}: worker lost ({message})")
        if (event := self._heard.pop(trial, None)) is not None:
            self._efforts[trial] = self._effort(trial).plus(event)
        self._left(trial)

    def _left(self, trial: int) -> None:
        """A slot is free again; what was held back may be possible now."""
        self._is_blocked = False
        self._running.discard(trial)
        self.busy.ended(trial, self._ports.clock())

    def _effort(self, trial: int) -> TrialCost:
        return self._efforts.get(trial, TrialCost())

    def _settled(self, task: TrialTask, effort: TrialCost) -> TrialCost:
        """Add what attempts had trained that could not report it any more."""
        orphans = self.books.orphans(task, effort.produced, self._ports.has_node)
        if not orphans:
            return effort
        reports = [report for node in orphans if (report := self._ports.report_of(node.key)) is not None]
        return with_orphans(effort, task, orphans, reports)

    def _learn(self, task: TrialTask, record: TrialRecord) -> None:
        self._ports.log(sentence_of(record))
        self.books.end(task, record)
        self._reached.pop(task.trial, None)
        if task.arm in self._arms:
            self._arms[task.arm].finish(record)

    def _is_hopeless(self, pruner: BoundaryPruner, trial: int, boundary: Boundary) -> bool:
        history = [
            PrunerObservation(boundary_loss=_fitness(record.boundaries[boundary.stage]), final_loss=record.val_loss)
            for record in self.books.records
            if record.arm == "staged"
            and record.val_loss is not None
            and boundary.stage < len(record.boundaries) - 1
        ]
        verdict = pruner.judge(_fitness(boundary), history)
        self._ports.log(f"trial {trial}, stage {boundary.stage}: {verdict.sentence()}")
        return verdict.prune

    def _task_of(self, record: TrialRecord) -> TrialTask:
        """The task of a record whose own file is lost."""
        return TrialTask(
            trial=record.trial,
            arm=record.arm,
            label=record.label,
            seed=record.seed,
            optuna_number=record.optuna_number,
            params=record.params,
            schedule=record.schedule,
            budget_multiple=record.budget_multiple,
            nodes=self._ports.nodes_of(record.schedule, record.seed, record.budget_multiple),
        )

    def _restore_arms(self) -> None:
        for arm, source in self._arms.items():
            tasks = self.books.tasks_of(arm)
            records = [self.books.record(task.trial) for task in tasks]
            source.restore(tasks, [record for record in records if record is not None])


def _fitness(boundary: Boundary) -> float:
    return boundary.loss if boundary.averaged_loss is None else boundary.averaged_loss
