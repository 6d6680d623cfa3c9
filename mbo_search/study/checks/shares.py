"""Rules for time: the grid, the stages' shares, warm-ups, and the end of every schedule."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from mbo_search.errors import Problem, StudyError
from mbo_search.study.catalogue.entries import StageClock
from mbo_search.study.catalogue.hand_over import can_carry, carries_second_moments
from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.checks.written import shown
from mbo_search.study.space.build_stage import rewarm_steps
from mbo_search.study.space.defaults import stage_with_defaults
from mbo_search.study.space.optional import may_be_left_out
from mbo_search.study.space.settings import hparam_values
from mbo_search.study.spec.annealing import LAST_FACTOR, SHORTEST_DECAY, decay_share, is_annealed, last_factor
from mbo_search.study.spec.budget import coarsest_budget, study_budget
from mbo_search.study.spec.schedule import LrShape
from mbo_search.study.spec.sections.choices import LrShapeChoice
from mbo_search.study.spec.sections.stages import StageSpace
from mbo_search.study.spec.sections.values import HparamValue, Numeric, Range, is_numeric, numbers_of
from mbo_search.study.spec.segments import BudgetSteps
from mbo_search.study.spec.study import StudySpec


def check_grid(study: StudySpec) -> Iterator[Problem]:
    """The grid divides the budget into a whole number of segments."""
    if not _is_whole(1 / study.budget.grid):
        rule = "must divide 1 into a whole number of parts, such as 0.05 or 0.1"
        yield Problem(key="budget.grid", value=f"{study.budget.grid:g}", rule=rule)


def check_budget(study: StudySpec) -> Iterator[Problem]:
    """At least one optimizer step lies in each grid segment."""
    try:
        study_budget(study)
    except StudyError as error:
        yield from error.problems


def check_shares(study: StudySpec) -> Iterator[Problem]:
    """Shares lie on the grid and fill the budget."""
    off_grid = list(_off_grid(study))
    yield from off_grid
    rests = [index for index, stage in enumerate(study.stages) if stage.share == "rest"]
    last = len(study.stages) - 1
    for index in rests:
        if index != last:
            yield Problem(key=f"stages.{index}.share", value="rest", rule="is for the last stage only")
    is_searched = any(_is_choice(stage.share) for stage in study.stages)
    if is_searched and last not in rests:
        rule = "must be `rest`, because another stage's share is searched"
        yield Problem(key=f"stages.{last}.share", value=shown(study.stages[last].share), rule=rule)
    elif not off_grid and rests in ([], [last]):
        yield from _check_sum(study, has_rest=bool(rests))


def check_warmups(study: StudySpec) -> Iterator[Problem]:
    """Every warm-up is shorter than the shortest form of its stage."""
    for (index, stage), setting in itertools.product(_stages(study), ("warmup", "rewarm")):
        budget = coarsest_budget(study, stage)
        longest = _largest(stage.warmup if setting == "warmup" else stage.rewarm)
        if longest is None:
            continue
        warmup_steps = round(longest * budget.total_steps)
        stage_steps = _lengths(study)[index].shortest * budget.steps_per_segment
        if warmup_steps >= stage_steps:
            rule = f"is {warmup_steps} steps; it must be shorter than its stage, which may have {stage_steps} steps"
            hint = "lower it, or raise the share"
            yield Problem(key=_source_key(study, index, setting), value=f"{longest:g}", rule=rule, hint=hint)


def check_annealed(study: StudySpec) -> Iterator[Problem]:
    """Every schedule of the space ends annealed."""
    index = len(study.stages) - 1
    stage = stage_with_defaults(study, index)
    decaying = [c.name for c in stage.optimizer or () if not OPTIMIZERS[c.name].constant_lr_only]
    if not decaying:
        return
    clock = _shortest_clock(study, index, stage)
    for position, choice in enumerate(stage.lr_shape or ()):
        key = f"{_source_key(study, index, 'lr_shape')}.{position}"
        for shape in _corners(choice):
            if not is_annealed(decaying[0], shape, clock):
                yield Problem(key=key, value=choice.kind, rule=_not_annealed(shape, clock), hint=_ANNEAL_HINT)
                break


_ANNEAL_HINT = "use linear, cosine or wsd with a small floor in the last stage, and leave it enough of the budget"


def _not_annealed(shape: LrShape, clock: StageClock) -> str:
    factor = last_factor(shape, clock)
    if factor > LAST_FACTOR:
        return (
            f"may leave the learning rate at {factor:.2g} of its peak; "
            f"the last stage must end at {LAST_FACTOR:g} or below"
        )
    share = decay_share(shape, clock)
    return f"may decay over only {share:.1%} of the budget; it must decay over at least {SHORTEST_DECAY:.0%}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Length:
    """Grid segments that a stage has at least and at most, if it is trained at all."""

    shortest: int
    longest: int


def _lengths(study: StudySpec) -> list[_Length]:
    num_segments = round(1 / study.budget.grid)
    shares = [None if isinstance(stage.share, str) else stage.share for stage in study.stages]
    known = [None if share is None else _length(share, num_segments) for share in shares]
    rest = _Length(
        shortest=num_segments - round(_largest_sum(study) * num_segments),
        longest=num_segments
        - sum(round(min(numbers_of(share)) * num_segments) for share in shares if share is not None),
    )
    return [rest if length is None else length for length in known]


def _length(share: Numeric, num_segments: int) -> _Length:
    counts = [round(number * num_segments) for number in numbers_of(share)]
    is_range_from_zero = isinstance(share, Range) and min(counts) == 0
    shortest = 1 if is_range_from_zero else min((count for count in counts if count > 0), default=1)
    return _Length(shortest=shortest, longest=max(counts))


def _largest_sum(study: StudySpec) -> float:
    """The largest share that all stages but one with `rest` can have together, within `at_most.stages`."""
    given = [stage.share for stage in study.stages if not isinstance(stage.share, str)]
    always = [max(numbers_of(share)) for share in given if not may_be_left_out(share)]
    optional = sorted((max(numbers_of(share)) for share in given if may_be_left_out(share)), reverse=True)
    limit = study.at_most.stages
    num_always = len(study.stages) - len(optional)
    return sum(always) + sum(optional if limit is None else optional[: max(0, limit - num_always)])


def _shortest_clock(study: StudySpec, index: int, stage: StageSpace) -> StageClock:
    budget = coarsest_budget(study, stage)
    stage_steps = _lengths(study)[index].shortest * budget.steps_per_segment
    given = [_largest(stage.warmup), _largest(stage.rewarm)]
    longest = max((share for share in given if share is not None), default=0.0)
    warmup_steps = min(round(longest * budget.total_steps), stage_steps - 1)
    automatic = stage.rewarm == "auto" and any(_may_rewarm(before, stage) for before in _before(study, index))
    if automatic:
        warmup_steps = max(warmup_steps, min(_longest_rewarm(stage, budget), stage_steps // 2))
    return StageClock(stage_steps=stage_steps, warmup_steps=warmup_steps, budget_steps=budget.total_steps)


def _before(study: StudySpec, index: int) -> Iterator[StageSpace]:
    """The stages that may come directly before one."""
    for other in reversed(range(index)):
        yield stage_with_defaults(study, other)
        if not may_be_left_out(study.stages[other].share):
            return


def _longest_rewarm(stage: StageSpace, budget: BudgetSteps) -> int:
    """Steps of the longest automatic re-warm-up among the stage's optimizers and their settings."""
    return max(
        rewarm_steps({name: max(numbers_of(value)) for name, value in values.items() if is_numeric(value)}, budget)
        for choice in stage.optimizer or ()
        for values in [hparam_values(OPTIMIZERS[choice.name].hparams, choice.hparams)]
    )


