"""From shares to steps: a schedule cut into grid segments, each a whole number of optimizer steps.

All segments cost the same number of charged tokens. How many steps these make is a matter of the stage: a step of
more tokens, or one that passes over its tokens twice, is charged more, and there are fewer of them.

Everything in a segment is absolute (steps, learning rate per step), so that two schedules which train alike up to
a point have equal segments up to there, whatever they do later and however their stages are called.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from mbo_search.errors import Problem, StudyError
from mbo_search.study.catalogue.entries import StageClock
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.spec.effective import stages_in_force
from mbo_search.study.spec.lr_shapes import annealing_factor, averages_weights, lr_factor, mean_share
from mbo_search.study.spec.schedule import Schedule, Stage, Strategy

EffectiveHandOver = Literal["start", "continue", "carry", "reset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSteps:
    """A budget in steps of one size.

    Attributes:
        num_segments: Grid segments of the whole schedule.
        steps_per_segment: Optimizer steps of each.
        batch_tokens: Charged tokens of one optimizer step.
        unit_steps: What `steps_per_segment` is a multiple of, so that a segment is a whole number of larger steps,
            too.
        context: Tokens of a row where a stage sets no other; None where that is not known.
    """

    num_segments: int
    steps_per_segment: int
    batch_tokens: int
    unit_steps: int = field(default=1, repr=False)
    context: int | None = field(default=None, repr=False)

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

    def of_stage(self, strategy: Strategy) -> BudgetSteps:
        """The same budget in steps of a stage.

        Raises:
            StudyError: If a grid segment is no whole number of them.
        """
        charged = passes_of(strategy) * (strategy.batch_tokens or self.batch_tokens)
        if self.segment_tokens % charged:
            raise StudyError([_no_whole_steps(strategy, charged, self)])
        return self.in_steps_of(charged)

    def without_plain(self, stage: Stage) -> Stage:
        """A stage without what it sets to the plain step's tokens, and to those of a plain row."""
        plain = {"batch_tokens": self.batch_tokens, "context": self.context}
        kept = {name: None for name, value in plain.items() if getattr(stage, name) == value}
        return stage.model_copy(update=kept)

    def in_steps_of(self, tokens: int) -> BudgetSteps:
        """The same budget in steps of another size.

        Args:
            tokens: Charged tokens of one step, of which a grid segment is a whole number.
        """
        if tokens == self.batch_tokens:
            return self
        return replace(self, steps_per_segment=self.segment_tokens // tokens, batch_tokens=tokens, unit_steps=1)


def passes_of(strategy: Strategy) -> int:
    """Forward-backward passes over the tokens of a step; a regularizer that is switched off adds none."""
    optimizer = OPTIMIZERS.get(strategy.optimizer)
    infos = ((REGULARIZERS.get(one.kind), one.strength) for one in strategy.regularizers)
    acting = (info.passes for info, strength in infos if info and not (info.off_at_zero and strength == 0))
    return math.prod(acting, start=1 if optimizer is None else optimizer.passes)


def resolve_budget(
    tokens: int, grid: float, batch_tokens: int, unit_steps: int = 1, *, context: int | None = None
) -> BudgetSteps:
    """Round a token budget down to a whole number of optimizer steps in each grid segment.

    Args:
        tokens: Charged tokens that one full schedule may use.
        grid: Share of the budget between two grid points; 1 / grid is a whole number.
        batch_tokens: Charged tokens of one optimizer step.
        unit_steps: What the steps of a grid segment are a multiple of.
        context: Tokens of a row.

    Returns:
        The budget in steps; its `total_tokens` is at most `tokens`.

    Raises:
        StudyError: If not even one unit of steps fits into a grid segment.

    >>> resolve_budget(400_000, 0.05, 1024)
    BudgetSteps(num_segments=20, steps_per_segment=19, batch_tokens=1024)
    >>> resolve_budget(400_000, 0.05, 1024, unit_steps=4).steps_per_segment
    16
    """
    num_segments = round(1 / grid)
    steps_per_segment = tokens // (num_segments * batch_tokens * unit_steps) * unit_steps
    if steps_per_segment < 1:
        raise StudyError([_too_small(tokens, num_segments, batch_tokens, batch_tokens * unit_steps)])
    return BudgetSteps(
        num_segments=num_segments,
        steps_per_segment=steps_per_segment,
        batch_tokens=batch_tokens,
        unit_steps=unit_steps,
        context=context,
    )


def _too_small(tokens: int, num_segments: int, batch_tokens: int, unit_tokens: int) -> Problem:
    needed = num_segments * unit_tokens
    rule = f"is below one optimizer step per grid segment; it must be at least {needed} tokens"
    hint = "raise budget.tokens, or lower train.batch_tokens or the number of grid segments"
    if unit_tokens > batch_tokens:
        rule = f"is too small for grid segments of {unit_tokens} tokens, which all offered steps divide; "
        rule += f"it must be at least {needed} tokens"
        hint = "or offer batches of which each is a multiple of the next smaller one"
    return Problem(key="budget.tokens", value=str(tokens), rule=rule, hint=hint)


def _no_whole_steps(strategy: Strategy, charged_tokens: int, budget: BudgetSteps) -> Problem:
    name = f"stages.{strategy.name}" if isinstance(strategy, Stage) else "stages.*"
    rule = f"has steps of {charged_tokens} charged tokens; a grid segment of {budget.segment_tokens} tokens is no "
    unit = math.lcm(charged_tokens, budget.batch_tokens) * budget.num_segments
    return Problem(key=name, rule=f"{rule}whole number of them", hint=f"make budget.tokens a multiple of {unit}")


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
        replace(budget, steps_per_segment=scaled_segment_steps(budget, multiple)),
        replace(budget, num_segments=max(1, round(multiple * budget.num_segments))),
    )
    return min(candidates, key=lambda found: round(abs(found.total_steps / budget.total_steps - multiple), 9))


