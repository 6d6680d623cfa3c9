"""Searching a small space from end to end, cheapest schedules first."""

from __future__ import annotations

from mbo_search.engine.tree.history import History, HistoryReader, Params, blocks_of
from mbo_search.engine.tree.planned_sampler import PlannedSampler, PlannedTrial
from mbo_search.engine.tree.points import Define, all_points
from mbo_search.errors import StudyError

__all__ = ["MOST_GRID_POINTS", "GridPlanner", "grid_points", "grid_sampler"]

MOST_GRID_POINTS = 100_000
"""Largest space that is searched from end to end."""


class GridPlanner:
    """Proposes every point once, those behind the same beginning one after the other."""

    def __init__(self, points: list[Params]) -> None:
        """Make a planner.

        Args:
            points: All points of the space; at least one.
        """
        self._points = points

    def plan(self, history: History) -> PlannedTrial:
        """The first point that nobody has trained or is training; the last one when all are done.

        Args:
            history: What is known.
        """
        known = {one.blocks for one in history.seen}
        left = (one for one in self._points if blocks_of(one, history.num_stages) not in known)
        return PlannedTrial(params=next(left, self._points[-1]))


def grid_points(define: Define, num_stages: int) -> list[Params]:
    """All points of a space.

    Args:
        define: The space.
        num_stages: Stages of a whole schedule.

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


def grid_sampler(points: list[Params], *, num_stages: int, seed: int) -> PlannedSampler:
    """Make an Optuna sampler that goes through all points of a space.

    Args:
        points: The points.
        num_stages: Stages of a whole schedule.
        seed: Seed of the answers where a point does not fit what is asked for.
    """
    return PlannedSampler(planner=GridPlanner(points), reader=HistoryReader(num_stages), seed=seed)