def _may_rewarm(previous: StageSpace, stage: StageSpace) -> bool:
    """Tell whether some choice makes an automatic re-warm-up."""
    return "reset" in (stage.hand_over or ()) or any(
        not can_carry(before.name, after.name)
        or (OPTIMIZERS[after.name].second_moments and not carries_second_moments(before.name, after.name))
        for before in previous.optimizer or ()
        for after in stage.optimizer or ()
    )


def _corners(choice: LrShapeChoice) -> Iterator[LrShape]:
    """The shape with every combination of the extreme values of its settings."""
    values = hparam_values(LR_SHAPES[choice.kind].hparams, choice.hparams)
    for combination in itertools.product(*(_extremes(value) for value in values.values())):
        yield LrShape(kind=choice.kind, hparams=dict(zip(values, combination, strict=True)))


def _extremes(value: HparamValue) -> tuple[float | str, ...]:
    if isinstance(value, Range):
        return (value.low, value.high)
    return value if isinstance(value, tuple) else (value,)


def _off_grid(study: StudySpec) -> Iterator[Problem]:
    num_segments = round(1 / study.budget.grid)
    for index, stage in enumerate(study.stages):
        if isinstance(stage.share, str):
            continue
        shares = numbers_of(stage.share)
        key = f"stages.{index}.share"
        if isinstance(stage.share, Range) and stage.share.low >= stage.share.high:
            yield Problem(key=key, value=shown(stage.share), rule="must have low below high")
        can_be_zero = _is_choice(stage.share) and index != len(study.stages) - 1
        if any(not 0 <= share <= 1 or (share == 0 and not can_be_zero) for share in shares):
            yield _wrong_share(key, stage.share, is_last=index == len(study.stages) - 1)
        elif not all(_is_whole(share * num_segments) for share in shares):
            rule = f"must be a multiple of the grid, {study.budget.grid:g}"
            yield Problem(key=key, value=shown(stage.share), rule=rule, hint="or make budget.grid finer")


