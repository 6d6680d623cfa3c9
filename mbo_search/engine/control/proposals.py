"""Drafts of the tasks that could come next: baselines, proposals of the arms, confirm runs; nothing is opened."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from mbo_search.engine.control.confirm import ConfirmRun
from mbo_search.engine.control.dependencies import SearchConfig, SearchDependencies, Searcher
from mbo_search.engine.control.trial_table import TrialTable
from mbo_search.engine.searcher.suggest import Draw
from mbo_search.engine.tasks import TrialTask, first_missing, up_to_stage
from mbo_search.errors import StudyError
from mbo_search.results.records.fitness import fitness, order_key
from mbo_search.results.records.records import Arm, TrialRecord
from mbo_search.results.records.schedule_groups import schedule_identity
from mbo_search.study.space.effort_warnings import TRIALS_PER_OPPONENT
from mbo_search.study.spec.schedule import Schedule

_CONFIRMING: tuple[Arm, ...] = ("confirm", "tokens", "attribution")

_Status = Literal["new", "told", "known", "held"]

_TAKEN: tuple[_Status, ...] = ("new", "told")

MOST_ASKS = 20
"""Draws for one trial before a known duplicate is accepted, or a schedule that is held back is given up."""


class ProposalSource:
    """Makes tasks out of what is to be trained, and knows which of them may run now."""

    def __init__(
        self,
        config: SearchConfig,
        searchers: Mapping[Arm, Searcher],
        dependencies: SearchDependencies,
        table: TrialTable,
    ) -> None:
        self._config = config
        self._searchers = searchers
        self._dependencies = dependencies
        self._table = table
        self._confirm: Sequence[TrialTask] | None = None
        self._is_blocked = False

    def unblock(self) -> None:
        """Note that something has changed: what was held back may be possible now."""
        self._is_blocked = False

    def restore(self) -> None:
        """Let every searcher catch up with the table."""
        for arm, searcher in self._searchers.items():
            tasks = self._table.tasks_of(arm)
            records = [self._table.record(task.trial) for task in tasks]
            searcher.restore(tasks, [record for record in records if record is not None])

    def begun(self, task: TrialTask) -> None:
        """Let the searcher that proposed a task know that it is open."""
        if task.arm in self._searchers:
            self._searchers[task.arm].begin(task)

    def ended(self, record: TrialRecord) -> None:
        """Let the searcher that proposed a trial learn how it ended."""
        if record.arm in self._searchers:
            self._searchers[record.arm].finish(record)

    def baseline(self, trial: int) -> TrialTask | None:
        """The next baseline that has not begun, or None."""
        begun = {task.label for task in self._table.tasks_of("baseline")}
        label = next((label for label in self._config.baselines if label not in begun), None)
        if label is None:
            return None
        return self._task(trial, "baseline", self._config.baselines[label], seed=self._config.seed, label=label)

    def arms_by_need(self) -> Sequence[Arm]:
        """The arms that have schedules left, those first that have used the least of their shares of tokens.

        The two sides of the question come first: whichever has been charged less than its share. Each side, and
        within the opponents' side each search, is charged for what its schedules would have cost if it were alone.
        """
        own: tuple[Arm, ...] = ("staged",)
        closing = self._closing_arm()
        if closing is not None and closing in self._searchers and not self._is_exhausted(closing):
            return [closing]
        sides = (own, tuple(arm for arm in self._config.shares if arm != "staged"))
        in_order = sorted((side for side in sides if side), key=self._charged)
        order = (arm for side in in_order for arm in sorted(side, key=lambda arm: self._charged((arm,))))
        return [arm for arm in order if arm in self._searchers and not self._is_exhausted(arm)]

    def _charged(self, arms: Sequence[Arm]) -> float:
        """Tokens that some arms are charged with, over their share."""
        share = sum(self._config.shares.get(arm, 0.0) for arm in arms)
        return self._table.charged_tokens(arms) / share if share > 0 else math.inf

    def proposal(self, trial: int) -> TrialTask | None:
        """The proposal of the neediest arm that has one; None until `unblock`, because drawing takes time.

        Raises:
            StudyError: If nothing can be trained, and nothing is open that could change that.
        """
        if self._is_blocked:
            return None
        drafts = (self._proposal_of(arm, trial) for arm in self.arms_by_need())
        draft = next((draft for draft in drafts if draft is not None), None)
        self._is_blocked = draft is None
        if draft is None and not self._table.open_trials:
            raise StudyError("no schedule of the space can be trained; check the warm-ups against the shares")
        return draft

    def _proposal_of(self, arm: Arm, trial: int) -> TrialTask | None:
        """The arm's first proposal that is new and that no other trial is training.

        What it begins with is taken even if it is known, so that the arm learns of it. If all proposals are known,
        the first of them is returned: it is to be told what is known. If some are held back, random ones are tried;
        if that does not help the arm waits, because training the same nodes a second time would be no faster.
        """
        searcher = self._searchers[arm]
        first = itertools.chain(self._taken_over(arm), searcher.proposals(trial))
        for draws in (first, searcher.random_proposals(trial)):
            drafts = list(self._until_new(arm, trial, itertools.islice(draws, MOST_ASKS)))
            if drafts and drafts[-1][1] in _TAKEN:
                return drafts[-1][0]
            if drafts and all(status == "known" for _, status in drafts):
                return drafts[0][0]
        return None

    def confirm(self, trial: int) -> Sequence[TrialTask]:
        """Confirm runs that have not begun, in order; to be called only when the search proper has ended."""
        if self._config.confirm is None:
            return []
        if self._confirm is None:
            runs = self._config.confirm.runs(self._table.records)
            self._confirm = [self._confirm_task(trial, run) for run in runs]
        begun = {_identity(task) for arm in _CONFIRMING for task in self._table.tasks_of(arm)}
        return [task.model_copy(update={"trial": trial}) for task in self._confirm if _identity(task) not in begun]

    def is_held(self, task: TrialTask) -> bool:
        """True if an open trial will produce the first node that a task lacks."""
        missing = first_missing(task.nodes, self._dependencies.has_node)
        return missing is not None and self._table.is_coming(missing)

    def _taken_over(self, arm: Arm) -> Iterator[Draw]:
        """With every other trial an opponent continues from the best that is known.

        By turns it continues from the best that it and those below it have found, and tries what the best of the
        rungs above, the question's own among them, would be without their freedoms: a gain that is left then is not
        owed to a learning rate that only they came across. At the end it tries the latter.
        """
        below = self._config.takes_over.get(arm)
        turn = len(self._table.tasks_of(arm))
        if below is None or (turn % 2 and not self._is_closing):
            return
        above = tuple(other for other in self._config.shares if other not in below)
        for arms in (above, below) if self._is_closing or turn % 4 == 2 else (below, above):
            own = [record for record in self._table.records if record.arm in arms]
            found = [record for record in own if fitness(record, self._config.ranked_by) is not None]
            if found:
                best = min(found, key=lambda record: order_key(record, self._config.ranked_by))
                yield from self._searchers[arm].taken_over(best.schedule)

    @property
    def _is_closing(self) -> bool:
        """True if only the trials are left in which each opponent may try the best of the rungs above."""
        return self._closing_arm() is not None

    def _closing_arm(self) -> Arm | None:
        """The opponent whose turn it is at the end: the last trials are theirs, one each, lowest rung first."""
        limit = self._config.limits.trials
        lower = [arm for arm in self._config.shares if arm in self._config.takes_over]
        left = math.inf if limit is None else limit - self._table.num_search_trials()
        is_long = limit is not None and limit >= TRIALS_PER_OPPONENT * len(lower)
        return lower[len(lower) - int(left)] if is_long and 0 < left <= len(lower) else None

    def _is_exhausted(self, arm: Arm) -> bool:
        size = self._searchers[arm].size
        if size is None:
            return False
        return len({tuple(sorted(task.params.items())) for task in self._table.tasks_of(arm)}) >= size

    def _until_new(self, arm: Arm, trial: int, draws: Iterable[Draw]) -> Iterator[tuple[TrialTask, _Status]]:
        """Tasks of proposals with their status, up to and including the first one to be taken."""
        for draw in draws:
            task = self._proposed_task(arm, trial, draw)
            if task is None:
                continue
            status = self._status(task, draw)
            yield task, status
            if status in _TAKEN:
                return

    def _status(self, task: TrialTask, draw: Draw) -> _Status:
        if self._table.known(task.end) is not None:
            return "told" if draw.reuses_result else "known"
        return "held" if self.is_held(task) else "new"

    def _proposed_task(self, arm: Arm, trial: int, draw: Draw) -> TrialTask | None:
        try:
            task = self._task(trial, arm, draw.schedule, seed=self._config.seed)
        except StudyError:
            return None  # shares and warm-ups may be drawn that do not fit together
        proposed = {"optuna_number": self._searchers[arm].next_number, "params": draw.params}
        if draw.expected_gain is not None:
            proposed["expected_gain"] = draw.expected_gain
        if draw.stop_after is not None:
            proposed["stop_after"] = draw.stop_after
            proposed["nodes"] = up_to_stage(task.nodes, task.schedule, draw.stop_after)
        return task.model_copy(update=proposed)

    def _confirm_task(self, trial: int, run: ConfirmRun) -> TrialTask:
        return TrialTask(
            trial=trial,
            arm=run.arm,
            label=run.label,
            seed=run.seed,
            schedule=run.schedule,
            budget_multiple=run.budget_multiple,
            nodes=self._dependencies.nodes_of(run.schedule, run.seed, run.budget_multiple),
        )

    def _task(self, trial: int, arm: Arm, schedule: Schedule, *, seed: int, label: str = "") -> TrialTask:
        nodes = self._dependencies.nodes_of(schedule, seed, 1.0)
        return TrialTask(trial=trial, arm=arm, label=label, seed=seed, schedule=schedule, nodes=nodes)


def _identity(task: TrialTask) -> tuple[Arm, str, int, float]:
    """Purpose of a confirm run, and what it trains."""
    return task.arm, schedule_identity(task.schedule), task.seed, task.budget_multiple
