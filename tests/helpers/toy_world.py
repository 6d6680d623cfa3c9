"""A toy world for the search: real schedules, keys, controllers and Optuna studies; training is a formula.

The toy loss of a schedule is the sum of what each stage contributes, so it is known exactly, and stages that begin
alike have equal nodes, as in real training. Time is simulated: a slot is busy for as many seconds as tokens.
"""

from __future__ import annotations

import functools
import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna

from mbo_search.engine.control.controller import SearchController
from mbo_search.engine.control.dependencies import SearchConfig, SearchDependencies
from mbo_search.engine.control.stopping import StoppingCriteria
from mbo_search.engine.searcher.optuna_searcher import OptunaSearcher, SearchSpace, open_study
from mbo_search.engine.searcher.registry import searcher_maker
from mbo_search.engine.searcher.staged_space import SamplerMaker, StagedSpace
from mbo_search.engine.tasks import PathNode, TrialTask, read_tasks, write_task
from mbo_search.results.records.records import TrialRecord
from mbo_search.study.space.parameters import Suggest
from mbo_search.study.spec.keys import root_key, segment_keys
from mbo_search.study.spec.schedule import LrShape, Schedule, Stage
from mbo_search.study.spec.segments import BudgetSteps, cut, scaled_budget
from mbo_search.trial.outcome import Boundary, CurveRow, StepRow, TrialOutcome

BUDGET = BudgetSteps(num_segments=10, steps_per_segment=2, batch_tokens=8)
OPTIMA = {"adamw": 1e-3, "lion": 1e-4}
LINEAR = LrShape(kind="linear", hparams={"floor": 0.0})


def toy_maker(searcher: str) -> SamplerMaker:
    """The samplers of a searcher that does not look at the space."""
    return searcher_maker(searcher, StagedSpace(define=lambda suggest: None, num_stages=2))


class Killed(BaseException):
    """The driver dies here."""


