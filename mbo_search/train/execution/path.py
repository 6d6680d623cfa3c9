"""The path of a schedule through the stage tree: its segments, their keys, and where states are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, takewhile
from typing import TYPE_CHECKING

from mbo_search.errors import Problem, StudyError
from mbo_search.study.spec.keys import segment_keys, whole_key
from mbo_search.study.spec.lr_shapes import averages_weights
from mbo_search.study.spec.schedule import Schedule
from mbo_search.study.spec.segments import Segment, cut

if TYPE_CHECKING:
    from mbo_search.train.setup.setup import TrainSetup


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulePath:
    """A schedule with a seed, cut into grid segments and named by content.

    Attributes:
        segments: The segments in order.
        keys: Key of the node at the end of each segment.
        seed: Seed of initialization, data order and noise.
        branch_points: Numbers of segments after which schedules of the study may leave a stage.
        is_whole: Whether it is trained in one call, as its trainer keeps no states.
    """

    segments: tuple[Segment, ...]
    keys: tuple[str, ...]
    seed: int
    branch_points: frozenset[int] = frozenset()
    is_whole: bool = False

    @property
    def tokens_done(self) -> tuple[int, ...]:
        """Charged tokens done at the end of each segment."""
        return tuple(accumulate(segment.tokens for segment in self.segments))

    def last_step(self, num_done: int) -> int:
        """Optimizer steps done after a number of segments."""
        return self.segments[num_done - 1].last_step if num_done else 0

    def tokens_at(self, step: int) -> int:
        """Charged tokens done at a step."""
        steps = ((min(step, segment.last_step) - segment.first_step, segment) for segment in self.segments)
        return sum(max(0, done) * segment.tokens // segment.num_steps for done, segment in steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Consecutive segments, trained in one call; the state at their end is kept.

    They are of one stage, unless their trainer keeps no states.

    Attributes:
        segments: At least one.
        key: Key of the node at their end.
        end_tokens: Charged tokens of the schedule done there.
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
        """Return whether its end is a boundary."""
        return self.segments[-1].ends_stage

    def joined(self, following: Span) -> Span:
        """This span and the next one as one."""
        return replace(following, segments=self.segments + following.segments)


def schedule_path(schedule: Schedule, setup: TrainSetup, seed: int) -> SchedulePath:
    """Name the path of a schedule.

    Raises:
        StudyError: If the schedule does not fit the budget's grid.
    """
    segments = cut(schedule, setup.budget())
    _check_rows_of_task(segments, setup)
    keys = segment_keys(setup.root_key(seed), segments)
    is_whole = setup.runner is not None and not setup.runner.reuse
    return SchedulePath(
        segments=segments,
        keys=(*keys[:-1], whole_key(keys[-1], segments)) if is_whole else keys,
        seed=seed,
        branch_points=frozenset(setup.branch_points),
        is_whole=is_whole,
    )


def _check_rows_of_task(segments: Sequence[Segment], setup: TrainSetup) -> None:
    if setup.packing is not None and any(segment.stage.context is not None for segment in segments):
        rule = "is for running text: the examples of a task are laid out in rows of model.context"
        raise StudyError([Problem(key="stages.*.context", rule=rule)])


def spans(path: SchedulePath) -> tuple[Span, ...]:
    """Cut a path where states are kept.

    That is at every stage end and, within a stage, at the grid points where another schedule can take over: up to
    there the learning rate does not depend on the stage's length, and either a schedule of the study may leave a
    stage there, or the decay begins there.
    """
    kept = sorted(_kept(path))
    tokens_done = path.tokens_done
    return tuple(
        Span(segments=path.segments[first:last], key=path.keys[last - 1], end_tokens=tokens_done[last - 1])
        for first, last in zip([0, *kept], kept, strict=False)
    )


def next_spans(path: SchedulePath, num_done: int) -> list[Span]:
    """The spans that could be trained next: from where a trial stands to each place within the stage."""
    ahead = [span for span in spans(path) if span.segments[-1].index >= num_done]
    first = ahead[0].segments[-1].index + 1
    found = [replace(ahead[0], segments=path.segments[num_done:first])]
    for following in ahead[1:]:
        if found[-1].ends_stage:
            break
        found.append(found[-1].joined(following))
    return found


def _kept(path: SchedulePath) -> set[int]:
    """Numbers of segments after which the state is kept."""
    if path.is_whole:
        return {len(path.segments)}
    kept = {segment.index + 1 for segment in path.segments if segment.ends_stage}
    for first, last in zip([0, *sorted(kept)], sorted(kept), strict=False):
        stage = path.segments[first:last]
        flat = [segment.index + 1 for segment in takewhile(_is_free_of_length, stage)]
        kept.update(path.branch_points.intersection(flat))
        if flat and len(flat) < len(stage) and _falls_late(stage[0]):
            kept.add(flat[-1])
    return kept


def _falls_late(segment: Segment) -> bool:
    """Return whether its stage begins with a part that others of its shape share, behind which they differ."""
    return segment.stage.lr_shape.kind == "wsd" or averages_weights(segment.stage.lr_shape.kind)


def _is_free_of_length(segment: Segment) -> bool:
    """Return whether a longer stage of the same strategy would train the segment alike."""
    if segment.mean_shares:
        return False
    longer = replace(segment, clock=replace(segment.clock, stage_steps=10 * segment.clock.budget_steps))
    return all(segment.lr(step) == longer.lr(step) for step in range(segment.first_step, segment.last_step))
