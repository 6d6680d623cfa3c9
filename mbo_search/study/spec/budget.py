"""The budget of a study in steps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from mbo_search.study.catalogue.optimizers import OPTIMIZERS
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.spec.sections.stages import StageDefaults
from mbo_search.study.spec.segments import BudgetSteps, resolve_budget
from mbo_search.study.spec.study import StudySpec


def study_budget(study: StudySpec) -> BudgetSteps:
    """Round a study's budget down to whole optimizer steps in each grid segment, whatever a stage's steps cost.

    Raises:
        StudyError: If not even one step fits into a grid segment.
    """
    return resolve_budget(
        study.budget.tokens,
        study.budget.grid,
        study.train.batch_tokens,
        _unit_steps(study),
        context=study.model.context,
    )


def coarsest_budget(study: StudySpec, *strategies: StageDefaults) -> BudgetSteps:
    """The budget of a study in the largest steps that some strategies offer: their stages have the fewest steps.

    Args:
        study: The study.
        strategies: Choices of stages with their defaults filled in.

    Raises:
        StudyError: If not even one step fits into a grid segment.
    """
    budget = study_budget(study)
    passes = max((1, *_optimizer_passes(strategies))) * max((1, *_regularizer_passes(strategies)))
    batches = [batch for strategy in strategies for batch in strategy.batch_tokens or (budget.batch_tokens,)]
    return budget.in_steps_of(passes * max(batches))


def charged_steps(study: StudySpec) -> tuple[int, ...]:
    """Charged tokens of the smallest and of the largest step of a study's schedules; once if they are equal."""
    strategies = (study.stage_defaults, *study.stages)
    batches = [batch for strategy in strategies for batch in strategy.batch_tokens or ()]
    smallest = min([study.train.batch_tokens, *batches])
    return tuple(sorted({smallest, coarsest_budget(study, *strategies).batch_tokens}))


def charged_twice(strategy: StageDefaults) -> Iterator[str]:
    """Settings of a strategy with a choice that passes over the tokens of a step more than once."""
    if any(passes > 1 for passes in _optimizer_passes([strategy])):
        yield "optimizer"
    if any(passes > 1 for passes in _regularizer_passes([strategy])):
        yield "regularizers"


def _unit_steps(study: StudySpec) -> int:
    """The fewest plain steps that are a whole number of each step that a schedule of the study may take.

    Opponents may combine what any stage offers, so that each choice counts with each other one.
    """
    strategies = (study.stage_defaults, *study.stages)
    plain = study.train.batch_tokens
    batches = (batch for strategy in strategies for batch in strategy.batch_tokens or ())
    passes = math.lcm(*_optimizer_passes(strategies)) * math.lcm(*_regularizer_passes(strategies))
    return math.lcm(plain, *batches) // plain * passes


def _optimizer_passes(strategies: Iterable[StageDefaults]) -> Iterator[int]:
    names = {choice.name for strategy in strategies for choice in strategy.optimizer or ()}
    return (info.passes for name in names if (info := OPTIMIZERS.get(name)) is not None)


def _regularizer_passes(strategies: Iterable[StageDefaults]) -> Iterator[int]:
    for choices in (choices for strategy in strategies for choices in strategy.regularizers or ()):
        infos = (REGULARIZERS.get(choice.kind) for choice in choices)
        yield math.prod(info.passes for info in infos if info is not None)


def rounding_note(study: StudySpec) -> str:
    """Say what a budget is rounded down to; empty if it is whole steps already."""
    budget = study_budget(study)
    if budget.total_tokens == study.budget.tokens:
        return ""
    steps = f"{budget.steps_per_segment} steps of {budget.batch_tokens} tokens"
    return (
        f"budget.tokens: {study.budget.tokens} is rounded down to {budget.total_tokens}: "
        f"{steps} in each of {budget.num_segments} grid segments"
    )