@dataclass
class Deaths:
    """Counts writes; each is two places to die, before it and after it."""

    Killed = Killed
    die_at: int | None = None
    num_writes: int = 0

    def write(self, action: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._point()
        result = action(*args, **kwargs)
        self._point()
        return result

    def _point(self) -> None:
        if self.num_writes == self.die_at:
            raise Killed
        self.num_writes += 1

    def watch(self, study: optuna.Study) -> optuna.Study:
        """Let every write to a database be a place to die."""
        storage = study._storage
        for name in (
            "create_new_trial",
            "set_trial_intermediate_value",
            "set_trial_user_attr",
            "set_trial_state_values",
        ):
            setattr(storage, name, functools.partial(self.write, getattr(storage, name)))
        return study


def toy_stage(suggest: Suggest, index: int, share: float, shape: LrShape) -> Stage:
    optimizer = str(suggest.categorical(f"stage/{index}/optimizer", ["adamw", "lion"]))
    relative = suggest.number(f"stage/{index}/lr_relative", 0.125, 8.0, log=True, step=None)
    return Stage(
        name=f"s{index}",
        share=share,
        optimizer=optimizer,
        lr=OPTIMA[optimizer] * relative,
        lr_shape=shape,
        hand_over="carry" if index else None,
    )


def toy_staged(suggest: Suggest) -> Schedule:
    first = toy_stage(suggest, 0, 0.6, LrShape(kind="constant"))
    return Schedule(stages=(first, toy_stage(suggest, 1, 0.4, LINEAR)))


def toy_tuned(suggest: Suggest) -> Schedule:
    return Schedule(stages=(toy_stage(suggest, 0, 1.0, LINEAR),))


def finite_space(suggest: Suggest) -> Schedule:
    """Four schedules in all."""
    names = [str(suggest.categorical(f"stage/{index}/optimizer", ["adamw", "lion"])) for index in range(2)]
    first = Stage(name="a", share=0.6, optimizer=names[0], lr=1e-3)
    second = Stage(name="b", share=0.4, optimizer=names[1], lr=1e-3, lr_shape=LINEAR, hand_over="carry")
    return Schedule(stages=(first, second))


def toy_nodes(schedule: Schedule, seed: int, multiple: float = 1.0) -> tuple[PathNode, ...]:
    segments = cut(schedule, scaled_budget(BUDGET, multiple))
    keys = segment_keys(root_key(model={"x": multiple}, data_fingerprint="toy", seed=seed, numerics={}), segments)
    return tuple(
        PathNode(key=key, tokens=segment.last_step * BUDGET.batch_tokens)
        for key, segment in zip(keys, segments, strict=True)
        if segment.ends_stage
    )


def toy_losses(schedule: Schedule) -> list[float]:
    """Validation loss behind each stage: 4 nats, less what the stages gain."""
    loss, losses = 4.0, []
    for stage in schedule.stages:
        error = abs(math.log(stage.lr / OPTIMA[stage.optimizer]))
        loss -= stage.share * (1.0 if stage.optimizer == "adamw" else 0.8) * math.exp(-error)
        losses.append(loss)
    return losses


def toy_boundary(task: TrialTask, stage: int, shared: bool) -> Boundary:
    node = task.nodes[stage]
    return Boundary(
        stage=stage,
        step=node.tokens // BUDGET.batch_tokens,
        tokens=node.tokens,
        loss=toy_losses(task.schedule)[stage],
        accuracy=0.5,
        bits_per_byte=1.0,
        node=node.key,
        shared=shared,
    )


@dataclass
class ToyDisk:
    """Tasks in real files, records in memory."""

    folder: Path
    deaths: Deaths
    records: dict[int, TrialRecord] = field(default_factory=dict)

    def write_task(self, task: TrialTask) -> None:
        self.deaths.write(write_task, self.folder, task)

    def write_record(self, record: TrialRecord, curve: Sequence[CurveRow], steps: Sequence[StepRow] = ()) -> None:
        self.deaths.write(self.records.__setitem__, record.trial, record)


@dataclass
class ToyWorld:
    """A run directory, a stage store, and slots in simulated time."""

    folder: Path
    limits: StoppingCriteria = field(default_factory=lambda: StoppingCriteria(trials=12))
    control: float = 0.33
    baselines: int = 1
    slots: int = 1
    space: Callable[[Suggest], Schedule] = toy_staged
    size: int | None = None
    searcher: str = "tpe"
    sqlite: bool = False
    databases: dict[str, optuna.Study] = field(default_factory=dict)
    deaths: Deaths = field(default_factory=Deaths)
    extra: dict[str, object] = field(default_factory=dict)
    nodes: set[str] = field(default_factory=set)
    now: float = 1000.0
    disk: ToyDisk = field(init=False)
    log: list[str] = field(default_factory=list)
    executed: list[str] = field(default_factory=list)
    fate: Callable[[TrialTask], str] = field(default=lambda task: "complete")

    def __post_init__(self) -> None:
        self.disk = ToyDisk(self.folder, self.deaths)

    def database(self, name: str) -> optuna.Study:
        """A study that outlives the driver; in a file only where that is what is tested, for files are slow."""
        if name not in self.databases:
            fresh = open_study(self.folder / f"{name}.db", name) if self.sqlite else optuna.create_study()
            self.databases[name] = self.deaths.watch(fresh)
        return self.databases[name]

    def controller(self) -> SearchController:
        """A driver that takes over whatever the folder holds."""
        arms = {
            name: OptunaSearcher(name, space, seed=7, database=self.database(name))
            for name, space in (
                ("staged", SearchSpace(function=self.space, sampler=toy_maker(self.searcher), size=self.size)),
                ("tuned", SearchSpace(function=toy_tuned, sampler=toy_maker(self.searcher))),
            )
            if name == "staged" or self.control
        }
        baseline = Schedule(stages=(Stage(name="all", share=1.0, optimizer="adamw", lr=5e-4, lr_shape=LINEAR),))
        plan = SearchConfig(
            seed=7,
            limits=self.limits,
            shares={"staged": 1 - self.control, "tuned": self.control} if self.control else {"staged": 1.0},
            baselines={"adamw_linear": baseline} if self.baselines else {},
            slots=self.slots,
            **self.extra,
        )
        ports = SearchDependencies(
            recorder=self.disk,
            has_node=self.nodes.__contains__,
            nodes_of=toy_nodes,
            clock=lambda: self.now,
            log=self.log.append,
        )
        controller = SearchController(plan, arms, ports)
        tasks = read_tasks(self.folder)
        records = [self.disk.records[trial] for trial in sorted(self.disk.records)]
        controller.restore(tasks, records, next_trial=len(tasks), elapsed_seconds=0.0)
        return controller

    def execute(self, task: TrialTask) -> TrialOutcome:
        """Train a task by formula, from the deepest cached node on."""
        fate = self.fate(task)
        if fate == "diverged":
            return TrialOutcome(state="failed", reason="non_finite", executed_tokens=8, requested_tokens=8)
        if fate == "exception":
            return TrialOutcome(state="failed", reason="exception", message="boom")
        cached = max((i for i, node in enumerate(task.nodes) if node.key in self.nodes), default=-1)
        produced = [node.key for node in task.nodes[cached + 1 :]]
        self.nodes.update(produced)
        self.executed += produced
        return TrialOutcome(
            state="complete",
            boundaries=tuple(toy_boundary(task, i, i <= cached) for i in range(len(task.nodes))),
            produced=tuple(produced),
            requested_tokens=task.tokens,
            executed_tokens=task.tokens - (task.nodes[cached].tokens if cached >= 0 else 0),
            train_seconds=1.0,
        )

    def run(self, controller: SearchController) -> SearchController:
        """Run until the controller has nothing left, all slots filled at any time."""
        busy: list[tuple[float, int, TrialOutcome]] = []
        while True:
            while len(busy) < self.slots and (task := controller.ask()) is not None:
                controller.started(task.trial)
                outcome = self.execute(task)
                heapq.heappush(busy, (self.now + max(1, outcome.cost.executed_tokens), task.trial, outcome))
            if not busy:
                assert not controller.has_more or controller.is_stopping
                return controller
            self.now, trial, outcome = heapq.heappop(busy)
            for boundary in outcome.boundaries:
                controller.boundary(trial, boundary)
            controller.tell(trial, outcome)
