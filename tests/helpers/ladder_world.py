"""A whole study in no time: its own ladder, arms, controller and confirmation; training is a formula with noise.

A schedule ends with a loss that a test makes up, an effect of the seed that all schedules share, and noise of its
own; schedules that train alike have the same noise. So the truth is known, and everything else is real.
"""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from mbo_search.engine.control.confirm import Confirmation
from mbo_search.engine.control.controller import SearchController
from mbo_search.engine.control.dependencies import SearchConfig, SearchDependencies
from mbo_search.engine.control.stopping import stopping_criteria
from mbo_search.engine.searcher.optuna_searcher import OptunaSearcher, quiet_study
from mbo_search.engine.searcher.samplers import random_sampler
from mbo_search.engine.searcher.searches import TAKES_OVER, search_shares, space_of_search
from mbo_search.engine.tasks import PathNode, TrialTask
from mbo_search.results.evidence.ladder import ladder_context
from mbo_search.results.evidence.ranking_values import Ranking
from mbo_search.results.ranking.rank import RankingContext, count_totals, rank
from mbo_search.results.records.records import TrialRecord
from mbo_search.study.baselines import baseline_schedule
from mbo_search.study.space.ladder import question_of
from mbo_search.study.space.space import staged_space
from mbo_search.study.spec.keys import root_key, segment_keys
from mbo_search.study.spec.schedule import Schedule
from mbo_search.study.spec.segments import cut
from mbo_search.study.study import Study
from mbo_search.trial.outcome import Boundary, CurveRow, StepRow, TrialOutcome

SHARED_SD = 0.03
"""Spread over seeds that all schedules have in common, in nats; pairing removes it."""


PLANTED_STUDY = """
study: planted
data: {source: docs}
model: {layers: 1, width: 32, heads: 2, context: 32}
budget: {tokens: 12800, grid: 0.1}
train: {batch_tokens: 64}
stage_defaults: {optimizer: [adamw, lion], lr: {relative: {low: 0.25, high: 4.0}}, weight_decay: [0.0, 0.1]}
stages:
  - {name: trunk, share: [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], lr_shape: constant, warmup: 0.02}
  - {name: cool, share: rest, lr_shape: linear, hand_over: [carry, reset]}
search: {trials: 80}
baselines: [adamw_cosine]
confirm: {seeds: 12, equivalent_tokens: false}
"""
"""A study of two stages in which everything is free that a ladder knows."""


