"""Rules for stages that end with a mean of their weights instead of a small learning rate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mbo_search.errors import Problem
from mbo_search.study.catalogue.lr_shapes import LR_SHAPES
from mbo_search.study.catalogue.regularizers import REGULARIZERS
from mbo_search.study.checks.written import shown
from mbo_search.study.space.defaults import stage_with_defaults
from mbo_search.study.spec.lr_shapes import averages_weights
from mbo_search.study.spec.sections.choices import LrShapeChoice
from mbo_search.study.spec.sections.stages import StageDefaults
from mbo_search.study.spec.sections.values import Numeric, Range, is_numeric, numbers_of
from mbo_search.study.spec.study import StudySpec

_SPAN = "span"


def check_averages(study: StudySpec) -> Iterator[Problem]:
    """A mean spans whole grid segments, and nothing else changes the weights where its stage ends."""
    for key, place, choice in written_averages(study):
        span = choice.hparams.get(_SPAN, LR_SHAPES[choice.kind].hparams[_SPAN].default)
        if is_numeric(span):
            yield from _check_span(f"{key}.{place}.{_SPAN}", span, study.budget.grid)
    for index in range(len(study.stages)):
        stage = stage_with_defaults(study, index)
        if any(_averages(choice) for choice in stage.lr_shape or ()):
            for kind in _acting_at_the_end(stage):
                rule = "would be undone by the mean of the weights with which the stage ends (lr_shape average)"
                hint = "leave one of them out"
                yield Problem(key=f"stages.{index}.regularizers", value=kind, rule=rule, hint=hint)


def written_averages(study: StudySpec) -> Iterator[tuple[str, int, LrShapeChoice]]:
    """Each shape with a mean of the weights, with the key of its list and its place there."""
    settings: list[tuple[str, StageDefaults]] = [("stage_defaults", study.stage_defaults)]
    settings += [(f"stages.{index}", stage) for index, stage in enumerate(study.stages)]
    for at, own in settings:
        for place, choice in enumerate(own.lr_shape or ()):
            if _averages(choice):
                yield f"{at}.lr_shape", place, choice


def _averages(choice: LrShapeChoice) -> bool:
    return choice.kind in LR_SHAPES and averages_weights(choice.kind) and _SPAN in LR_SHAPES[choice.kind].hparams


def _check_span(key: str, span: Numeric, grid: float) -> Iterator[Problem]:
    if isinstance(span, Range):
        rule = "must be a number or a list of numbers, multiples of the grid: a mean begins where a state is kept"
        yield Problem(key=key, value=shown(span), rule=rule)
        return
    if any(abs(number / grid - round(number / grid)) > 1e-6 for number in numbers_of(span)):
        hint = "or make budget.grid finer"
        yield Problem(key=key, value=shown(span), rule=f"must be a multiple of the grid, {grid:g}", hint=hint)


def _acting_at_the_end(stage: StageDefaults) -> Sequence[str]:
    chosen = (one.kind for choices in stage.regularizers or () for one in choices)
    known = (kind for kind in chosen if kind in REGULARIZERS)
    return tuple(dict.fromkeys(kind for kind in known if REGULARIZERS[kind].acts_at_stage_end))
