"""An arm of a study: one search space, one searcher, one Optuna study in a database of its own.

Proposals are made on a mirror of the study in memory, where a draw that is thrown away costs nothing; the database
sees only trials that are trained. Both are derived: they can be rebuilt from the tasks and records of the run
directory at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import optuna
from optuna.trial import TrialState, create_trial

from mbo_search.errors import Problem, RunDirectoryError, StudyError
from mbo_search.results.front import objective_values
from mbo_search.results.records import TrialRecord
from mbo_search.search.samplers import SAMPLERS, proposal_seed, startup_trials
from mbo_search.search.sqlite_file import opened_or_rebuilt
from mbo_search.search.suggest import Draw, FixedSuggest, OptunaSuggest, SpaceFunction, draw
from mbo_search.search.task import TrialTask
from mbo_search.search.tree.history import STOP_AFTER
from mbo_search.search.tree.planned import EXPECTED_GAIN
from mbo_search.study.specs import Objective

__all__ = ["ArmEffort", "ArmSpace", "OptunaArm", "SamplerMaker", "open_study", "quiet_study", "sampler_maker"]

_REGION_REASONS = frozenset({"non_finite", "loss_explosion", "out_of_memory"})
"""Reasons that lie in the schedule itself: the searcher is to learn that the region is bad."""


def open_study(database: Path, name: str, num_objectives: int = 1) -> optuna.Study:
    """Open or make the one Optuna study of a database; a damaged one is set aside and made again.

    Args:
        database: SQLite file.
        name: Name of a new study.
        num_objectives: Values of each trial of a new study, all to be minimized.

    Raises:
        RunDirectoryError: If the file is a link, locked by another program, or cannot be written.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it announces every study on stderr
    return opened_or_rebuilt(database, lambda: _open(database, name, num_objectives))


def _open(database: Path, name: str, num_objectives: int) -> optuna.Study:
    storage = optuna.storages.RDBStorage(
        f"sqlite:///{database}", engine_kwargs={"connect_args": {"timeout": 60}}, skip_compatibility_check=False
    )
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        load_if_exists=True,
        sampler=optuna.samplers.RandomSampler(seed=0),  # never asked: proposals come from the mirror
        directions=["minimize"] * num_objectives,
    )
    for trial in study.get_trials(deepcopy=False):
        int(trial.user_attrs.get("trial", 0))
        if trial.state == TrialState.COMPLETE and len(trial.values or ()) != num_objectives:
            raise ValueError(f"trial {trial.number} is complete without its values")
    return study


SamplerMaker = Callable[[int, float], optuna.samplers.BaseSampler]
"""(seed, share of the arm's effort that is spent) -> a fresh sampler."""