@dataclass
class LadderWorld:
    """A study whose losses follow a formula."""

    study: Study
    loss: Callable[[Schedule], float]
    noise_sd: float = 0.0
    slots: int = 1
    nodes: set[str] = field(default_factory=set)
    now: float = 0.0

    def write_task(self, task: TrialTask) -> None:
        """Nothing dies here, so nothing is kept."""

    def write_record(self, record: TrialRecord, curve: Sequence[CurveRow], steps: Sequence[StepRow] = ()) -> None:
        """The controller's books are enough."""

    def controller(self) -> SearchController:
        study, space = self.study, staged_space(self.study)
        confirm = study.confirm and Confirmation(
            spec=study.confirm,
            search_seed=study.seed,
            budget=space.budget,
            reference_lrs=space.reference_lrs,
            question=question_of(study),
        )
        plan = SearchConfig(
            seed=study.seed,
            limits=stopping_criteria(study.search),
            shares=search_shares(study),
            takes_over=TAKES_OVER,
            baselines={name: baseline_schedule(study, name) for name in study.baselines},
            confirm=confirm,
            slots=self.slots,
        )
        arms = {
            arm: OptunaSearcher(
                arm,
                space_of_search(study, arm, share),
                seed=study.seed,
                database=quiet_study(random_sampler(0)),
            )
            for arm, share in search_shares(study).items()
        }
        ports = SearchDependencies(
            recorder=self,
            has_node=self.nodes.__contains__,
            nodes_of=self.nodes_of,
            clock=lambda: self.now,
            log=lambda line: None,
        )
        controller = SearchController(plan, arms, ports)
        controller.restore([], [], next_trial=0, elapsed_seconds=0.0)
        return controller

    def nodes_of(self, schedule: Schedule, seed: int, multiple: float = 1.0) -> tuple[PathNode, ...]:
        """A node behind every stage."""
        segments = cut(schedule, staged_space(self.study).budget)
        root = root_key(model={"x": multiple}, data_fingerprint="formula", seed=seed, numerics={})
        return tuple(
            PathNode(key=key, tokens=segment.last_step * segment.batch_tokens)
            for key, segment in zip(segment_keys(root, segments), segments, strict=True)
            if segment.ends_stage
        )

    def execute(self, task: TrialTask) -> TrialOutcome:
        """Train a task by formula; what is cached costs nothing."""
        cached = max((i for i, node in enumerate(task.nodes) if node.key in self.nodes), default=-1)
        produced = [node.key for node in task.nodes[cached + 1 :]]
        self.nodes.update(produced)
        probe = task.stop_after is not None
        return TrialOutcome(
            state="pruned" if probe else "complete",
            reason="probe" if probe else None,
            boundaries=tuple(self._boundary(task, i, is_shared=i <= cached) for i in range(len(task.nodes))),
            produced=tuple(produced),
            requested_tokens=task.tokens,
            executed_tokens=task.tokens - (task.nodes[cached].tokens if cached >= 0 else 0),
            train_seconds=1.0,
        )

    def run(self, controller: SearchController) -> SearchController:
        """One trial after another, to the end of the confirmation."""
        while (task := controller.ask()) is not None:
            self.now += 1.0
            controller.started(task.trial)
            outcome = self.execute(task)
            for boundary in outcome.boundaries:
                controller.boundary(task.trial, boundary)
            controller.tell(task.trial, outcome)
        return controller

    def rank(self, controller: SearchController) -> Ranking:
        """As the search itself would rank what it has found."""
        books, shares = controller.table, controller.config.shares
        lower = tuple(arm for arm in shares if arm != "staged")
        charges: dict[str, int] = {arm: books.charged_tokens((arm,)) for arm in ("baseline", *shares)}
        info = ladder_context(
            self.study,
            staged_space(self.study).budget.total_tokens,
            {**charges, "opponents": books.charged_tokens(lower)},
        )
        return rank(
            books.records,
            self.study.study,
            count_totals(books.records, {}),
            scale="at no scale",
            confirm=self.study.confirm,
            context=RankingContext(ladder=info),
        )

    def _boundary(self, task: TrialTask, stage: int, *, is_shared: bool) -> Boundary:
        node = task.nodes[stage]
        shared = np.random.default_rng(task.seed).normal(0, SHARED_SD)
        own = int.from_bytes(hashlib.sha256(node.key.encode()).digest()[:8], "big")
        noise = np.random.default_rng(own).normal(0, self.noise_sd) if self.noise_sd else 0.0
        unfinished = 0.5 * (len(task.schedule.stages) - 1 - stage)
        return Boundary(
            stage=stage,
            step=node.tokens,
            tokens=node.tokens,
            loss=self.loss(task.schedule) + shared + noise + unfinished,
            accuracy=0.5,
            bits_per_byte=1.0,
            node=node.key,
            shared=is_shared,
        )


def relative_rates(schedule: Schedule, study: Study) -> list[float]:
    """Learning rate of every step over its optimizer's reference."""
    space = staged_space(study)
    return [
        segment.lr(step) / space.reference_lrs[segment.stage.optimizer]
        for segment in cut(schedule, space.budget)
        for step in range(segment.first_step, segment.last_step)
    ]


def line_loss(schedule: Schedule, study: Study) -> float:
    """Only the learning rate matters: 3.3 nats where it is the reference, then falls to zero over the last 60 %."""
    rates = relative_rates(schedule, study)
    best = [min(1.0, (1 - step / len(rates)) / 0.6) for step in range(len(rates))]
    return 3.3 + 0.3 * statistics.fmean((rate - wanted) ** 2 for rate, wanted in zip(rates, best, strict=True))
