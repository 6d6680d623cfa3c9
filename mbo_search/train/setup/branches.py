"""Grid points at which schedules of a study may part."""

from __future__ import annotations

from mbo_search.study.spec.sections.values import Numeric, Range
from mbo_search.study.study import Study


def branch_points(study: Study) -> tuple[int, ...]:
    """Grid points at which some schedule of the study may leave a stage, the end of the budget aside."""
    num_segments = round(1 / study.budget.grid)
    reachable = {0}
    found: set[int] = set()
    for stage in study.stages:
        if stage.share == "rest":
            break
        lengths = _lengths(stage.share, num_segments)
        reachable = {start + length for start in reachable for length in lengths if start + length < num_segments}
        found |= reachable
    return tuple(sorted(found))


def _lengths(share: Numeric, num_segments: int) -> set[int]:
    if isinstance(share, Range):
        return set(range(round(share.low * num_segments), round(share.high * num_segments) + 1))
    shares = share if isinstance(share, tuple) else (share,)
    return {round(choice * num_segments) for choice in shares}
