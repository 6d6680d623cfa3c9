"""What a confirmation costs at most, before anybody knows who will be confirmed."""

from __future__ import annotations

from mbo_search.engine.control.confirm import measured_multiples
from mbo_search.study.space.ablations import PARTS
from mbo_search.study.space.ladder import question_of, rungs_of
from mbo_search.study.spec.base import Description
from mbo_search.study.spec.segments import BudgetSteps
from mbo_search.study.study import Study


class ConfirmCost(Description):
    """The most that a confirmation trains, without any sharing.

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
    with_tokens = spec.equivalent_tokens and spec.seeds >= 2
    multiples = measured_multiples(budget) if with_tokens else ()
    parts = len(PARTS) * len(study.stages) - 1 if spec.attribution else 0
    budgets = study.search.repeats * spec.seeds * (schedules + sum(multiples) + parts)
    return ConfirmCost(
        seeds=spec.seeds,
        schedules=schedules,
        token_multiples=multiples,
        parts=parts,
        tokens=round(budgets * budget.total_tokens),
    )
