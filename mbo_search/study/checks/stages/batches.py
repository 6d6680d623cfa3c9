"""Rules for batches and rows that a stage sets for itself: they fit one another, the text and the workers."""

from __future__ import annotations

from collections.abc import Iterator

from mbo_search.errors import Problem
from mbo_search.study.spec.sections.stages import StageDefaults
from mbo_search.study.spec.study import StudySpec

SHORTEST_CONTEXT = 8


def check_batches(study: StudySpec) -> Iterator[Problem]:
    """Batches are whole numbers of rows that the workers share, and rows lie within the blocks of the text."""
    for at, strategy in _strategies(study):
        yield from _repeated(f"{at}.batch_tokens", strategy.batch_tokens or ())
        yield from _repeated(f"{at}.context", strategy.context or ())
        for batch_tokens in strategy.batch_tokens or ():
            yield from _batch_problems(f"{at}.batch_tokens", batch_tokens, study)
        for context in strategy.context or ():
            yield from _context_problems(f"{at}.context", context, study)


def check_lr_with_batch(study: StudySpec) -> Iterator[Problem]:
    """Learning rates follow the batch only where there is another one than the study's."""
    if any(strategy.batch_tokens for _, strategy in _strategies(study)):
        return
    for at, strategy in _strategies(study):
        if strategy.lr_with_batch == "sqrt":
            rule = "would do nothing: no stage sets batch_tokens"
            yield Problem(key=f"{at}.lr_with_batch", value="sqrt", rule=rule, hint="set batch_tokens in a stage")


def _strategies(study: StudySpec) -> Iterator[tuple[str, StageDefaults]]:
    yield "stage_defaults", study.stage_defaults
    yield from ((f"stages.{index}", stage) for index, stage in enumerate(study.stages))


def _batch_problems(key: str, batch_tokens: int, study: StudySpec) -> Iterator[Problem]:
    context, ranks = study.model.context, study.resources.workers_per_trial
    unit = context * ranks
    if batch_tokens % unit:
        for_each = f" for each of {ranks} workers" if ranks > 1 else ""
        below, above = batch_tokens // unit * unit, (batch_tokens // unit + 1) * unit
        rule = f"must be a multiple of {unit}: whole rows of model.context, {context} tokens{for_each}"
        hint = f"the nearest are {below} and {above}" if below else f"the nearest is {above}"
        yield Problem(key=key, value=str(batch_tokens), rule=rule, hint=hint)


def _context_problems(key: str, context: int, study: StudySpec) -> Iterator[Problem]:
    if study.data.task is not None:
        rule = "is for running text: the examples of a task are laid out in rows of model.context"
        yield Problem(key=key, value=str(context), rule=rule, hint="leave it out, or leave data.task out")
    elif context < SHORTEST_CONTEXT or study.model.context % context:
        rule = f"must divide model.context, {study.model.context}, and be at least {SHORTEST_CONTEXT}"
        yield Problem(key=key, value=str(context), rule=rule, hint="such as a half of it")


def _repeated(key: str, choices: tuple[int, ...]) -> Iterator[Problem]:
    for index, choice in enumerate(choices):
        if choice in choices[:index]:
            yield Problem(key=key, value=str(choice), rule="appears twice among the choices")
