"""The way of a schedule through the stage tree: its segments, the key behind each, and where states are kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate, takewhile
from typing import TYPE_CHECKING

from mbo_search.study.spec.keys import segment_keys
from mbo_search.study.spec.schedule import Schedule
from mbo_search.study.spec.segments import Segment, cut

if TYPE_CHECKING:
    from mbo_search.train.setup.setup import TrainSetup


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulePath:
    """A schedule with a seed, cut into grid segments and named by content.

    Attributes:
        segments: The segments in order.
        keys: Key of the node behind each segment.
        seed: Seed of initialisation, data order and noise.
        branch_points: Numbers of segments behind which schedules of the study may leave a stage.
    """

    segments: tuple[Segment, ...]
    keys: tuple[str, ...]
    seed: int
    branch_points: frozenset[int] = frozenset()

    @property
    def tokens_done(self) -> tuple[int, ...]:
        """Charged tokens done behind each segment."""
        return tuple(accumulate(segment.tokens for segment in self.segments))


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Consecutive segments of one stage, trained in one call; behind the last one the state is kept.

    Attributes:
        segments: At least one.
        key: Key of the node behind them.
        end_tokens: Charged tokens of the schedule done behind them.
    """

    segments: tuple[Segment, ...]
    key: str
    end_tokens: int

    @property
    def tokens(self) -> int:
        """Charged tokens of its segments."""
        return sum(segment.tokens for segment in self.segments)

    @property
    def ends_stage(self) -> bool:
        """Whether its end is a boundary."""
        return self.segments[-1].ends_stage

    def joined(self, following: Span) -> Span:
        """This stretch and the one behind it as one."""
        return replace(following, segments=self.segments + following.segments)


def schedule_path(schedule: Schedule, setup: TrainSetup, seed: int) -> SchedulePath:
    """Name the way of a schedule.

    Raises:
        StudyError: If the schedule does not fit the budget's grid.
    """
    segments = cut(schedule, setup.budget())
    return SchedulePath(
        segments=segments,
        keys=segment_keys(setup.root_key(seed), segments),
        seed=seed,
        branch_points=frozenset(setup.branch_points),
    )


def stretches(path: SchedulePath) -> tuple[Span, ...]:
    """Cut a way where states are kept.

    That is at every stage end and, within a stage, at the grid points where another schedule can take over: up to
    there the learning rate does not depend on the stage's length, and either a schedule of the study may leave a
    stage there, or the decay begins behind it.
    """
    kept = sorted(_kept(path))
    tokens_done = path.tokens_done
    return tuple(
        Span(segments=path.segments[first:last], key=path.keys[last - 1], end_tokens=tokens_done[last - 1])
        for first, last in zip([0, *kept], kept, strict=False)
    )


def _kept(path: SchedulePath) -> set[int]:
    """Numbers of segments behind which the state is kept."""
    kept = {segment.index + 1 for segment in path.segments if segment.ends_stage}
    for first, last in zip([0, *sorted(kept)], sorted(kept), strict=False):
        stage = path.segments[first:last]
        flat = [segment.index + 1 for segment in takewhile(_is_free_of_length, stage)]
        kept.update(path.branch_points.intersection(flat))
        if flat and len(flat) < len(stage) and stage[0].stage.lr_shape.kind == "wsd":
            kept.add(flat[-1])
    return kept


def _is_free_of_length(segment: Segment) -> bool:
    """Whether a longer stage of the same strategy would train the segment alike."""
    longer = replace(segment, clock=replace(segment.clock, stage_steps=10 * segment.clock.budget_steps))
    return all(segment.lr(step) == longer.lr(step) for step in range(segment.first_step, segment.last_step))
