"""The rule that a budget has enough steps for the shortest stages that it may be cut into.

A stage of a few steps cannot warm up or bring its learning rate down, whatever is written about it. Where a larger
budget would mend that, the budget is what is wrong, and not a shape that nobody touched.
"""

from __future__ import annotations

from collections.abc import Iterator

from mbo_search.errors import Problem
from mbo_search.study.checks.shares import check_annealed, check_warmups
from mbo_search.study.spec.budget import study_budget
from mbo_search.study.spec.study import StudySpec

_MOST_STEPS_PER_SEGMENT = 1000
"""A stage that is too short with as many steps in each grid segment is wrong in itself."""


_HINT = "or lower train.batch_tokens, which makes more steps of the same tokens"


def check_enough_steps(study: StudySpec) -> Iterator[Problem]:
    """No stage is too short for its warm-up or its shape only because the budget is small."""
    first = _first_problem(study)
    if first is None:
        return
    smallest = _smallest_budget(study)
    if smallest is not None:
        steps = study_budget(study).total_steps
        rule = f"is {steps} steps, too few for {_subject(study, first)}; the smallest budget is {smallest} tokens"
        yield Problem(key="budget.tokens", value=str(study.budget.tokens), rule=rule, hint=_HINT)


def _first_problem(study: StudySpec) -> Problem | None:
    return next((problem for check in (check_warmups, check_annealed) for problem in check(study)), None)


def _smallest_budget(study: StudySpec) -> int | None:
    """Tokens of the smallest budget with which nothing is wrong; None if the budget is not the reason."""
    budget = study_budget(study)
    unit = budget.unit_steps
    for steps in range(budget.steps_per_segment + unit, _MOST_STEPS_PER_SEGMENT + 1, unit):
        tokens = steps * budget.num_segments * budget.batch_tokens
        larger = study.budget.model_copy(update={"tokens": tokens})
        if _first_problem(study.model_copy(update={"budget": larger})) is None:
            return tokens
    return None


def _subject(study: StudySpec, problem: Problem) -> str:
    """What a problem is about, such as `linear of stage cool`."""
    pieces = problem.key.split(".")
    of_stage = f" of stage {study.stages[int(pieces[1])].name}" if pieces[0] == "stages" else " of a stage"
    is_shape = "lr_shape" in pieces
    return f"{problem.value if is_shape else f'the {pieces[-1]} {problem.value}'}{of_stage}"
