"""Searches with several objectives: what a trial is worth in each, and which schedules no other one beats.

Time counts as if nothing had been shared: a schedule is not quick because another one had trained its prefix.
"""

from __future__ import annotations

from collections.abc import Sequence

from mbo_search.results.evidence.ranking_values import RankedTrial
from mbo_search.results.records.fitness import LOSS, fitness, minimized, ranked_by
from mbo_search.results.records.records import TrialRecord
from mbo_search.study.spec.sections.searching import Objective


def objective_values(record: TrialRecord, objectives: Sequence[Objective]) -> tuple[float, ...] | None:
    """Values of a complete trial in each objective, lower is better; None where it has no score."""
    assert record.val_loss is not None, "only complete trials have values"
    by = ranked_by(objectives)
    worth = fitness(record, by)
    if worth is None:
        return None
    seconds = record.cost.train_seconds if record.path_seconds is None else record.path_seconds
    known = {by: worth, "seconds": seconds}
    return tuple(known[objective] for objective in objectives)


def non_dominated(points: Sequence[Sequence[float]]) -> tuple[bool, ...]:
    """Mark the points that no other one beats by being nowhere worse and somewhere better.

    >>> non_dominated([(1.0, 5.0), (2.0, 2.0), (2.0, 3.0), (1.0, 5.0)])
    (True, True, False, True)
    """
    return tuple(not any(_beats(other, point) for other in points) for point in points)


def _beats(one: Sequence[float], other: Sequence[float]) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def mark_front(rows: Sequence[RankedTrial], objectives: Sequence[Objective]) -> tuple[RankedTrial, ...]:
    """Mark the schedules on the front of a search with several objectives, all judged by their search runs."""
    if len(objectives) < 2:
        return tuple(rows)
    measured = [(row.trial, values) for row in rows if (values := _values(row, objectives)) is not None]
    on_front = dict(zip((trial for trial, _ in measured), non_dominated([v for _, v in measured]), strict=True))
    return tuple(row.model_copy(update={"on_front": on_front.get(row.trial)}) for row in rows)


def _values(row: RankedTrial, objectives: Sequence[Objective]) -> tuple[float, ...] | None:
    by = ranked_by(objectives)
    known = {by: _searched(row, by), "seconds": row.path_seconds}
    values = [value for objective in objectives if (value := known[objective]) is not None]
    return tuple(values) if len(values) == len(objectives) else None


def _searched(row: RankedTrial, by: str) -> float | None:
    """What the search saw of a schedule, lower is better."""
    if by == LOSS or row.search_val_loss is None:
        return row.search_val_loss
    return minimized(by, row.runs[0].scores.get(by))
