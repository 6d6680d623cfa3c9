"""Metrics of a task for a whole schedule, from the records of its runs."""

from __future__ import annotations

import math

from mbo_search.results.records.fitness import judged_scores
from mbo_search.results.records.schedule_groups import ScheduleRuns


def mean_scores(runs: ScheduleRuns) -> dict[str, float]:
    """Every metric that all its measured runs have, as their mean.

    Runs on fresh seeds are scored on the judged examples where all of them were, as their losses are.
    """
    records = runs.measured
    each = [judged_scores(record) for record in records] if runs.is_confirmed else []
    if not all(each):
        each = []
    each = each or [record.scores for record in records]
    names = [name for name in each[0] if all(name in scores for scores in each)] if each else []
    return {name: math.fsum(scores[name] for scores in each) / len(each) for name in names}
