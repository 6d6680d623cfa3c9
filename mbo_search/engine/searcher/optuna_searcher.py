"""Searcher of one search space, with an Optuna study in a database of its own.

Proposals are drawn from a mirror of the study in memory, where a discarded draw costs nothing; the database sees
only trials that are trained. Both are derived: they can be rebuilt from the tasks and records of the run directory
at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import optuna
from optuna.trial import TrialState

from mbo_search.engine.searcher.empty_storage import write_tables
from mbo_search.engine.searcher.optuna_study import OptunaStudyAdapter
from mbo_search.engine.searcher.samplers import proposal_seed, random_sampler
from mbo_search.engine.searcher.sqlite_file import TRY_SECONDS, open_or_rebuild
from mbo_search.engine.searcher.staged_space import SamplerMaker
from mbo_search.engine.searcher.suggest import Draw, FixedSuggest, SpaceFunction, draw
from mbo_search.engine.tasks import TrialTask
from mbo_search.engine.tree.history import TrainedStages
from mbo_search.errors import Problem, RunDirectoryError, StudyError
from mbo_search.results.records.records import TrialRecord
from mbo_search.study.spec.schedule import Schedule
from mbo_search.study.spec.sections.searching import Objective


def open_study(database: Path, name: str, num_objectives: int = 1) -> optuna.Study:
    """Open or create the one Optuna study of a database; a damaged one is set aside and replaced.

    Raises:
        RunDirectoryError: If the file is a link, locked by another program, or cannot be written.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it announces every study on stderr
    return open_or_rebuild(database, lambda: _open(database, name, num_objectives))


def _open(database: Path, name: str, num_objectives: int) -> optuna.Study:
    is_new = not database.exists() or database.stat().st_size == 0
    if is_new:
        write_tables(database, TRY_SECONDS)
    storage = optuna.storages.RDBStorage(
        f"sqlite:///{database}",
        engine_kwargs={"connect_args": {"timeout": TRY_SECONDS}},
        skip_compatibility_check=is_new,
        skip_table_creation=is_new,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchEffort:
    """Limits of a search; None: no limit.

    Attributes:
        schedules: Whole schedules.
        tokens: Charged tokens.
    """

    schedules: float | None = None
    tokens: float | None = None

    def spent(self, *, schedules: int, tokens: int) -> float:
        """Spent share of whichever limit is nearer, in [0, 1].

        >>> SearchEffort(schedules=10.0, tokens=1e6).spent(schedules=2, tokens=500_000)
        0.5
        """
        shares = [
            used / limit
            for used, limit in ((schedules, self.schedules), (tokens, self.tokens))
            if limit is not None
        ]
        return min(1.0, max(shares, default=0.0))


def _nothing_near(schedule: Schedule) -> Sequence[Draw]:
    """Offer nothing."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSpace:
    """Space of a search, with all that its searcher needs.

    Attributes:
        function: The space.
        sampler: Makes the sampler of a proposal from its seed and the spent share of the effort, in [0, 1].
        initial: Schedules to start with.
        size: Number of different schedules; None if it is not finite.
        effort: Limits of the search.
        objectives: Objectives to minimize.
        nearest: Points near a schedule that was found elsewhere, the nearest first.
        trained_stages: Tells which stages of the space a point trains; None: always all.
    """

    function: SpaceFunction
    sampler: SamplerMaker
    initial: Sequence[Draw] = ()
    size: int | None = None
    effort: SearchEffort = SearchEffort()
    objectives: tuple[Objective, ...] = ("loss",)
    nearest: Callable[[Schedule], Sequence[Draw]] = _nothing_near
    trained_stages: TrainedStages | None = None


class OptunaSearcher:
    """Proposer of schedules from one space, which learns from their results.

    Attributes:
        name: Such as `staged` or `tuned`.
        size: Number of different schedules in its space; None if it is not finite.
    """

    def __init__(
        self,
        name: str,
        space: SearchSpace,
        *,
        seed: int,
        database: optuna.Study,
    ) -> None:
        """Make a searcher."""
        self.name = name
        self.size = space.size
        self._space = space.function
        self._sampler = space.sampler
        self._effort = space.effort
        self._seed = seed
        self._initial = tuple(space.initial)
        self._nearest = space.nearest
        self._database = OptunaStudyAdapter(
            database, space.objectives, where=f"database of the {name} search", trained_stages=space.trained_stages
        )
        mirror = quiet_study(space.sampler(seed, 0.0), len(space.objectives))
        self._mirror = OptunaStudyAdapter(
            mirror, space.objectives, where="memory", trained_stages=space.trained_stages
        )
        self._begun: list[dict[str, float | int | str]] = []
        self._num_schedules = 0
        self._tokens: dict[int, int] = {}

    @property
    def next_number(self) -> int:
        """Number that the next trial will have in the Optuna study."""
        return self._database.num_trials

    def proposals(self, trial: int) -> Iterator[Draw]:
        """Draw endless schedules, best guess first; the same ones for equal knowledge and trial number."""
        yield from (point for point in self._initial if point.params not in self._begun)
        spent = self._effort.spent(schedules=self._num_schedules, tokens=sum(self._tokens.values()))
        self._mirror.study.sampler = self._sampler(proposal_seed(self._seed, self.name, trial), spent)
        while True:
            yield self._mirror.draw(self._space)

    def random_proposals(self, trial: int) -> Iterator[Draw]:
        """Draw endless random schedules."""
        seed = proposal_seed(self._seed, f"{self.name}/random", trial)
        self._mirror.study.sampler = random_sampler(seed)
        while True:
            yield self._mirror.draw(self._space)

    def taken_over(self, schedule: Schedule) -> Iterator[Draw]:
        """Draw the points nearest to a schedule found elsewhere that have not begun here."""
        yield from (point for point in self._nearest(schedule) if point.params not in self._begun)

    def begin(self, task: TrialTask) -> None:
        """Note that a task is being trained."""
        replayed = draw(self._space, FixedSuggest(task.params))
        self._begun.append(task.params)
        self._num_schedules += task.stop_after is None
        for study in (self._mirror, self._database):
            study.begin(task.trial, replace(replayed, stop_after=task.stop_after))

    def finish(self, record: TrialRecord) -> None:
        """Learn the result of a task, unless it is known."""
        self._tokens[record.trial] = record.cost.tokens
        for study in (self._mirror, self._database):
            study.finish(record)

    def restore(self, tasks: Sequence[TrialTask], records: Sequence[TrialRecord]) -> None:
        """Catch up with the run directory, whatever the database already knows.

        Raises:
            RunDirectoryError: If a task's parameters do not lie in the space.
        """
        for task in tasks:
            try:
                self.begin(task)
            except (LookupError, StudyError, TypeError, ValueError) as error:
                raise _foreign_task(task, error) from error
        for record in records:
            self.finish(record)
        self._database.fail_unknown_trials()
        self._database.warn_of_missing_trials()


def quiet_study(sampler: optuna.samplers.BaseSampler, num_objectives: int = 1) -> optuna.Study:
    """Create a study in memory that logs nothing."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(sampler=sampler, directions=["minimize"] * num_objectives)


def _foreign_task(task: TrialTask, error: Exception) -> RunDirectoryError:
    rule = f"holds parameters that are not of this study's space: {str(error)[:200]}"
    where = f"trials/{task.trial:04d}.task.json"
    return RunDirectoryError([Problem(key="params", where=where, rule=rule, hint="remove the file, or restore it")])
