"""Exhaustive search of a small space, cheapest schedules first."""

from __future__ import annotations

from mbo_search.engine.tree.history import History, Params, blocks_of
from mbo_search.engine.tree.planned_trial import PlannedTrial
from mbo_search.engine.tree.points import Define, all_points
from mbo_search.errors import StudyError

MOST_GRID_POINTS = 100_000
"""Largest space that is searched exhaustively."""


class GridPlanner:
    """Planner that proposes every point once, those with the same prefix one after the other."""

    def __init__(self, points: list[Params]) -> None:
        """Make a planner."""
        self._points = points

    def plan(self, history: History) -> PlannedTrial:
        """Choose the first point that is neither trained nor being trained; the last one when all are done."""
        known = {one.blocks for one in history.trials}
        left = (one for one in self._points if blocks_of(one, history.num_stages) not in known)
        return PlannedTrial(params=next(left, self._points[-1]))


def grid_points(define: Define, num_stages: int) -> list[Params]:
    """List all points of a space.

    Raises:
        StudyError: If the space is not finite, or too large.
    """
    points = all_points(define, MOST_GRID_POINTS, num_stages=num_stages)
    if points is None:
        raise StudyError(
            f"search.searcher grid needs a space of at most {MOST_GRID_POINTS} schedules without intervals; "
            "give choices instead of intervals, or use another searcher"
        )
    return points
