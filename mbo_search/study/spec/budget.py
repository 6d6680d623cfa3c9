"""The budget of a study in steps."""

from __future__ import annotations

from mbo_search.study.spec.segments import BudgetSteps, resolve_budget
from mbo_search.study.spec.study import StudySpec


def study_budget(study: StudySpec) -> BudgetSteps:
    """Round a study's budget down to whole optimizer steps in each grid segment.

    Raises:
        StudyError: If not even one step fits into a grid segment.
    """
    return resolve_budget(study.budget.tokens, study.budget.grid, study.train.batch_tokens)


def rounding_note(study: StudySpec) -> str:
    """Say what a budget is rounded down to; empty if it is whole steps already."""
    budget = study_budget(study)
    if budget.total_tokens == study.budget.tokens:
        return ""
    steps = f"{budget.steps_per_segment} steps of {budget.batch_tokens} tokens"
    return (
        f"budget.tokens: {study.budget.tokens} is rounded down to {budget.total_tokens}: "
        f"{steps} in each of {budget.num_segments} grid segments"
    )
