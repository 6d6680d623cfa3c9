"""Confirm runs: what is trained on fresh seeds once the search has ended, all of it paired by seed, and its cost.

A winner was picked because it looked best on the search seed, so its value there flatters it. On fresh seeds all
contenders stand on equal ground. The search seed is never used again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mbo_search.results.evidence.champions import Champions, champions, contenders
from mbo_search.results.records.fitness import LOSS, ranked_by
from mbo_search.results.records.records import Arm, TrialRecord
from mbo_search.results.records.schedule_groups import ScheduleRuns, group_by_schedule
from mbo_search.study.space.ablations import PARTS, ablations_of
from mbo_search.study.space.defaults import custom_of_stage
from mbo_search.study.space.ladder import question_of, rungs_of
from mbo_search.study.spec.base import Description
from mbo_search.study.spec.rungs import Rung
from mbo_search.study.spec.schedule import Schedule
from mbo_search.study.spec.sections.searching import ConfirmSpec
from mbo_search.study.spec.segments import BudgetSteps, scaled_budget, scaled_segment_steps
from mbo_search.study.study import Study

TOKEN_MULTIPLES = (0.8, 1.25)
"""Budgets, over the study's, at which the strongest opponent is trained besides the study's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmRun:
    """A schedule to be trained on a fresh seed.

    Attributes:
        arm: `confirm`, `tokens` or `attribution`.
        label: Arm and trial number of the search trial that it repeats, such as `staged:17`; for attribution what
            was put back, such as `stage 1 optimizer`.
        schedule: Its schedule.
        seed: The fresh seed.
        budget_multiple: Its budget over the study's.
    """

    arm: Arm = "confirm"
    label: str
    schedule: Schedule
    seed: int
    budget_multiple: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """Instructions for confirming: what, on how many seeds, against what.

    Attributes:
        spec: The study's section.
        search_seed: Seed of the search.
        budget: The study's budget in steps.
        reference_lrs: Reference learning rate of every optimizer at the study's width.
        question: The freedom that the study asks about; None: the highest that any schedule needs.
        ranked_by: What schedules are ordered by: `loss` or a metric.
        most_tokens: The most charged tokens that all of it may take.
        common: Names of the settings of the user's own that hold for whole schedules.
    """

    spec: ConfirmSpec
    search_seed: int
    budget: BudgetSteps
    reference_lrs: Mapping[str, float] = field(default_factory=dict)
    question: Rung | None = None
    ranked_by: str = LOSS
    most_tokens: int = 0
    common: tuple[str, ...] = ()

    def runs(self, records: Sequence[TrialRecord]) -> Sequence[ConfirmRun]:
        """Everything that is to be trained on fresh seeds, the question's answer first.

        Each part goes seed by seed, so that any stop leaves whole pairs. What explains a gain of losses is left out
        where a metric decides.
        """
        groups = group_by_schedule(records, self.ranked_by)
        best = champions(groups, self.question)
        again = [_again(runs) for runs in contenders(groups, best, self.spec.top).schedules]
        seeds = [self.search_seed + 1 + index for index in range(self.spec.seeds)]
        parts = (
            (again, self._with_other_tokens(best), self._attribution(best)) if self.ranked_by == LOSS else (again,)
        )
        return [run(seed) for part in parts for seed in seeds for run in part]

    def _with_other_tokens(self, best: Champions) -> Sequence[_Draft]:
        """A curve through losses has no interval below two seeds, and without a champion nothing to meet."""
        if not self.spec.equivalent_tokens or self.spec.seeds < 2 or best.challenger is None:
            return []
        opponent = best.strongest
        if opponent is None:
            return []
        return [
            _Draft(arm="tokens", label=_label(opponent), schedule=opponent.head.schedule, budget_multiple=multiple)
            for multiple in measured_multiples(self.budget, len(opponent.head.schedule.stages))
        ]

    def _attribution(self, best: Champions) -> Sequence[_Draft]:
        if not self.spec.attribution or best.challenger is None or best.baseline is None:
            return []
        winner, baseline = best.challenger.head.schedule, best.baseline.head.schedule
        swaps = ablations_of(winner, baseline, self.reference_lrs, self.budget, self.common)
        return [_Draft(arm="attribution", label=swap.label, schedule=swap.schedule) for swap in swaps.found]


class ConfirmCost(Description):
    """The most that a confirmation trains without any sharing, before it is known which are confirmed.

    Attributes:
        seeds: Fresh seeds.
        schedules: Schedules that are trained again.
        token_multiples: Budgets, over the study's, at which the strongest opponent is trained besides.
        parts: Parts of the question's champion that are put back.
        tokens: Charged tokens of all that, over all searches of the study.
    """

    seeds: int
    schedules: int
    token_multiples: tuple[float, ...]
    parts: int
    tokens: int


def confirm_cost(study: Study, budget: BudgetSteps) -> ConfirmCost | None:
    """Count what the study's own confirmation trains at most; None if it has none."""
    spec = study.confirm
    if spec is None:
        return None
    rungs = rungs_of(study)
    ablated = len(rungs) > 1 and question_of(study) in ("settings", "switch")
    schedules = sum(1 if rung == "untuned" else spec.top for rung in rungs) + ablated
    by_loss = ranked_by(study.search.objectives) == LOSS
    with_tokens = by_loss and spec.equivalent_tokens and spec.seeds >= 2
    multiples = measured_multiples(budget) if with_tokens else ()
    has_custom = any(custom_of_stage(study, index) for index in range(len(study.stages)))
    parts = (len(PARTS) + has_custom) * len(study.stages) - 1 if spec.attribution and by_loss else 0
    budgets = study.search.repeats * spec.seeds * (schedules + sum(multiples) + parts)
    return ConfirmCost(
        seeds=spec.seeds,
        schedules=schedules,
        token_multiples=multiples,
        parts=parts,
        tokens=round(budgets * budget.total_tokens),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    arm: Arm
    label: str
    schedule: Schedule
    budget_multiple: float = 1.0

    def __call__(self, seed: int) -> ConfirmRun:
        return ConfirmRun(
            arm=self.arm,
            label=self.label,
            schedule=self.schedule,
            seed=seed,
            budget_multiple=self.budget_multiple,
        )


def measured_multiples(budget: BudgetSteps, num_stages: int = 1) -> tuple[float, ...]:
    """The multiples of a budget that `TOKEN_MULTIPLES` come to on whole steps; those that come to 1 are left out.

    >>> budget = BudgetSteps(num_segments=20, steps_per_segment=19, batch_tokens=1024)
    >>> measured_multiples(budget), [round(19 * multiple) for multiple in measured_multiples(budget, num_stages=2)]
    ((0.8, 1.25), [15, 24])
    """
    steps = budget.steps_per_segment
    on_the_grid = {scaled_segment_steps(budget, multiple) / steps for multiple in TOKEN_MULTIPLES}
    nearest = {scaled_budget(budget, multiple).total_steps / budget.total_steps for multiple in TOKEN_MULTIPLES}
    return tuple(sorted((nearest if num_stages == 1 else on_the_grid) - {1.0}))


def _again(runs: ScheduleRuns) -> _Draft:
    return _Draft(arm="confirm", label=_label(runs), schedule=runs.head.schedule)


def _label(runs: ScheduleRuns) -> str:
    return f"{runs.head.arm}:{runs.head.trial}"
