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
