"""From shares to steps: a schedule cut into grid segments, each a whole number of optimizer steps.

Everything in a segment is absolute (steps, learning rate per step), so that two schedules which train alike up to
a point have equal segments up to there, whatever they do later and however their stages are called.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mbo_search.errors import Problem, StudyError
from mbo_search.study.catalogue.entries import StageClock
from mbo_search.study.spec.effective import stages_in_force
from mbo_search.study.spec.lr_shapes import averages_weights, lr_factor, mean_share
from mbo_search.study.spec.schedule import Schedule, Stage

EffectiveHandOver = Literal["start", "continue", "carry", "reset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSteps:
    """A budget in steps.

    Attributes:
        num_segments: Grid segments of the whole schedule.
        steps_per_segment: Optimizer steps of each.
        batch_tokens: Tokens of one optimizer step.
    """

    num_segments: int
    steps_per_segment: int
    batch_tokens: int

    @property
    def total_steps(self) -> int:
        """Optimizer steps of one full schedule."""
        return self.num_segments * self.steps_per_segment

    @property
    def total_tokens(self) -> int:
        """Charged tokens of one full schedule."""
        return self.total_steps * self.batch_tokens

    @property
    def segment_tokens(self) -> int:
        """Charged tokens of one grid segment."""
        return self.steps_per_segment * self.batch_tokens


def resolve_budget(tokens: int, grid: float, batch_tokens: int) -> BudgetSteps:
    """Round a token budget down to a whole number of optimizer steps in each grid segment.

    Args:
        tokens: Charged tokens that one full schedule may use.
        grid: Share of the budget between two grid points; 1 / grid is a whole number.
        batch_tokens: Tokens of one optimizer step.

    Returns:
        The budget in steps; its `total_tokens` is at most `tokens`.

    Raises:
        StudyError: If not even one step fits into a grid segment.

    >>> resolve_budget(400_000, 0.05, 1024)
    BudgetSteps(num_segments=20, steps_per_segment=19, batch_tokens=1024)
    """
    num_segments = round(1 / grid)
    steps_per_segment = tokens // (num_segments * batch_tokens)
    if steps_per_segment < 1:
        needed = num_segments * batch_tokens
        rule = f"is below one optimizer step per grid segment; it must be at least {needed} tokens"
        hint = "raise budget.tokens, or lower train.batch_tokens or the number of grid segments"
        raise StudyError([Problem(key="budget.tokens", value=str(tokens), rule=rule, hint=hint)])
    return BudgetSteps(num_segments=num_segments, steps_per_segment=steps_per_segment, batch_tokens=batch_tokens)


def scaled_budget(budget: BudgetSteps, multiple: float) -> BudgetSteps:
    """A longer or shorter budget of the same batches, on whole steps.

    Either each segment gets more or fewer steps or the grid more or fewer segments, whichever comes nearer; if both
    come as near, the grid stays, and with it every share that lies on it.

    Args:
        budget: The budget.
        multiple: Its wanted length over that of the budget, above 0.

    >>> budget = BudgetSteps(num_segments=20, steps_per_segment=19, batch_tokens=1024)
    >>> scaled_budget(budget, 0.8).num_segments, scaled_budget(budget, 24 / 19).steps_per_segment
    (16, 24)
    """
    candidates = (
        replace(budget, steps_per_segment=max(1, round(multiple * budget.steps_per_segment))),
        replace(budget, num_segments=max(1, round(multiple * budget.num_segments))),
    )
    return min(candidates, key=lambda found: round(abs(found.total_steps / budget.total_steps - multiple), 9))


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A grid segment of a schedule: which steps it covers, and the strategy in force.

    Attributes:
        index: Position on the grid, from 0.
        stage_index: Position of its stage in the schedule, from 0.
        stage: The strategy in force, in the form of `stages_in_force`.
        first_step: Optimizer steps of the schedule done before it.
        num_steps: Optimizer steps that it covers.
        batch_tokens: Tokens of one optimizer step.
        stage_first_step: Optimizer steps of the schedule done before its stage.
        clock: Its stage in steps.
        hand_over: What happens to the optimizer before its first step: `start` builds the first optimizer,
            `continue` does nothing, `carry` and `reset` begin a new stage.
        ends_stage: Whether the next segment belongs to another stage, or there is none.
    """

    index: int
    stage_index: int
    stage: Stage
    first_step: int
    num_steps: int
    batch_tokens: int
    stage_first_step: int
    clock: StageClock
    hand_over: EffectiveHandOver
    ends_stage: bool

    @property
    def last_step(self) -> int:
        """Optimizer steps of the schedule done after it."""
        return self.first_step + self.num_steps

    @property
    def tokens(self) -> int:
        """Charged tokens that it trains on."""
        return self.num_steps * self.batch_tokens

    def lr(self, step: int) -> float:
        """Peak-group learning rate of a step.

        Args:
            step: Optimizer steps of the schedule done before it, in [first_step, last_step).
        """
        return self.stage.lr * lr_factor(self.stage.lr_shape, step - self.stage_first_step, self.clock)

    def mean_share(self, step: int) -> float:
        """Share of the way that the mean of the weights moves to those after a step; 0 where there is no mean yet.

        Args:
            step: Optimizer steps of the schedule done before it, in [first_step, last_step).
        """
        return mean_share(self.stage.lr_shape, step - self.stage_first_step, self.clock)

    @property
    def mean_shares(self) -> tuple[float, ...]:
        """Those of all its steps; empty where none of them belongs to a mean."""
        if not averages_weights(self.stage.lr_shape.kind):
            return ()
        found = tuple(map(self.mean_share, range(self.first_step, self.last_step)))
        return found if any(found) else ()