def scaled_segment_steps(budget: BudgetSteps, multiple: float) -> int:
    """Steps of a grid segment of a longer or shorter budget on the same grid, on whole units.

    Args:
        budget: The budget.
        multiple: Its wanted length over that of the budget, above 0.
    """
    return max(1, round(multiple * budget.steps_per_segment / budget.unit_steps)) * budget.unit_steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A grid segment of a schedule: which steps it covers, and the strategy in force.

    Attributes:
        index: Position on the grid, from 0.
        stage_index: Position of its stage in the schedule, from 0.
        stage: The strategy in force, in the form of `stages_in_force`.
        first_step: Optimizer steps of the schedule done before it.
        num_steps: Optimizer steps that it covers.
        batch_tokens: Tokens that one optimizer step reads.
        stage_first_step: Optimizer steps of the schedule done before its stage.
        clock: Its stage in steps.
        hand_over: What happens to the optimizer before its first step: `start` builds the first optimizer,
            `continue` does nothing, `carry` and `reset` begin a new stage.
        ends_stage: Whether the next segment belongs to another stage, or there is none.
        passes: Forward-backward passes of a step over its tokens, each of them charged.
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
    passes: int = 1

    @property
    def last_step(self) -> int:
        """Optimizer steps of the schedule done after it."""
        return self.first_step + self.num_steps

    @property
    def tokens(self) -> int:
        """Charged tokens that it trains on."""
        return self.num_steps * self.step_tokens

    @property
    def step_tokens(self) -> int:
        """Charged tokens of one optimizer step."""
        return self.batch_tokens * self.passes

    @property
    def read_tokens(self) -> int:
        """Tokens of the training stream that it reads."""
        return self.num_steps * self.batch_tokens

    def tokens_at(self, step: int) -> int:
        """Charged tokens of the schedule done at a step of the segment; all segments cost the same.

        Args:
            step: Optimizer steps of the schedule done, in [first_step, last_step].
        """
        return self.index * self.tokens + (step - self.first_step) * self.step_tokens

    def lr(self, step: int) -> float:
        """Peak-group learning rate of a step.

        Args:
            step: Optimizer steps of the schedule done before it, in [first_step, last_step).
        """
        return self.stage.lr * lr_factor(self.stage.lr_shape, step - self.stage_first_step, self.clock)

    def counted_lr(self, step: int) -> float:
        """Learning rate with which a step counts in the weights at the stage's end; another one in a mean of them.

        Args:
            step: Optimizer steps of the schedule done before it, in [first_step, last_step).
        """
        return self.stage.lr * annealing_factor(self.stage.lr_shape, step - self.stage_first_step, self.clock)

    def learning_blocks(self, step: int) -> tuple[int, ...] | None:
        """Positions of the blocks of the stage's `cycle` that learn at a step; None if it has none."""
        cycle = self.stage.cycle
        return None if cycle is None else cycle.learning((step - self.stage_first_step) * self.step_tokens)

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
    stages = tuple(map(budget.without_plain, stages_in_force(schedule.stages)))
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
        segments += _cut_stage(stages, stage_index, count, segments, budget)
    return tuple(segments)


def _cut_stage(
    stages: Sequence[Stage], stage_index: int, count: int, before: Sequence[Segment], budget: BudgetSteps
) -> list[Segment]:
    """Segments of a stage; `before` are all of the stages before it."""
    stage = stages[stage_index]
    previous = stages[stage_index - 1] if stage_index else None
    _check_rows(stage, budget)
    own, passes = budget.of_stage(stage), passes_of(stage)
    stage_first_step = before[-1].last_step if before else 0
    clock = _clock(stage, count * own.steps_per_segment, own.total_steps)
    return [
        Segment(
            index=len(before) + position,
            stage_index=stage_index,
            stage=stage,
            first_step=stage_first_step + position * own.steps_per_segment,
            num_steps=own.steps_per_segment,
            batch_tokens=own.batch_tokens // passes,
            stage_first_step=stage_first_step,
            clock=clock,
            hand_over=_hand_over(previous, stage) if position == 0 else "continue",
            ends_stage=position == count - 1,
            passes=passes,
        )
        for position in range(count)
    ]


def _check_rows(stage: Stage, budget: BudgetSteps) -> None:
    """A schedule that nobody checked against a study may hold any batch and any context."""
    rows, plain = stage.context or budget.context, budget.context
    if rows is not None and plain is not None and (plain % rows or (stage.batch_tokens or plain) % plain):
        rule = f"has batches of {stage.batch_tokens or budget.batch_tokens} tokens in rows of {rows}: rows must "
        rule += f"divide model.context, {plain}, and batches be multiples of it"
        raise StudyError([Problem(key=f"stages.{stage.name}", rule=rule)])


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