def sampler_maker(searcher: str, schedules: float | None = None) -> SamplerMaker:
    """Samplers that do not care what is spent.

    Args:
        searcher: Name in `SAMPLERS`.
        schedules: Whole schedules that the search may train; None: no limit.
    """
    startup = startup_trials(schedules)
    return lambda seed, spent: SAMPLERS[searcher](seed, startup)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmEffort:
    """What an arm may use; None: no limit.

    Attributes:
        schedules: Whole schedules.
        tokens: Charged tokens.
    """

    schedules: float | None = None
    tokens: float | None = None

    def spent(self, *, schedules: int, tokens: int) -> float:
        """Share that is spent of whichever limit is nearer, in [0, 1].

        >>> ArmEffort(schedules=10.0, tokens=1e6).spent(schedules=2, tokens=500_000)
        0.5
        """
        shares = [
            used / limit
            for used, limit in ((schedules, self.schedules), (tokens, self.tokens))
            if limit is not None
        ]
        return min(1.0, max(shares, default=0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSpace:
    """Where an arm searches.

    Attributes:
        function: The space.
        sampler: Makes the sampler of a proposal out of its seed and what is spent of the arm's effort, in [0, 1].
        initial: Schedules to begin with.
        size: Number of different schedules; None if it is not finite.
        effort: What the arm may use in all.
        objectives: What is minimized.
    """

    function: SpaceFunction
    sampler: SamplerMaker
    initial: Sequence[Draw] = ()
    size: int | None = None
    effort: ArmEffort = ArmEffort()
    objectives: tuple[Objective, ...] = ("loss",)


class OptunaArm:
    """Proposes schedules out of one space and learns from what became of them.

    Attributes:
        name: `staged` or `control`.
        size: Number of different schedules in its space; None if it is not finite.
    """

    def __init__(
        self,
        name: str,
        space: ArmSpace,
        *,
        seed: int,
        database: optuna.Study,
    ) -> None:
        """Make an arm.

        Args:
            name: `staged` or `control`.
            space: The space.
            seed: Seed of the study.
            database: The Optuna study that outlives the process.
        """
        self.name = name
        self.size = space.size
        self._space = space.function
        self._sampler = space.sampler
        self._effort = space.effort
        self._seed = seed
        self._initial = tuple(space.initial)
        self._database = _StudyBook(database, space.objectives)
        mirror = quiet_study(space.sampler(seed, 0.0), len(space.objectives))
        self._mirror = _StudyBook(mirror, space.objectives)
        self._begun: list[dict[str, float | int | str]] = []
        self._num_schedules = 0
        self._tokens: dict[int, int] = {}

    @property
    def next_number(self) -> int:
        """Number that the next trial will have in the Optuna study."""
        return self._database.num_trials

    def proposals(self, trial: int) -> Iterator[Draw]:
        """Draw schedules without end, best guess first; the same ones for equal knowledge and trial number.

        Args:
            trial: Number of the trial that is to be filled.
        """
        yield from (point for point in self._initial if point.params not in self._begun)
        spent = self._effort.spent(schedules=self._num_schedules, tokens=sum(self._tokens.values()))
        self._mirror.study.sampler = self._sampler(proposal_seed(self._seed, self.name, trial), spent)
        while True:
            yield self._mirror.draw(self._space)

    def random_proposals(self, trial: int) -> Iterator[Draw]:
        """Draw schedules at random without end.

        Args:
            trial: Number of the trial that is to be filled.
        """
        seed = proposal_seed(self._seed, f"{self.name}/random", trial)
        self._mirror.study.sampler = SAMPLERS["random"](seed, 0)
        while True:
            yield self._mirror.draw(self._space)

    def begin(self, task: TrialTask) -> None:
        """Note that a task is being trained.

        Args:
            task: A task that was made from one of this arm's proposals.
        """
        replayed = draw(self._space, FixedSuggest(task.params))
        self._begun.append(task.params)
        self._num_schedules += task.stop_after is None
        for book in (self._mirror, self._database):
            book.begin(task.trial, replace(replayed, stop_after=task.stop_after))

    def finish(self, record: TrialRecord) -> None:
        """Learn what became of a task; nothing happens for one that was told before.

        Args:
            record: Its record; one that was interrupted stays running.
        """
        self._tokens[record.trial] = record.executed_tokens + record.wasted_tokens
        for book in (self._mirror, self._database):
            book.finish(record)

    def restore(self, tasks: Sequence[TrialTask], records: Sequence[TrialRecord]) -> None:
        """Catch up with the run directory, whatever the database knows already.

        Args:
            tasks: This arm's tasks, by trial number.
            records: This arm's records.

        Raises:
            RunDirectoryError: If a task's parameters do not lie in the space.
        """
        for task in tasks:
            try:
                self.begin(task)
            except (LookupError, StudyError, TypeError, ValueError) as error:
                raise _foreign(task, error) from error
        for record in records:
            self.finish(record)
        self._database.fail_strangers()


def quiet_study(sampler: optuna.samplers.BaseSampler, num_objectives: int = 1) -> optuna.Study:
    """Make a study in memory that announces nothing.

    Args:
        sampler: Its sampler.
        num_objectives: Values of each trial, all to be minimized.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(sampler=sampler, directions=["minimize"] * num_objectives)


class _StudyBook:
    """An Optuna study whose trials carry the number of ours. It is read once; then this is its only writer."""

    def __init__(self, study: optuna.Study, objectives: Sequence[Objective]) -> None:
        self.study = study
        self._objectives = tuple(objectives)
        trials = study.get_trials(deepcopy=False)
        own = {int(trial.user_attrs["trial"]): trial for trial in trials if "trial" in trial.user_attrs}
        self._ids = {number: trial._trial_id for number, trial in own.items()}
        self._finished = {number for number, trial in own.items() if trial.state.is_finished()}
        self._reported = {number: frozenset(trial.intermediate_values) for number, trial in own.items()}
        self.num_trials = len(trials)

    def begin(self, trial: int, proposal: Draw) -> None:
        """Add a running trial in one transaction, so that no crash can leave half of one."""
        if trial in self._ids:
            return
        marks = {} if proposal.stop_after is None else {STOP_AFTER: proposal.stop_after}
        frozen = create_trial(
            state=TrialState.RUNNING,
            params=dict(proposal.params),
            distributions=dict(proposal.distributions),
            user_attrs={"trial": trial, **marks},
        )
        self.study.add_trial(frozen)
        self.num_trials += 1
        self._ids[trial] = self.study.get_trials(deepcopy=False)[-1]._trial_id

    def finish(self, record: TrialRecord) -> None:
        if record.state == "interrupted" or record.trial in self._finished:
            return
        running = optuna.Trial(self.study, self._ids[record.trial])
        if len(self._objectives) == 1:  # Optuna takes no intermediate values of several objectives
            self._report_boundaries(running, record)
        if record.reason is not None:
            running.set_user_attr("reason", record.reason)
        state = _told_state(record)
        values = objective_values(record, self._objectives) if state == TrialState.COMPLETE else None
        self.study.tell(running, values, state=state)
        self._finished.add(record.trial)

    def _report_boundaries(self, running: optuna.Trial, record: TrialRecord) -> None:
        reported = self._reported.get(record.trial, frozenset())
        for boundary in record.boundaries:
            if boundary.stage not in reported:
                running.report(boundary.loss, boundary.stage)

    def draw(self, space: SpaceFunction) -> Draw:
        """Draw by the study's sampler; the Optuna trial that this takes is failed, which samplers overlook."""
        trial = self.study.ask()
        self.num_trials += 1
        try:
            drawn = draw(space, OptunaSuggest(trial))
            notes = trial.user_attrs
            return replace(drawn, stop_after=notes.get(STOP_AFTER), expected_gain=notes.get(EXPECTED_GAIN))
        finally:
            self.study.tell(trial, state=TrialState.FAIL)

    def fail_strangers(self) -> None:
        """End unfinished trials that no task knows: nobody will ever tell them."""
        for trial in self.study.get_trials(deepcopy=False):
            if trial.state == TrialState.RUNNING and "trial" not in trial.user_attrs:
                self.study.tell(trial.number, state=TrialState.FAIL)


def _foreign(task: TrialTask, error: Exception) -> RunDirectoryError:
    rule = f"holds parameters that are not of this study's space: {str(error)[:200]}"
    where = f"trials/{task.trial:04d}.task.json"
    return RunDirectoryError([Problem(key="params", where=where, rule=rule, hint="remove the file, or restore it")])


def _told_state(record: TrialRecord) -> TrialState:
    """Samplers overlook failed trials and would come back to a region that diverges, so that is told as pruned."""
    if record.state == "complete":
        return TrialState.COMPLETE
    is_bad_region = record.state == "pruned" or record.reason in _REGION_REASONS
    return TrialState.PRUNED if is_bad_region else TrialState.FAIL