def cut(schedule: Schedule, budget: BudgetSteps) -> tuple[Segment, ...]:
    """Cut a schedule into its grid segments.

    Args:
        schedule: Stages whose shares are multiples of the grid and sum to 1.
        budget: The budget in steps.

    Returns:
        `budget.num_segments` segments in order.

    Raises:
        StudyError: If the shares do not fill the grid exactly, or a warm-up fills its stage.
    """
    stages = stages_in_force(schedule.stages)
    counts = [round(stage.share * budget.num_segments) for stage in stages]
    off_grid = any(
        abs(stage.share * budget.num_segments - count) > 1e-6 for stage, count in zip(stages, counts, strict=True)
    )
    if off_grid or min(counts) < 1 or sum(counts) != budget.num_segments:
        shares = ", ".join(f"{stage.share:g}" for stage in stages)
        rule = f"must be multiples of {1 / budget.num_segments:g} that sum to 1"
        raise StudyError([Problem(key="stages.*.share", value=shares, rule=rule)])
    segments: list[Segment] = []
    for stage_index, count in enumerate(counts):
        segments += _cut_stage(stages, stage_index, count, len(segments), budget)
    return tuple(segments)


def _cut_stage(
    stages: Sequence[Stage], stage_index: int, count: int, first_index: int, budget: BudgetSteps
) -> list[Segment]:
    stage = stages[stage_index]
    previous = stages[stage_index - 1] if stage_index else None
    num_steps = budget.steps_per_segment
    stage_first_step = first_index * num_steps
    clock = _clock(stage, count * num_steps, budget.total_steps)
    return [
        Segment(
            index=index,
            stage_index=stage_index,
            stage=stage,
            first_step=index * num_steps,
            num_steps=num_steps,
            batch_tokens=budget.batch_tokens,
            stage_first_step=stage_first_step,
            clock=clock,
            hand_over=_hand_over(previous, stage) if index == first_index else "continue",
            ends_stage=index == first_index + count - 1,
        )
        for index in range(first_index, first_index + count)
    ]


def _clock(stage: Stage, stage_steps: int, budget_steps: int) -> StageClock:
    warmup_steps = round(stage.warmup * budget_steps)
    if warmup_steps >= stage_steps:
        rule = f"is {warmup_steps} steps; it must be shorter than its stage of {stage_steps} steps"
        hint = "lower the warm-up or raise the share"
        raise StudyError(
            [Problem(key=f"stages.{stage.name}.warmup", value=str(stage.warmup), rule=rule, hint=hint)]
        )
    return StageClock(stage_steps=stage_steps, warmup_steps=warmup_steps, budget_steps=budget_steps)


def _hand_over(previous: Stage | None, stage: Stage) -> EffectiveHandOver:
    """Carrying the state of the same optimizer with the same parameters and settings changes nothing."""
    if previous is None:
        return "start"
    if stage.hand_over == "reset":
        return "reset"
    same = (previous.optimizer, previous.trainable, previous.hparams) == (
        stage.optimizer,
        stage.trainable,
        stage.hparams,
    )
    return "continue" if same else "carry"
