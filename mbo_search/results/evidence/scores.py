"""Metrics of a task for a whole schedule, from the records of its runs."""

from __future__ import annotations

import math

from mbo_search.results.records.records import TrialRecord
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


def judged_scores(record: TrialRecord) -> dict[str, float]:
    """Every metric on the judged examples of a run; empty where it was not judged."""
    if not record.judged_statistics:
        return {}
    from mbo_search.metrics.measure import as_statistics, corpus_score
    from mbo_search.metrics.registry import MEASURES

    known = {name: MEASURES[name] for name in record.judged_statistics if name in MEASURES}
    sound = {name: as_statistics(measure, record.judged_statistics[name]) for name, measure in known.items()}
    return {name: corpus_score(known[name], found) for name, found in sound.items() if found is not None}