def _wrong_share(key: str, share: Numeric, *, is_last: bool) -> Problem:
    """A share of 0 is one choice among others, which leaves a stage out that is not the last one."""
    is_zero = min(numbers_of(share)) == 0
    hint = (
        "the last stage ends every schedule: only others may be left out"
        if is_last
        else "among other choices 0 leaves the stage out, as in [0, 0.2]"
    )
    rule = "must be greater than 0 and at most 1"
    return Problem(key=key, value=shown(share), rule=rule, hint=hint if is_zero else "")


def _check_sum(study: StudySpec, *, has_rest: bool) -> Iterator[Problem]:
    fixed = [max(numbers_of(stage.share)) for stage in study.stages if not isinstance(stage.share, str)]
    total = _largest_sum(study)
    if not has_rest and abs(total - 1) > 1e-9:
        shares = " + ".join(f"{share:g}" for share in fixed)
        rule = f"have shares that sum to {total:g}; they must sum to 1"
        hint = "give the last stage `share: rest`"
        yield Problem(key="stages", value=shares, rule=rule, hint=hint)
    if has_rest and total > 1 - study.budget.grid + 1e-9:
        rule = f"leave at most {1 - total:.3g} of the budget for the last stage; it needs {study.budget.grid:g}"
        yield Problem(key="stages", rule=rule, hint="lower the largest searched shares")


def _stages(study: StudySpec) -> Iterator[tuple[int, StageSpace]]:
    for index in range(len(study.stages)):
        yield index, stage_with_defaults(study, index)


def _source_key(study: StudySpec, index: int, setting: str) -> str:
    """Key of a stage's setting: in the stage or in the defaults; if it is in neither, in the stage."""
    is_own = dict(study.stages[index])[setting] is not None
    is_default = dict(study.stage_defaults)[setting] is not None
    return f"stage_defaults.{setting}" if is_default and not is_own else f"stages.{index}.{setting}"


def _is_choice(share: Numeric | str) -> bool:
    return isinstance(share, Range) or (isinstance(share, tuple) and len(share) > 1)


def _largest(numeric: Numeric | str | None) -> float | None:
    return None if numeric is None or isinstance(numeric, str) else max(numbers_of(numeric))


def _is_whole(number: float) -> bool:
    return abs(number - round(number)) < 1e-6
