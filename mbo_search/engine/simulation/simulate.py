"""Searches on a stage table in simulated time: the real controller, searchers and pruner; training is looked up.

Every stage run of a table takes the same simulated time. Whatever holds here for a searcher holds for it in a
study, because nothing but the training is replaced.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import optuna

from mbo_search.engine.control.controller import SearchController
from mbo_search.engine.control.dependencies import SearchConfig, SearchDependencies
from mbo_search.engine.control.pruner import BoundaryPruner
from mbo_search.engine.control.stopping import StoppingCriteria
from mbo_search.engine.searcher.optuna_searcher import OptunaSearcher, SearchEffort, SearchSpace, quiet_study
from mbo_search.engine.searcher.registry import searcher_maker
from mbo_search.engine.searcher.staged_space import StagedSpace
from mbo_search.engine.simulation.stage_table import OptionPath, StageTable, TableSpace
from mbo_search.engine.tasks import PathNode, TrialTask
from mbo_search.results.records.records import TrialRecord
from mbo_search.study.space.parameters import Suggest
from mbo_search.study.spec.base import Description
from mbo_search.study.spec.schedule import Schedule, Stage
from mbo_search.trial.cost import Cost
from mbo_search.trial.outcome import Boundary, CurveRow, StepRow, TrialOutcome

DIVERGED_NATS = 19.0
"""Losses of a table from here on stand for runs that diverged."""

SEGMENT_TOKENS = 1_000
"""Charged tokens of a stage run; any number would do."""

_MOST_TRIALS_PER_STAGE_RUN = 4
"""A searcher that does not know the cache may propose known schedules forever, and would never spend its budget."""


class CurveStep(Description):
    """Best result of a search after so many stage runs.

    Attributes:
        stage_runs: Stage runs executed.
        best_loss: Lowest final loss so far, in nats; None before the first.
    """

    stage_runs: int
    best_loss: float | None


class SimulatedSearch(Description):
    """Course of a search on a table.

    Attributes:
        table: Name of the table.
        searcher: Who proposed.
        seed: Seed of the searcher.
        slots: Trials at once.
        curve: The best loss after every stage run, from the first one to the budget; flat after the last one.
        trials: Trials, probes and duplicates included.
        hours: Simulated time, in durations of a stage run.
        regret: Best loss found less the table's lowest, in nats; None if no schedule was finished.
    """

    table: str
    searcher: str
    seed: int
    slots: int
    curve: tuple[CurveStep, ...]
    trials: int
    hours: float
    regret: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """Settings of a simulation.

    Attributes:
        searcher: Name of the searcher.
        budget_stage_runs: Stage runs to spend.
        seed: Seed of the searcher.
        slots: Trials at once.
        pruner: Judges at boundaries; None: no pruner.
        ends_at_best: Whether the search ends when it has found the table's best schedule; its curve continues flat.
    """

    searcher: str
    budget_stage_runs: int
    seed: int = 0
    slots: int = 1
    pruner: BoundaryPruner | None = None
    ends_at_best: bool = False


def simulate(table: StageTable, what: Simulation, space: SearchSpace | None = None) -> SimulatedSearch:
    """Search a table.

    Args:
        table: The table.
        what: Settings of the simulation.
        space: The space with its searcher; None: all sequences of the table's strategies. The stages of its
            schedules are named by their strategies' positions in the table, and their shares are whole stage runs.
    """
    return simulate_in(table, what, space or table_space(table, what, TableSpace(table)))[0]


def simulate_in(
    table: StageTable, what: Simulation, space: SearchSpace
) -> tuple[SimulatedSearch, tuple[TrialRecord, ...]]:
    """Search a space over a table as `simulate` does; the course, and the records of its trials."""
    world = _World(table=table)
    controller = _controller(world, what, space)
    _run(world, controller, what)
    best = world.best[: what.budget_stage_runs]
    best += [best[-1] if best else None] * (what.budget_stage_runs - len(best))
    course = SimulatedSearch(
        table=table.name,
        searcher=what.searcher,
        seed=what.seed,
        slots=what.slots,
        curve=tuple(CurveStep(stage_runs=index + 1, best_loss=loss) for index, loss in enumerate(best)),
        trials=len(controller.table.records),
        hours=world.now,
        regret=None if best[-1] is None else best[-1] - table.best_loss,
    )
    return course, tuple(controller.table.records)


@dataclass(kw_only=True)
class _World:
    """Simulated time, the stage store, and memory that forgets nothing because nothing dies."""

    table: StageTable
    now: float = 0.0
    nodes: set[str] = field(default_factory=set)
    best: list[float | None] = field(default_factory=list)

    def write_task(self, task: TrialTask) -> None:
        """Keep nothing."""

    def write_record(self, record: TrialRecord, curve: Sequence[CurveRow], steps: Sequence[StepRow] = ()) -> None:
        """Keep nothing."""

    def nodes_of(self, schedule: Schedule, seed: int, multiple: float = 1.0) -> tuple[PathNode, ...]:
        """A node after every stage."""
        path = _path(schedule, self.table.stages)
        return tuple(
            PathNode(key=",".join(map(str, path[:length])), tokens=length * SEGMENT_TOKENS)
            for length in range(1, len(path) + 1)
        )

    def execute(self, task: TrialTask) -> TrialOutcome:
        """Look a task up; what is cached costs nothing, and a stage run that diverges is never cached."""
        boundaries: list[Boundary] = []
        produced: list[str] = []
        path, ends = _path(task.schedule, self.table.stages), _ends(task.schedule, self.table.stages)
        for length, node in enumerate(task.nodes, 1):
            loss = self.table.losses[path[:length]]
            if loss >= DIVERGED_NATS:
                return self._outcome(task, boundaries, produced, reason="non_finite")
            is_new = node.key not in self.nodes
            if is_new:
                produced.append(node.key)
            if length in ends:
                boundaries.append(_boundary(ends.index(length), node, loss, shared=not is_new))
        return self._outcome(task, boundaries, produced, reason=None if task.stop_after is None else "probe")

    def _outcome(
        self, task: TrialTask, boundaries: list[Boundary], produced: list[str], *, reason: str | None
    ) -> TrialOutcome:
        states = {None: "complete", "probe": "pruned", "non_finite": "failed", "pruner": "pruned"}
        return TrialOutcome.model_validate(
            {
                "state": states[reason],
                "reason": reason,
                "boundaries": boundaries,
                "produced": produced,
                "requested_tokens": task.tokens,
                "executed_tokens": len(produced) * SEGMENT_TOKENS,
                "wasted_tokens": SEGMENT_TOKENS if reason == "non_finite" else 0,
            }
        )

    @property
    def has_best(self) -> bool:
        """True if nothing better can be found."""
        last = self.best[-1] if self.best else None
        return last is not None and last <= self.table.best_loss

    def pay(self, outcome: TrialOutcome) -> None:
        """Keep the nodes of a trial that has ended, and write the curve on."""
        last = self.best[-1] if self.best else None
        self.nodes.update(outcome.produced)
        self.best += [last] * _stage_runs(outcome)
        if outcome.state == "complete" and outcome.produced:
            loss = outcome.boundaries[-1].loss
            self.best[-1] = loss if last is None else min(last, loss)


def _run(world: _World, controller: SearchController, what: Simulation) -> None:
    busy: list[tuple[float, int, TrialOutcome]] = []
    while True:
        while len(busy) < what.slots and (task := controller.ask()) is not None:
            controller.started(task.trial, world.now)
            outcome = _judged(controller, task, world.execute(task))
            heapq.heappush(busy, (world.now + _stage_runs(outcome), task.trial, outcome))
        if not busy:
            return
        world.now, trial, outcome = heapq.heappop(busy)
        world.pay(outcome)
        controller.tell(trial, outcome)
        if what.ends_at_best and world.has_best:
            return


def _stage_runs(outcome: TrialOutcome) -> int:
    return outcome.cost.tokens // SEGMENT_TOKENS


def _judged(controller: SearchController, task: TrialTask, outcome: TrialOutcome) -> TrialOutcome:
    """End a trial at the boundary at which the pruner gives it up."""
    for index, boundary in enumerate(outcome.boundaries[:-1]):
        if controller.boundary(task.trial, boundary):
            runs = boundary.tokens // SEGMENT_TOKENS
            kept = tuple(node.key for node in task.nodes[:runs] if node.key in outcome.produced)
            return outcome.model_copy(
                update={
                    "state": "pruned",
                    "reason": "pruner",
                    "boundaries": outcome.boundaries[: index + 1],
                    "produced": kept,
                    "requested_tokens": boundary.tokens,
                    "cost": Cost(executed_tokens=len(kept) * SEGMENT_TOKENS),
                }
            )
    return outcome


def table_space(table: StageTable, what: Simulation, space: TableSpace) -> SearchSpace:
    """The space over a table, which need not hold all of it, with its searcher."""

    def function(suggest: Suggest) -> Schedule:
        return _schedule(table, space(suggest))

    staged = StagedSpace(
        define=space, num_stages=table.stages, schedules=what.budget_stage_runs / table.stages, seed=what.seed
    )
    return SearchSpace(
        function=function,
        sampler=searcher_maker(what.searcher, staged),
        size=space.size,
        effort=SearchEffort(tokens=float(what.budget_stage_runs * SEGMENT_TOKENS)),
    )


def _controller(world: _World, what: Simulation, space: SearchSpace) -> SearchController:
    tokens = what.budget_stage_runs * SEGMENT_TOKENS
    searcher = OptunaSearcher(
        "staged", space, seed=what.seed, database=quiet_study(optuna.samplers.RandomSampler(seed=0))
    )
    dependencies = SearchDependencies(
        recorder=world,
        has_node=world.nodes.__contains__,
        nodes_of=world.nodes_of,
        clock=lambda: world.now,
        log=lambda line: None,
    )
    config = SearchConfig(
        seed=what.seed,
        limits=StoppingCriteria(tokens=tokens, trials=_MOST_TRIALS_PER_STAGE_RUN * what.budget_stage_runs),
        shares={"staged": 1.0},
        baselines={},
        pruner=what.pruner,
        slots=what.slots,
    )
    return SearchController(config, {"staged": searcher}, dependencies)


def _schedule(table: StageTable, path: OptionPath) -> Schedule:
    return Schedule(
        stages=tuple(
            Stage(
                name=str(option),
                share=1 / table.stages,
                optimizer=str(table.options[option]["optimizer"]),
                lr=float(table.options[option]["lr"]),
            )
            for option in path
        )
    )


def _path(schedule: Schedule, num_runs: int) -> OptionPath:
    """The strategy of each stage run; a stage may take several of them."""
    return tuple(int(stage.name) for stage in schedule.stages for _ in range(round(stage.share * num_runs)))


def _ends(schedule: Schedule, num_runs: int) -> Sequence[int]:
    """Stage runs up to the end of each stage."""
    return tuple(itertools.accumulate(round(stage.share * num_runs) for stage in schedule.stages))


def _boundary(stage: int, node: PathNode, loss: float, *, shared: bool) -> Boundary:
    return Boundary(
        stage=stage,
        step=node.tokens,
        tokens=node.tokens,
        loss=loss,
        accuracy=0.0,
        bits_per_byte=0.0,
        node=node.key,
        shared=shared,
    )
